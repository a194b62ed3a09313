"""Metrics of the operator, prefix `chaffinch_`. Labels are bounded: no uid, no path, no free text.

Only a per-rollout gauge carries namespace and name, and it is forgotten with its rollout.
"""

from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_OBJECT = ("namespace", "name")


class RolloutSample(Protocol):
    """What metrics show of one rollout."""

    @property
    def namespace(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def phase(self) -> str: ...  # noqa: D102
    @property
    def weight_percent(self) -> int: ...  # noqa: D102
    @property
    def step(self) -> int: ...  # noqa: D102
    @property
    def gates(self) -> tuple[tuple[str, float, float], ...]:
        """Name, ln E of harm, ln E of safety."""
        ...


class Metrics:
    """One registry of its own, so that a test can have many."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._passes = Counter(
            "chaffinch_reconcile", "Passes of the reconcile loop by result", ("kind", "result"), registry=self.registry
        )
        self._seconds = Histogram(
            "chaffinch_reconcile_seconds", "Time of a pass", ("kind",), buckets=_SECONDS, registry=self.registry
        )
        self._waits = self._histogram(
            "chaffinch_reconcile_wait_seconds", "Time that a pass waited for its turn", "kind"
        )
        self._objects = Gauge("chaffinch_objects", "Objects looked after", ("kind",), registry=self.registry)
        self._requests = Counter(
            "chaffinch_api_requests",
            "Requests to the API server; code 0 is no answer",
            ("verb", "resource", "code"),
            registry=self.registry,
        )
        self._request_seconds = self._histogram(
            "chaffinch_api_request_seconds", "Time of a request to the API server", "verb"
        )
        self._queries = Counter(
            "chaffinch_prometheus_queries", "Requests to Prometheus by result", ("result",), registry=self.registry
        )
        self._leader = Gauge("chaffinch_leader", "1 while this process holds the Lease", registry=self.registry)
        self._hold = Gauge(
            "chaffinch_hold_installed", "1 while the API server holds templates back", registry=self.registry
        )
        self._phase = Gauge(
            "chaffinch_rollout_phase",
            "1 for the phase that a rollout is in",
            (*_OBJECT, "phase"),
            registry=self.registry,
        )
        self._weight = Gauge(
            "chaffinch_rollout_weight_percent", "Weight applied to the canary", _OBJECT, registry=self.registry
        )
        self._step = Gauge("chaffinch_rollout_step", "Index in spec.steps", _OBJECT, registry=self.registry)
        self._decisions = Counter(
            "chaffinch_rollout_decisions",
            "Decisions by action and reason",
            ("action", "reason"),
            registry=self.registry,
        )
        self._evidence = Gauge(
            "chaffinch_rollout_gate_log_e",
            "Natural log of a gate's evidence, of harm or of safety",
            (*_OBJECT, "gate", "side"),
            registry=self.registry,
        )
        self._posts = Counter(
            "chaffinch_alert_posts", "Posts to /alerts by HTTP status answered", ("code",), registry=self.registry
        )
        self._alerts = Counter(
            "chaffinch_alerts_recorded", "Alerts written to a rollout, by outcome", ("outcome",), registry=self.registry
        )
        self._shown: dict[tuple[str, str], set[tuple[str, ...]]] = {}

    def _histogram(self, name: str, what: str, *labels: str) -> Histogram:
        return Histogram(name, what, labels, buckets=_SECONDS, registry=self.registry)

    def passed(self, kind: str, seconds: float, result: str) -> None:
        """One pass of a reconcile loop: ok, or the name of the exception."""
        self._passes.labels(kind, result).inc()
        self._seconds.labels(kind).observe(seconds)

    def waited(self, kind: str, seconds: float) -> None:
        """One pass waited for its turn."""
        self._waits.labels(kind).observe(seconds)

    def objects(self, kind: str, count: int) -> None:
        """Set how many objects of a kind are looked after."""
        self._objects.labels(kind).set(count)

    def request(self, verb: str, resource: str, status: int, seconds: float) -> None:
        """One request to the API server."""
        self._requests.labels(verb, resource, str(status)).inc()
        self._request_seconds.labels(verb).observe(seconds)

    def queried(self, result: str) -> None:
        """One request to a Prometheus."""
        self._queries.labels(result).inc()

    def leading(self, leading: bool) -> None:
        """Say whether this process holds the Lease."""
        self._leader.set(leading)

    def hold_installed(self, installed: bool) -> None:
        """Say whether the hold is installed."""
        self._hold.set(installed)

    def show(self, sample: RolloutSample) -> None:
        """Set the state of a rollout; series that no longer hold are dropped."""
        key = (sample.namespace, sample.name)
        self._weight.labels(*key).set(sample.weight_percent)
        self._step.labels(*key).set(sample.step)
        self._phase.labels(*key, sample.phase).set(1)
        for gate, log_e_harm, log_e_safe in sample.gates:
            self._evidence.labels(*key, gate, "harm").set(log_e_harm)
            self._evidence.labels(*key, gate, "safe").set(log_e_safe)
        self._keep(key, {("phase", sample.phase), *(("gate", gate) for gate, *_ in sample.gates)})

    def decided(self, action: str, reason: str) -> None:
        """A decision was made."""
        self._decisions.labels(action, reason).inc()

    def alert_post(self, status: int) -> None:
        """A post to /alerts was answered."""
        self._posts.labels(str(status)).inc()

    def alert_recorded(self, outcome: str) -> None:
        """An alert was written to the status of a rollout."""
        self._alerts.labels(outcome).inc()

    def forget(self, namespace: str, name: str) -> None:
        """Drop the series of a rollout that is gone."""
        if (namespace, name) in self._shown:
            self._weight.remove(namespace, name)
            self._step.remove(namespace, name)
            self._keep((namespace, name), set())
            del self._shown[namespace, name]

    def _keep(self, key: tuple[str, str], shown: set[tuple[str, ...]]) -> None:
        for what, value in self._shown.get(key, set()) - shown:
            if what == "phase":
                self._phase.remove(*key, value)
            else:
                self._evidence.remove(*key, value, "harm")
                self._evidence.remove(*key, value, "safe")
        self._shown[key] = shown

    def render(self) -> bytes:
        """Text of /metrics."""
        return generate_latest(self.registry)


class KindMetrics:
    """The observer of one kind's loops."""

    def __init__(self, metrics: Metrics, kind: str) -> None:
        self._metrics = metrics
        self._kind = kind

    def passed(self, seconds: float, result: str) -> None:
        """One pass."""
        self._metrics.passed(self._kind, seconds, result)
