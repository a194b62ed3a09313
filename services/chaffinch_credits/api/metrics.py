"""What the service counts and measures. A registry of its own, so that two services in one process do not mix."""

from collections.abc import Callable
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_ITEMS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


@dataclass(slots=True)
class Metrics:
    """All of them; names begin with chaffinch_credits_."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    requests: Counter = field(init=False)
    request_seconds: Histogram = field(init=False)
    batch_requests: Histogram = field(init=False)
    batch_seconds: Histogram = field(init=False)
    batch_failures: Counter = field(init=False)
    queued: Gauge = field(init=False)
    sealed_age: Gauge = field(init=False)
    away: Gauge = field(init=False)
    key_age: Gauge = field(init=False)
    deliveries: Counter = field(init=False)
    cache: Counter = field(init=False)
    queue_age: Gauge = field(init=False)
    verified_age: Gauge = field(init=False)
    unsound: Gauge = field(init=False)
    certificate_ends: Gauge = field(init=False)
    undelivered: Gauge = field(init=False)
    given_up: Gauge = field(init=False)
    keys_behind: Gauge = field(init=False)
    keys_unusable: Gauge = field(init=False)

    def __post_init__(self) -> None:
        own, space, known = self.registry, "chaffinch_credits", ["ledger"]
        self.requests = Counter(
            "requests", "HTTP requests", ["method", "route", "status"], namespace=space, registry=own
        )
        self.request_seconds = Histogram(
            "request_seconds", "Time to answer", ["method"], namespace=space, registry=own, buckets=_SECONDS
        )
        self.batch_requests = Histogram(
            "batch_requests", "Requests in a batch", known, namespace=space, registry=own, buckets=_ITEMS
        )
        self.batch_seconds = Histogram(
            "batch_seconds", "Time to write a batch", known, namespace=space, registry=own, buckets=_SECONDS
        )
        self.batch_failures = Counter("batch_failures", "Batches that failed", known, namespace=space, registry=own)
        self.queued = Gauge("queued_requests", "Requests that wait for a batch", known, namespace=space, registry=own)
        age = "Since all that was written lay under a checkpoint"
        self.sealed_age = Gauge("checkpoint_age_seconds", age, known, namespace=space, registry=own)

        away = "1 while the circuit breaker before the ledger's database is not closed"
        self.away = Gauge("breaker_open", away, known, namespace=space, registry=own)

        self.deliveries = Counter(
            "webhook_deliveries", "Attempts to deliver events", ["ledger", "outcome"], namespace=space, registry=own
        )
        self.cache = Counter("cache_reads", "Reads that may be old", ["outcome"], namespace=space, registry=own)
        oldest = "Since the oldest request that waits for a batch arrived"
        self.queue_age = Gauge("queue_age_seconds", oldest, known, namespace=space, registry=own)
        seen = "Since the newest verification that was recorded"
        self.verified_age = Gauge("verified_age_seconds", seen, known, namespace=space, registry=own)
        bad = "1 when the newest verification that was recorded found something"
        self.unsound = Gauge("unsound", bad, known, namespace=space, registry=own)
        ends = "When the certificate ends that the service shows, in seconds since 1970"
        self.certificate_ends = Gauge("certificate_ends_timestamp_seconds", ends, [], namespace=space, registry=own)
        waits = "Blocks that the slowest webhook of the ledger was not told of yet"
        self.undelivered = Gauge("webhook_waiting_blocks", waits, known, namespace=space, registry=own)
        dead = "Events that were given up, until somebody replays"
        self.given_up = Gauge("webhook_given_up", dead, known, namespace=space, registry=own)
        key_age = "Age of the newest key that encrypts metadata"
        self.key_age = Gauge("key_age_seconds", key_age, known, namespace=space, registry=own)
        behind = "Data keys that another key-encryption key than the newest wraps"
        self.keys_behind = Gauge("keys_behind", behind, known, namespace=space, registry=own)
        unusable = "1 while field keys cannot be read as they are in the database now"
        self.keys_unusable = Gauge("keys_unusable", unusable, known, namespace=space, registry=own)

    def watch_keys(
        self, ledger: str, age: Callable[[], float], behind: Callable[[], float], unusable: Callable[[], float]
    ) -> None:
        """Ask these whenever somebody looks, for a ledger that is encrypted."""
        self.key_age.labels(ledger).set_function(age)
        self.keys_behind.labels(ledger).set_function(behind)
        self.keys_unusable.labels(ledger).set_function(unusable)

    def watch(
        self,
        ledger: str,
        queued: Callable[[], float],
        sealed_age: Callable[[], float],
        away: Callable[[], float],
        queue_age: Callable[[], float],
    ) -> None:
        """Ask these whenever somebody looks."""
        self.queue_age.labels(ledger).set_function(queue_age)
        self.queued.labels(ledger).set_function(queued)
        self.sealed_age.labels(ledger).set_function(sealed_age)
        self.away.labels(ledger).set_function(away)

    def text(self) -> bytes:
        """In the text format of Prometheus."""
        return generate_latest(self.registry)
