"""From spec.analysis.gates to how each is judged: kinds, defaults, designs. What is asked is in `sources`. Pure."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.model_gates import Gate, PodRestartsSource
from chaffinch_operator.canary.schema import seconds
from chaffinch_operator.canary.sources import Buckets, Naming, Pair, Source, ratio_source
from chaffinch_stats import CountGate, RateGate

ERRORS_SAFE_BELOW = 0.001
LATENCY_SAFE_BELOW = 0.01


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
    auto: bool = False
    """Its dispersion is to be measured; until then the gate has 1."""
    history_seconds: float = 0.0
    """How much history that takes."""

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
    return resolved


def number_of_tests(gates: Sequence[ResolvedGate]) -> int:
    """How many gates share alpha."""
    return max(1, sum(1 for g in gates if g.kind in COUNTING and g.acting))


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
    design = hashlib.sha256(gate.model_dump_json(exclude={"name", "dry_run"}).encode()).hexdigest()[:8]
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


def _count_gate(gate: Gate, source: Source) -> CountGate:
    default = LATENCY_SAFE_BELOW if isinstance(source, Buckets) else ERRORS_SAFE_BELOW
    return CountGate(
        harm_ratio=float(gate.harm_ratio),
        margin_ratio=float(gate.margin_ratio),
        dispersion=_dispersion(gate),
        safe_below=float(gate.safe_below or default),
    )


def _dispersion(gate: Gate) -> float:
    """As written; 1 for Auto, until `calibration` has fixed it."""
    return 1.0 if gate.dispersion == "Auto" else float(gate.dispersion)
