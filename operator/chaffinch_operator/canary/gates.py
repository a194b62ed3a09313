"""From spec.analysis.gates to how each is judged: kinds, defaults, designs. What is asked is in `sources`. Pure."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.model_analysis import GroupSequential
from chaffinch_operator.canary.model_gates import Gate, PodRestartsSource
from chaffinch_operator.canary.sources import Buckets, Naming, Native, Pair, Source, ratio_source
from chaffinch_operator.schema import seconds
from chaffinch_stats import CountGate, RateGate
from chaffinch_stats.group_sequential import GroupGate

ERRORS_SAFE_BELOW = 0.001
LATENCY_SAFE_BELOW = 0.01
MOST_LOOKS = 100
"""Of all gates together: their evidence must fit in status."""


class Kind(StrEnum):
    """How a gate judges."""

    RATIO = "Ratio"
    OBJECTIVE = "Objective"
    SPLIT = "SampleRatio"
    RESTARTS = "PodRestarts"


COUNTING = frozenset({Kind.RATIO, Kind.OBJECTIVE})
"""Kinds that share alpha: each adds one to the number of tests."""


@dataclass(frozen=True, slots=True)
class ResolvedGate:
    """One gate as it is asked and judged."""

    name: str
    kind: Kind
    dry_run: bool
    design: str
    """Digest of what makes its evidence comparable; other designs start anew."""
    source: Source | None = None
    count: CountGate | None = None
    rate: RateGate | None = None
    max_restarts: int = 0
    group: GroupGate | None = None
    """In mode GroupSequential: the plan by which a ratio is judged, in place of `count`."""
    auto: bool = False
    """Its dispersion is to be measured; until then the gate has 1."""
    history_seconds: float = 0.0
    """How much history that takes."""

    @property
    def compared(self) -> str:
        """What the canary is compared with, in a word: stable as it runs, or a baseline of its own."""
        return "baseline" if self.source is not None and self.source.arms.dedicated else "stable"

    @property
    def acting(self) -> bool:
        """Whether its verdict counts."""
        return not self.dry_run


def default_gates(spec: CanaryRolloutSpec) -> list[Gate]:
    """The gates of a spec that names none."""
    pods = PodRestartsSource()
    if spec.traffic_routing.gateway_api is None:
        return [
            Gate(name="errors", template="PodHTTPErrors"),
            Gate(name="latency", template="PodHTTPLatency"),
            Gate(name="restarts", pod_restarts=pods),
        ]
    return [
        Gate(name="errors", template="EnvoyGatewayErrors"),
        Gate(name="latency", template="EnvoyGatewayLatency"),
        Gate(name="restarts", pod_restarts=pods),
    ]


def resolve(spec: CanaryRolloutSpec, naming: Naming) -> tuple[ResolvedGate, ...]:
    """All gates of the spec, templates filled in. ValueError names the gate and what is wrong with it."""
    resolved = tuple(_resolve(gate, naming) for gate in (spec.analysis.gates or default_gates(spec)))
    for gate in resolved:
        if gate.kind is Kind.SPLIT and (problem := _split_problem(spec, gate, resolved)):
            raise ValueError(f"spec.analysis.gates[{gate.name}]: {problem}")
    return _planned(spec, resolved) if spec.analysis.mode == "GroupSequential" else resolved


def number_of_tests(gates: Sequence[ResolvedGate]) -> int:
    """How many gates share alpha."""
    return max(1, sum(1 for g in gates if g.kind in COUNTING and g.acting))


def _planned(spec: CanaryRolloutSpec, resolved: Sequence[ResolvedGate]) -> tuple[ResolvedGate, ...]:
    """The gates with the plan of looks of their ratios; objectives are judged at any time in every mode."""
    plan, tests = spec.analysis.group_sequential or GroupSequential(), number_of_tests(resolved)
    ratios = sum(1 for gate in resolved if gate.count is not None)
    if ratios * plan.looks > MOST_LOOKS:
        raise ValueError(
            f"spec.analysis.groupSequential.looks: {plan.looks} looks at {ratios} gates are more than {MOST_LOOKS} "
            f"together: plan at most {MOST_LOOKS // ratios}"
        )
    return tuple(_with_plan(spec, gate, plan, tests) for gate in resolved)


def _with_plan(spec: CanaryRolloutSpec, gate: ResolvedGate, plan: GroupSequential, tests: int) -> ResolvedGate:
    count, detect = gate.count, float(plan.detect_ratio)
    if count is None:
        return gate
    if detect <= count.harm_ratio:
        raise ValueError(
            f"spec.analysis.groupSequential.detectRatio must exceed harmRatio of gate {gate.name}, got {detect:g}: "
            f"what is to be found must be more than what is allowed ({count.harm_ratio:g})"
        )
    try:
        group = GroupGate(
            looks=plan.looks,
            alpha=float(spec.analysis.alpha) / tests,
            beta=float(spec.analysis.beta),
            power=float(plan.power),
            harm_ratio=count.harm_ratio,
            margin_ratio=count.margin_ratio,
            detect_ratio=detect,
            dispersion=count.dispersion,
            spending=plan.spending,
        )
    except ValueError as problem:
        raise ValueError(f"spec.analysis.gates[{gate.name}]: {_as_in_spec(str(problem))}") from problem
    return replace(gate, group=group, design=_digest(f"{gate.design} {group}"))


def _split_problem(spec: CanaryRolloutSpec, gate: ResolvedGate, resolved: Sequence[ResolvedGate]) -> str:
    """Why a sampleRatio gate could never say anything; empty when it can."""
    if spec.traffic_routing.gateway_api is None:
        return "sampleRatio needs trafficRouting.gatewayAPI: by replicas there is no split to keep to; remove the gate"
    if gate.source is None and not any(g.kind is Kind.RATIO for g in resolved):
        return "sampleRatio has no counter: set sampleRatio.total, or add a gate with ratio, latency or template"
    return ""


def _resolve(gate: Gate, naming: Naming) -> ResolvedGate:
    try:
        resolved = _resolve_kind(gate, naming)
    except ValueError as problem:
        raise ValueError(f"spec.analysis.gates[{gate.name}]: {_as_in_spec(str(problem))}") from problem
    auto, history = gate.dispersion == "Auto", seconds(gate.min_baseline_history)
    return replace(resolved, auto=auto, history_seconds=history)


def _as_in_spec(text: str) -> str:
    """The statistics write harm_ratio, the spec harmRatio."""
    return re.sub(r"(?<=[a-z])_([a-z])", lambda found: found[1].upper(), text)


def _resolve_kind(gate: Gate, naming: Naming) -> ResolvedGate:
    design = _digest(gate.model_dump_json(exclude={"name", "dry_run"}))
    if gate.pod_restarts is not None:
        return ResolvedGate(gate.name, Kind.RESTARTS, gate.dry_run, design, max_restarts=gate.pod_restarts.max)
    if gate.sample_ratio is not None:
        total = gate.sample_ratio.total
        split = Pair(total, total, naming.by_pod) if total else None
        return ResolvedGate(gate.name, Kind.SPLIT, gate.dry_run, design, split)
    if gate.objective is not None:
        pair = Pair(gate.objective.bad, gate.objective.total, naming.by_pod)
        return ResolvedGate(
            gate.name,
            Kind.OBJECTIVE,
            gate.dry_run,
            design,
            pair,
            rate=RateGate(
                max_ratio=float(gate.objective.max_ratio),
                margin_ratio=float(gate.margin_ratio),
                dispersion=_dispersion(gate),
            ),
        )
    source = ratio_source(gate, naming)
    return ResolvedGate(gate.name, Kind.RATIO, gate.dry_run, design, source, count=_count_gate(gate, source))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _count_gate(gate: Gate, source: Source) -> CountGate:
    default = LATENCY_SAFE_BELOW if isinstance(source, Buckets | Native) else ERRORS_SAFE_BELOW
    return CountGate(
        harm_ratio=float(gate.harm_ratio),
        margin_ratio=float(gate.margin_ratio),
        dispersion=_dispersion(gate),
        safe_below=float(gate.safe_below or default),
    )


def _dispersion(gate: Gate) -> float:
    """As written; 1 for Auto, until `calibration` has fixed it."""
    return 1.0 if gate.dispersion == "Auto" else float(gate.dispersion)
