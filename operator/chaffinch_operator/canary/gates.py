"""From spec.analysis.gates to what is asked and how it is judged: templates, defaults, queries. Pure.

Gateway gates need no instrumentation: with a filter of its own on each backendRef, Envoy Gateway keeps one Envoy
cluster per backend, whose counters show what clients saw, time-outs and refused connections included.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.model_gates import Gate, LatencySource, PodRestartsSource
from chaffinch_operator.canary.schema import seconds
from chaffinch_stats import CountGate, RateGate

ERRORS_SAFE_BELOW = 0.001
LATENCY_SAFE_BELOW = 0.01
DEFAULT_LATENCY_THRESHOLD = "500ms"


class Kind(StrEnum):
    """How a gate judges."""

    RATIO = "Ratio"
    OBJECTIVE = "Objective"
    SPLIT = "SampleRatio"
    RESTARTS = "PodRestarts"


COUNTING = frozenset({Kind.RATIO, Kind.OBJECTIVE})
"""Kinds that share alpha: each adds one to the number of tests."""


@dataclass(frozen=True, slots=True)
class Arms:
    """How a series is told to belong to an arm: a label, and what its value starts with or is."""

    label: str
    stable: str
    canary: str
    exact: bool

    def of(self, value: str) -> str | None:
        """The arm of a value of the label: "canary", "baseline" or None."""
        for arm, text in (("canary", self.canary), ("baseline", self.stable)):
            if text and (value == text if self.exact else value.startswith(text)):
                return arm
        return None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two queries: bad events and all events."""

    bad: str
    total: str
    arms: Arms


@dataclass(frozen=True, slots=True)
class Classes:
    """One query whose series are told apart by a label: bad where the label has the value; the sum is the total."""

    query: str
    label: str
    bad_value: str
    arms: Arms


@dataclass(frozen=True, slots=True)
class Buckets:
    """One query for two buckets of a classic histogram: slower than the threshold is bad."""

    query: str
    boundaries_query: str
    histogram: str
    threshold: float
    """In the unit of the boundaries."""
    arms: Arms


Source = Pair | Classes | Buckets


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

    @property
    def acting(self) -> bool:
        """Whether its verdict counts."""
        return not self.dry_run


@dataclass(frozen=True, slots=True)
class Naming:
    """The names by which series are attributed."""

    namespace: str
    route: str
    stable_pods: str
    """Prefix of stable's pod names: the ReplicaSet's name and a dash."""
    canary_pods: str

    @property
    def by_pod(self) -> Arms:
        """Arms by the label `pod`."""
        return Arms("pod", self.stable_pods, self.canary_pods, exact=False)

    @property
    def by_backend(self) -> Arms:
        """Arms by Envoy Gateway's cluster name of each backendRef of rule 0."""
        base = f"httproute/{self.namespace}/{self.route}/rule/0/backend/"
        return Arms("envoy_cluster_name", base + "0", base + "1", exact=True)


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
        return _resolve_kind(gate, naming)
    except ValueError as problem:
        raise ValueError(f"spec.analysis.gates[{gate.name}]: {_as_in_spec(str(problem))}") from problem


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
    source = _ratio_source(gate, naming)
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
    """As written; Auto stands for 1 until a history is measured."""
    return 1.0 if gate.dispersion == "Auto" else float(gate.dispersion)


def _ratio_source(gate: Gate, naming: Naming) -> Source:
    threshold = gate.threshold or DEFAULT_LATENCY_THRESHOLD
    match gate.template:
        case "EnvoyGatewayErrors":
            arms = naming.by_backend
            return Classes(f"envoy_cluster_upstream_rq_xx{{{_backends(arms)}}}", "envoy_response_code_class", "5", arms)
        case "EnvoyGatewayLatency":
            return _buckets(
                "envoy_cluster_upstream_rq_time", _backends(naming.by_backend), threshold, 1000.0, naming.by_backend
            )
        case "PodHTTPErrors":
            scope = f'namespace="{naming.namespace}"'
            return Pair(f'http_requests_total{{{scope},code=~"5.."}}', f"http_requests_total{{{scope}}}", naming.by_pod)
        case "PodHTTPLatency":
            return _buckets(
                "http_request_duration_seconds", f'namespace="{naming.namespace}"', threshold, 1.0, naming.by_pod
            )
    if gate.ratio is not None:
        return Pair(gate.ratio.bad, gate.ratio.total, naming.by_pod)
    if gate.latency is not None:
        return _latency(gate.latency, naming)
    raise ValueError("has none of ratio, latency, objective, sampleRatio, podRestarts and template: set exactly one")


def _latency(source: LatencySource, naming: Naming) -> Buckets:
    scale = 1.0 if source.unit == "Seconds" else 1000.0
    return _buckets(source.histogram, source.matchers, source.threshold, scale, naming.by_pod)


def _backends(arms: Arms) -> str:
    return f'{arms.label}=~"{arms.stable[:-1]}[01]"'


def _buckets(histogram: str, matchers: str, threshold: str, scale: float, arms: Arms) -> Buckets:
    """Both spellings of the boundary are asked: Prometheus 3 writes le="250.0" where version 2 kept le="250"."""
    value = round(seconds(threshold) * scale, 6)
    spellings = "|".join(dict.fromkeys([f"{value:g}", repr(value)])).replace(".", "\\\\.").replace("+", "\\\\+")
    inner = f"{matchers}," if matchers else ""
    name = f"{histogram}_bucket"
    return Buckets(
        f'{name}{{{inner}le=~"{spellings}|\\\\+Inf"}}', f"count by (le) ({name}{{{matchers}}})", histogram, value, arms
    )
