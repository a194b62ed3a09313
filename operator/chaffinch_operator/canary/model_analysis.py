"""How evidence is gathered, as pydantic models: spec.analysis with its provider, and spec.alerts."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from chaffinch_operator.canary.model_gates import Gate
from chaffinch_operator.schema import Decimal, Duration, Model, Name, cel

_OWN_HEADERS = ("authorization", "content-length", "content-type", "host", "transfer-encoding")


class Header(Model):
    """An HTTP header sent with every query."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                f"!(self.name.lowerAscii() in [{', '.join(repr(name) for name in _OWN_HEADERS)}])",
                "this header is set by the operator; credentials belong in authSecretRef",
            ),
        )
    )

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9-]+$")]
    """Such as X-Scope-OrgID."""
    value: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[\x20-\x7e]+$")]
    """Sent as it is. Nothing secret belongs here: see authSecretRef."""


class AuthSecretRef(Model):
    """A Secret in the CanaryRollout's namespace, which the operator's service account must be allowed to get."""

    name: Name
    """Keys: token (bearer), or username and password (basic); tls.crt and tls.key (mTLS); ca.crt (trusted CA)."""


class Prometheus(Model):
    """A Prometheus-compatible server."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("!self.address.contains('@')", "address must not have a user or password: see authSecretRef"),
            (
                "self.headers.all(h, self.headers.exists_one(other, other.name.lowerAscii() == h.name.lowerAscii()))",
                "each header has a name of its own",
            ),
        )
    )

    address: Annotated[str, Field(max_length=512, pattern=r"^https?://[^\s]+$")]
    """Base URL, such as http://prometheus.monitoring:9090. Thanos and Mimir: with their path prefix."""
    auth_secret_ref: AuthSecretRef | None = None
    """Credentials; default: none."""
    headers: Annotated[list[Header], Field(max_length=8)] = Field(default=[])
    """More headers, such as the tenant of Mimir or Thanos."""


class Provider(Model):
    """Where the counters come from."""

    prometheus: Prometheus


class GroupSequential(Model):
    """Planned looks instead of evidence valid at any time: fewer requests on average, but an end is planned."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("double(self.detectRatio) > 1.0", 'groupSequential.detectRatio must exceed 1, such as "1.5"'),
            (
                "double(self.power) >= 0.5 && double(self.power) < 1.0",
                'groupSequential.power must lie in [0.5, 1), such as "0.9"',
            ),
        )
    )

    looks: Annotated[int, Field(ge=1, le=50)] = 20
    """Looks planned, evenly spread over the requests that the plan needs."""
    spending: Literal["OBrienFleming", "Pocock"] = "OBrienFleming"
    """How alpha and beta are spent over the looks: late, or evenly."""
    detect_ratio: Decimal = "1.5"
    """The harm the plan must find, in multiples of stable's bad share; must exceed every gate's harmRatio."""
    power: Decimal = "0.9"
    """Chance that harm of detectRatio is found, and that a canary as good as stable passes, by the last look."""


class Analysis(Model):
    """How evidence is gathered and when it is enough."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("double(self.alpha) > 0.0 && double(self.alpha) <= 0.5", 'alpha must lie in (0, 0.5], such as "0.05"'),
            ("double(self.beta) > 0.0 && double(self.beta) <= 0.5", 'beta must lie in (0, 0.5], such as "0.05"'),
            (
                "duration(self.interval) >= duration('1s') && duration(self.interval) <= duration('1h')",
                "analysis.interval must lie between 1s and 1h",
            ),
            (
                "!has(self.groupSequential) || self.mode == 'GroupSequential'",
                "analysis.groupSequential needs analysis.mode: GroupSequential",
            ),
            (
                (
                    "self.mode != 'GroupSequential' || !has(self.gates) || self.gates.all(g, double(g.harmRatio) < "
                    "(has(self.groupSequential) ? double(self.groupSequential.detectRatio) : 1.5))"
                ),
                "groupSequential.detectRatio (default 1.5) must exceed every gate's harmRatio",
            ),
            (
                (
                    "self.mode != 'GroupSequential' || !has(self.gates) || "
                    "self.gates.filter(g, has(g.ratio) || has(g.latency) || has(g.template)).size() * "
                    "(has(self.groupSequential) ? self.groupSequential.looks : 20) <= 100"
                ),
                "groupSequential.looks (default 20) times the ratio, latency and template gates must not exceed 100",
            ),
        )
    )

    interval: Duration = "30s"
    """Length of one interval; a few scrapes long."""
    query_offset: Duration = "5s"
    """How long after its end an interval is read, so that late scrapes are in; at least one scrape interval."""
    warmup: Duration = "10s"
    """Time after the canary's first request that is not judged."""
    alpha: Decimal = "0.05"
    """Chance, over the whole rollout and all gates, that a harmless canary is rolled back."""
    beta: Decimal = "0.05"
    """Chance that a canary at or beyond a margin is promoted."""
    mode: Literal["Anytime", "GroupSequential"] = "Anytime"
    """Anytime: evidence that holds however often one looks. GroupSequential: planned looks, for predictable traffic."""
    group_sequential: GroupSequential | None = None
    """The plan of mode GroupSequential; default: 20 looks, OBrienFleming."""
    provider: Provider | None = None
    gates: Annotated[list[Gate], Field(max_length=10)] = Field(
        default=[], json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    )
    """Default: errors and latency at the gateway (gatewayAPI), or of the pods (replicas), and podRestarts."""


class Alerts(Model):
    """Alerts of Alertmanager that end or pause a rollout under way."""

    matchers: Annotated[
        list[Annotated[str, Field(min_length=3, max_length=512)]],
        Field(min_length=1, max_length=16),
    ]
    """All must match, in Alertmanager's syntax: alertname=~"Checkout.*", severity="critical"."""
    on_firing: Literal["Rollback", "Pause"] = "Rollback"
    """What a firing alert does to a rollout that started before it."""
    scope: Literal["CanaryOnly", "Any"] = "CanaryOnly"
    """CanaryOnly: only alerts whose labels point at the canary roll back, others pause. Any: every match counts."""
