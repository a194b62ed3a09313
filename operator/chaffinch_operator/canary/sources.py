"""What a gate asks: its counters as PromQL, and how their series are told apart. Pure.

Built-in templates name the label whose values differ from rollout to rollout, so that the port asks for many at once.

Gateway gates need no instrumentation: with a filter of its own on each backendRef, Envoy Gateway keeps one Envoy
cluster per backend, whose counters show what clients saw, time-outs and refused connections included.
"""

from dataclasses import dataclass, replace

from chaffinch_operator.canary.model_gates import Gate, LatencySource
from chaffinch_operator.ports.queries import Selector
from chaffinch_operator.schema import seconds

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

    @property
    def names(self) -> tuple[str, ...]:
        """What the label's value starts with or is, of all arms."""
        return tuple(text for text in (self.stable, self.canary, self.dedicated) if text)

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
    """One selector whose series are told apart by a label: bad where its value begins so; the sum is the total."""

    query: Selector
    label: str
    bad_prefix: str
    arms: Arms


@dataclass(frozen=True, slots=True)
class Buckets:
    """One selector for two buckets of a classic histogram: slower than the threshold is bad."""

    query: Selector
    boundaries_query: str
    histogram: str
    threshold: float
    """In the unit of the boundaries."""
    arms: Arms


@dataclass(frozen=True, slots=True)
class Native:
    """One selector for a native histogram: slower than the threshold is bad."""

    query: Selector
    histogram: str
    threshold: float
    """In the unit of the boundaries."""
    arms: Arms


Source = Pair | Classes | Buckets | Native


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
    stable_workload: str = ""
    """Name of the target: what Istio calls its pods' workload."""
    canary_workload: str = ""
    baseline_workload: str = ""

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

    @property
    def by_workload(self) -> Arms:
        """Arms by Istio's name of the workload that served."""
        dedicated = self.baseline_workload if self.baseline_pods else ""
        return Arms("destination_workload", self.stable_workload, self.canary_workload, exact=True, dedicated=dedicated)


def ratio_source(gate: Gate, naming: Naming) -> Source:
    """What a gate with ratio, latency or template asks. ValueError when it has none of them."""
    if gate.template is not None:
        if gate.template.endswith("Latency"):
            return _latency_template(gate.template, gate.threshold or DEFAULT_LATENCY_THRESHOLD, naming)
        return _errors_template(gate.template, naming)
    if gate.ratio is not None:
        return Pair(gate.ratio.bad, gate.ratio.total, naming.by_pod)
    if gate.latency is not None:
        return _latency(gate.latency, naming)
    raise ValueError("has none of ratio, latency, objective, sampleRatio, podRestarts and template: set exactly one")


def _errors_template(template: str, naming: Naming) -> Classes:
    match template:
        case "EnvoyGatewayErrors":
            selector, arms = _by_backend("envoy_cluster_upstream_rq_xx", naming)
            return Classes(selector, "envoy_response_code_class", "5", arms)
        case "IstioErrors":
            selector, arms = _by_workload("istio_requests_total", naming)
            return Classes(selector, "response_code", "5", arms)
        case "PodOTelErrors":
            selector, arms = _by_pod("http_server_request_duration_seconds_count", naming)
            return Classes(selector, "http_response_status_code", "5", arms)
        case _:
            selector, arms = _by_pod("http_requests_total", naming)
            return Classes(selector, "code", "5", arms)


def _latency_template(template: str, threshold: str, naming: Naming) -> Buckets:
    match template:
        case "EnvoyGatewayLatency":
            histogram, scale, by = "envoy_cluster_upstream_rq_time", 1000.0, _by_backend
        case "IstioLatency":
            histogram, scale, by = "istio_request_duration_milliseconds", 1000.0, _by_workload
        case "PodOTelLatency":
            histogram, scale, by = "http_server_request_duration_seconds", 1.0, _by_pod
        case _:
            histogram, scale, by = "http_request_duration_seconds", 1.0, _by_pod
    return _buckets(histogram, threshold, scale, *by(f"{histogram}_bucket", naming))


def _latency(source: LatencySource, naming: Naming) -> Buckets | Native:
    scale = 1.0 if source.unit == "Seconds" else 1000.0
    if source.format == "Native":
        threshold = round(seconds(source.threshold) * scale, 6)
        return Native(Selector(source.histogram, source.matchers), source.histogram, threshold, naming.by_pod)
    selector = Selector(f"{source.histogram}_bucket", source.matchers)
    return _buckets(source.histogram, source.threshold, scale, selector, naming.by_pod)


def _by_pod(metric: str, naming: Naming) -> tuple[Selector, Arms]:
    return Selector(metric, "", ("namespace",), ((naming.namespace,),)), naming.by_pod


def _by_backend(metric: str, naming: Naming) -> tuple[Selector, Arms]:
    arms = naming.by_backend
    return Selector(metric, "", (arms.label,), tuple((name,) for name in arms.names)), arms


def _by_workload(metric: str, naming: Naming) -> tuple[Selector, Arms]:
    """What the sidecars of the destination say: in other reporters' series the same request is counted again."""
    arms = naming.by_workload
    labels = ("destination_workload_namespace", arms.label)
    rows = tuple((naming.namespace, name) for name in arms.names)
    return Selector(metric, 'reporter="destination"', labels, rows), arms


def _buckets(histogram: str, threshold: str, scale: float, selector: Selector, arms: Arms) -> Buckets:
    """Both spellings of the boundary are asked: Prometheus 3 writes le="250.0" where version 2 kept le="250"."""
    value = round(seconds(threshold) * scale, 6)
    spellings = "|".join(dict.fromkeys([f"{value:g}", repr(value)])).replace(".", "\\\\.").replace("+", "\\\\+")
    given = selector.matchers.strip().rstrip(",")
    wanted = ",".join(filter(None, (given, f'le=~"{spellings}|\\\\+Inf"')))
    both = replace(selector, matchers=wanted)
    return Buckets(both, f"count by (le) ({selector.text})", histogram, value, arms)
