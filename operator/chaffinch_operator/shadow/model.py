"""Spec of ShadowEvaluation as pydantic models. No logic beyond parsing; only fields that something serves."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from chaffinch_operator.children.database import Database, ManagedDatabase
from chaffinch_operator.schema import Decimal, Duration, Label, Model, Name, cel

Header = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
Method = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[A-Z]+$")]
Rule = Annotated[str, Field(min_length=3, max_length=256, pattern=r"^(header|query|json):.+$")]
Size = Annotated[str, Field(max_length=16, pattern=r"^[0-9]{1,9}(Ki|Mi)?$")]
Days = Annotated[str, Field(max_length=5, pattern=r"^[1-9][0-9]{0,3}d$")]
DEFAULT_PARALLELISM = 4


class ServiceRef(Model):
    """A Service in the same namespace."""

    name: Label
    """Name of the Service."""
    port: Annotated[int, Field(ge=1, le=65535)]
    """Its port, plain HTTP."""


class Version(Model):
    """One of the versions that are compared."""

    service_ref: ServiceRef


class HTTPRouteRef(Model):
    """An HTTPRoute in the same namespace."""

    name: Name
    """Name of the HTTPRoute."""


class AllowFrom(Model):
    """Whose pods may send copies."""

    namespace: Label
    """Name of a namespace, such as that of the gateway's pods."""


class Scope(Model):
    """Which requests are compared, and what of them is stored."""

    methods: Annotated[list[Method], Field(min_length=1, max_length=16)] = Field(default=["GET", "HEAD"])
    """Methods that are compared; others are counted and left out."""
    allow_unsafe: bool = False
    """Methods may have such that write: every write is then done twice more."""
    max_body_bytes: Size = "1Mi"
    """Larger bodies are counted as TooLarge and not compared."""
    redact: Annotated[list[Rule], Field(max_length=64)] = Field(default=[])
    """What is never stored: header:NAME, query:NAME, json:$.path. Credentials in headers never are."""


_SAFE = (
    "self.allowUnsafe || self.methods.all(m, m in ['GET', 'HEAD', 'OPTIONS', 'TRACE'])",
    "methods has one that may write: set allowUnsafe to send writes twice more, or leave it out",
)


class Mirror(Scope):
    """Copies of live requests, by the gateway's RequestMirror filter. Clients never see an answer to a copy."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "(self.mode == 'Adopt') == has(self.httpRouteRef)",
                "mirror.httpRouteRef belongs to mode Adopt, which needs it; with External you add the filter yourself",
            ),
            (
                "!has(self.percent) || self.mode == 'Adopt'",
                "mirror.percent belongs to mode Adopt; with External write it into your filter",
            ),
            _SAFE,
        )
    )

    mode: Literal["External", "Adopt"] = "External"
    """External: your HTTPRoute has a RequestMirror filter to the Service NAME-mirror, port 80. Adopt: the operator adds
    the filter to the rules of httpRouteRef, and takes exactly it away at the end."""
    http_route_ref: HTTPRouteRef | None = Field(default=None, alias="httpRouteRef")
    percent: Annotated[int, Field(ge=1, le=100)] | None = None
    """Percent of requests that are copied; default 100."""
    allow_from: Annotated[list[AllowFrom], Field(max_length=32)] = Field(default=[])
    """Namespaces whose pods may send copies; none: every namespace, since gateways run anywhere."""


class Claim(Model):
    """A PersistentVolumeClaim in the same namespace, which every pod of the replay mounts read-only."""

    claim_name: Name
    """Name of the claim."""


class ConfigMapRef(Model):
    """A ConfigMap in the same namespace; each key is a file."""

    name: Name
    """Name of the ConfigMap."""


class Source(Model):
    """Where recorded requests are: files that end in .jsonl or .har."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.volume) != has(self.configMap)",
                "set exactly one of replay.source.volume and replay.source.configMap",
            )
        )
    )

    volume: Claim | None = None
    config_map: ConfigMapRef | None = None


class Replay(Scope):
    """Recorded requests, sent by an Indexed Job."""

    model_config = ConfigDict(json_schema_extra=cel(_SAFE))

    source: Source
    shards: Annotated[int, Field(ge=1, le=256)] | None = None
    """Parts that the requests are split into by their ids; default: as many as parallelism."""


class Traffic(Model):
    """Where requests come from: exactly one way."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("has(self.mirror) != has(self.replay)", "set exactly one of traffic.mirror and traffic.replay")
        )
    )

    mirror: Mirror | None = None
    replay: Replay | None = None


class Outcome(Model):
    """What counts as a detection."""

    status_in: Annotated[list[Annotated[int, Field(ge=100, le=599)]], Field(min_length=1, max_length=64)] = Field(
        default=[403]
    )
    """Status of an answer that means detected, or blocked."""


class Score(Model):
    """Where a version says how sure it is."""

    header: Header
    """Header of the answer: a number, higher for an attack."""


class Strata(Model):
    """Parts that are reported alone."""

    header: Header
    """Header of the request whose value names the part."""
    values: Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(min_length=1, max_length=16)]
    """Values that are parts; every other value is the part `other`."""


class Compare(Model):
    """How answers are compared."""

    outcome: Outcome = Field(default=Outcome())
    score: Score | None = None
    ignore: Annotated[list[Rule], Field(max_length=64)] = Field(default=[])
    """What is not compared, in the form of redact."""
    cluster_by: Annotated[str, Field(max_length=137, pattern=r"^header:.+$")] | None = None
    """Requests that belong together, such as header:x-client: the robust tests need it."""
    strata: Strata | None = None


class LabelSource(Model):
    """Where labels are, beside those that are posted to the service."""

    header: Header
    """Header of the request: 1 or attack, 0 or benign."""


class Labels(Model):
    """What requests really were."""

    source: LabelSource | None = None
    max_delay: Duration = "24h"
    """A label that comes later than this after its request does not count."""


class Hypothesis(Model):
    """What the candidate must show, fixed before the data are looked at."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("double(self.alpha) > 0.0 && double(self.alpha) < 0.5", "hypothesis.alpha must be above 0 and below 0.5"),
            ("double(self.margin) < 1.0", "hypothesis.margin must be below 1"),
            (
                "!has(self.prevalence) || (double(self.prevalence) > 0.0 && double(self.prevalence) < 1.0)",
                "hypothesis.prevalence must be above 0 and below 1",
            ),
        )
    )

    test: Literal["NonInferiority", "Superiority"] = "NonInferiority"
    """NonInferiority: worse by less than margin. Superiority: better by more than margin."""
    metric: Literal[
        "accuracy", "balancedAccuracy", "recall", "falsePositiveRate", "precision", "f1", "mcc", "kappa"
    ] = "mcc"
    """The primary metric."""
    margin: Decimal = "0.01"
    """How much worse is still as good, or (Superiority) how much better it must be at least."""
    alpha: Decimal = "0.05"
    """Chance of a wrong claim."""
    design: Literal["AlwaysValid", "FixedN"] = "AlwaysValid"
    """AlwaysValid: the verdict may be looked at at any time, and ends the evaluation. FixedN: one look, at the end."""
    planned: Annotated[int, Field(ge=1, le=1_000_000_000)] = 10_000
    """AlwaysValid: requests at which limits are tightest."""
    prevalence: Decimal | None = None
    """Share of label 1 in production; default: that of the data."""


class Guardrail(Model):
    """What must not get worse."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.maxRatio) == (self.metric == 'latencyP99') && has(self.maxIncrease) != has(self.maxRatio)",
                "a guardrail has maxRatio for latencyP99, and maxIncrease for any other metric",
            ),
            (
                "!has(self.maxIncrease) || double(self.maxIncrease) < 1.0",
                "guardrails.maxIncrease must be below 1: it is a share",
            ),
            (
                "!has(self.maxRatio) || (double(self.maxRatio) >= 1.0 && double(self.maxRatio) <= 100.0)",
                "guardrails.maxRatio must be from 1 to 100",
            ),
        )
    )

    metric: Annotated[
        Literal[
            "accuracy",
            "balancedAccuracy",
            "recall",
            "falsePositiveRate",
            "precision",
            "f1",
            "mcc",
            "kappa",
            "lostDetections",
            "auc",
            "errorRate",
            "latencyP99",
        ],
        Field(),
    ]
    """A metric; lostDetections: the share of attacks that the control detects and the candidate does not; auc, with
    compare.score; errorRate and latencyP99 need no label."""
    max_increase: Decimal | None = None
    """How much worse it may be at most."""
    max_ratio: Decimal | None = None
    """latencyP99: how many times the control's it may be at most."""


class Retention(Model):
    """For how long samples and sums are kept."""

    samples: Days = "7d"
    """Redacted requests."""
    aggregates: Days = "365d"
    """Counts."""


class CanaryRolloutRef(Model):
    """A CanaryRollout in the same namespace."""

    name: Name
    """Name of the CanaryRollout."""


class Actions(Model):
    """What follows from the verdict."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "(self.onPromote == 'StartCanary') == has(self.canaryRolloutRef)",
                "actions.canaryRolloutRef belongs to onPromote: StartCanary, which needs it",
            )
        )
    )

    on_promote: Literal["Recommend", "StartCanary"] = "Recommend"
    """Recommend: say so. StartCanary: set spec.suspend of canaryRolloutRef to false, once its target has the
    candidate's template."""
    canary_rollout_ref: CanaryRolloutRef | None = None


_DIFFERENT = (
    "self.control.serviceRef.name != self.candidate.serviceRef.name || "
    "self.control.serviceRef.port != self.candidate.serviceRef.port"
)


class ShadowEvaluationSpec(Model):
    """Two versions on the same requests, and whether the candidate is better."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("!has(self.parallelism) || has(self.traffic.replay)", "parallelism belongs to traffic.replay"),
            (
                _DIFFERENT,
                "control and candidate must be different Services, or ports",
            ),
            (
                "!self.guardrails.exists(g, g.metric == 'auc') || has(self.compare.score)",
                "a guardrail on auc needs compare.score",
            ),
        )
    )

    control: Version
    candidate: Version
    noise_control: Version | None = None
    """A second control: how much do two equal versions differ?"""
    traffic: Traffic
    compare: Compare = Field(default=Compare())
    labels: Labels = Field(default=Labels())
    hypothesis: Hypothesis = Field(default=Hypothesis())
    guardrails: Annotated[
        list[Guardrail],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["metric"]},
        ),
    ] = Field(default=[Guardrail(metric="falsePositiveRate", max_increase="0.001")])
    """All must be shown to be kept for Promote; a breached one rejects."""
    parallelism: Annotated[int, Field(ge=1, le=256)] | None = None
    """Pods of the replay that run at the same time; default 4."""
    active_deadline: Duration = "24h"
    """When the evaluation ends if nothing ended it before."""
    retention: Retention = Field(default=Retention())
    actions: Actions = Field(default=Actions())
    database: Database = Field(default=Database(managed=ManagedDatabase()))
    """Where counts and samples are kept; default: a PostgreSQL that goes with this ShadowEvaluation."""

    @property
    def scope(self) -> Scope:
        """Which requests are compared."""
        found = self.traffic.mirror or self.traffic.replay
        assert found is not None
        return found

    @property
    def shards(self) -> int:
        """Parts of a replay; 0 without one."""
        replay = self.traffic.replay
        return (replay.shards or self.parallelism or DEFAULT_PARALLELISM) if replay is not None else 0
