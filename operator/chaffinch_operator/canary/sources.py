"""What a gate asks: its counters as PromQL, and how their series are told apart. Pure.

Gateway gates need no instrumentation: with a filter of its own on each backendRef, Envoy Gateway keeps one Envoy
cluster per backend, whose counters show what clients saw, time-outs and refused connections included.
"""

from dataclasses import dataclass

from chaffinch_operator.canary.model_gates import Gate, LatencySource
from chaffinch_operator.canary.schema import seconds

DEFAULT_LATENCY_THRESHOLD = "500ms"


@dataclass(frozen=True, slots=True)
class Arms:
    """How a series is told to belong to an arm: a label, and what its value starts with or is."""

    label: str
    stable: str
    canary: str
    exact: bool
    dedicated: str = ""
    """The same of a dedicated baseline; empty where stable as it runs is the baseline."""

    def of(self, value: str) -> str | None:
        """The arm of a value of the label: "canary", "baseline", "other" or None.

        Beside a dedicated baseline stable's own series are of no arm, but still requests: "other".
        """
        baseline, other = (self.dedicated, self.stable) if self.dedicated else (self.stable, "")
        for arm, text in (("canary", self.canary), ("baseline", baseline), ("other", other)):
            if text and (value == text if self.exact else value.startswith(text)):
                return arm
        return None

    def of_stable(self, value: str) -> bool:
        """Whether a value of the label is of stable's own, compared or not."""
        return self.of(value) == ("other" if self.dedicated else "baseline")


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
class Naming:
    """The names by which series are attributed."""

    namespace: str
    route: str
    stable_pods: str
    """Prefix of stable's pod names: the ReplicaSet's name and a dash."""
    canary_pods: str
    baseline_pods: str = ""
    """Prefix of a dedicated baseline's pod names; empty where stable as it runs is the baseline."""

    @property
    def by_pod(self) -> Arms:
        """Arms by the label `pod`."""
        return Arms("pod", self.stable_pods, self.canary_pods, exact=False, dedicated=self.baseline_pods)

    @property
    def by_backend(self) -> Arms:
        """Arms by Envoy Gateway's cluster name of each backendRef of rule 0."""
        base = f"httproute/{self.namespace}/{self.route}/rule/0/backend/"
        dedicated = base + "2" if self.baseline_pods else ""
        return Arms("envoy_cluster_name", base + "0", base + "1", exact=True, dedicated=dedicated)


def ratio_source(gate: Gate, naming: Naming) -> Source:
    """What a gate with ratio, latency or template asks. ValueError when it has none of them."""
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
    return f'{arms.label}=~"{arms.stable[:-1]}{"[012]" if arms.dedicated else "[01]"}"'


def _buckets(histogram: str, matchers: str, threshold: str, scale: float, arms: Arms) -> Buckets:
    """Both spellings of the boundary are asked: Prometheus 3 writes le="250.0" where version 2 kept le="250"."""
    value = round(seconds(threshold) * scale, 6)
    spellings = "|".join(dict.fromkeys([f"{value:g}", repr(value)])).replace(".", "\\\\.").replace("+", "\\\\+")
    inner = f"{matchers}," if matchers else ""
    name = f"{histogram}_bucket"
    return Buckets(
        f'{name}{{{inner}le=~"{spellings}|\\\\+Inf"}}', f"count by (le) ({name}{{{matchers}}})", histogram, value, arms
    )
