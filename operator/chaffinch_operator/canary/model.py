"""Spec of CanaryRollout as pydantic models: the one source of crds/. No logic beyond parsing; status is in `status`.

Read with `extra="ignore"` (an older operator may meet a newer CRD). CEL rules stand beside what they guard and carry a
message that says what to change. No floats: decimals are strings, durations are Go-like strings ("90s", "1h30m").
"""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP = "chaffinch.dev"
VERSION = "v1alpha1"

_DURATION_PART = re.compile(r"([0-9]+)(ms|s|m|h)")
_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


def seconds(duration: str) -> float:
    """Parse a duration such as "30s", "5m" or "1h30m" to seconds; ValueError names the text."""
    parts = _DURATION_PART.findall(duration)
    if not parts or "".join(a + b for a, b in parts) != duration:
        raise ValueError(f'"{duration}" is no duration: write it like 30s, 5m or 1h30m')
    # Whole milliseconds, divided once: 9 * 0.001 is not 0.009, and a bucket boundary must be met exactly.
    return sum(int(number) * _MILLISECONDS[unit] for number, unit in parts) / 1000


def cel(*rules: tuple[str, str]) -> dict[str, Any]:
    """Schema extra that carries CEL rules as (rule, message)."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in rules]}


Name = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
Label = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
Duration = Annotated[str, Field(max_length=16, pattern=r"^([0-9]+(ms|s|m|h))+$")]
Decimal = Annotated[str, Field(max_length=16, pattern=r"^[0-9]+(\.[0-9]+)?$")]
Hostname = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
Query = Annotated[str, Field(min_length=1, max_length=2048)]


class Model(BaseModel):
    """Base of all API models: frozen, camelCase on the wire, unknown fields ignored on read."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )


class TargetRef(Model):
    """The Deployment whose template changes are released on evidence. It stays yours."""

    api_version: Literal["apps/v1"] = "apps/v1"
    """API group and version of the target."""
    kind: Literal["Deployment"] = "Deployment"
    """Kind of the target."""
    name: Label
    """Name of the Deployment, in the same namespace."""


class ServiceRef(Model):
    """The Service in front of the target."""

    name: Label
    """Name of the Service, in the same namespace."""
    port: Annotated[int, Field(ge=1, le=65535)]
    """Port of the Service that requests come in by."""


class ParentRef(Model):
    """The Gateway that the generated HTTPRoute attaches to."""

    name: Name
    """Name of the Gateway."""
    namespace: Label | None = None
    """Namespace of the Gateway; default: the CanaryRollout's own."""
    section_name: Name | None = None
    """Listener of the Gateway; default: all."""


class GatewayAPIRouting(Model):
    """Weights by an HTTPRoute that the operator owns."""

    mode: Literal["Generate"] = "Generate"
    """Generate: the operator makes, owns and removes the HTTPRoute."""
    parent_refs: Annotated[list[ParentRef], Field(min_length=1, max_length=8)]
    """Gateways that the route attaches to."""
    hostnames: Annotated[list[Hostname], Field(max_length=16)] = Field(default=[])
    """Host names of the route; none: all of the Gateway's."""


class ReplicasRouting(Model):
    """No route: the Service spans both revisions and the weight is the ratio of pods."""


class TrafficRouting(Model):
    """How the canary gets its share of requests: exactly one way."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.gatewayAPI) != has(self.replicas)",
                "set exactly one of trafficRouting.gatewayAPI and trafficRouting.replicas",
            )
        )
    )

    gateway_api: GatewayAPIRouting | None = Field(default=None, alias="gatewayAPI")
    replicas: ReplicasRouting | None = None


class CanarySize(Model):
    """How many canary pods there are."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("self.minReplicas <= self.maxReplicas", "canary.minReplicas must not exceed canary.maxReplicas")
        )
    )

    min_replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    """Canary pods at least, however small the weight."""
    max_replicas: Annotated[int, Field(ge=1, le=1000)] = 10
    """Canary pods at most, however large the weight."""
    replicas: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Fixed number of canary pods; default: weight x stable's ready replicas, within min and max."""


class Pause(Model):
    """Wait at the present weight. Analysis goes on; harm still rolls back."""

    duration: Duration | None = None
    """Go on by itself after this time; default: until a person promotes."""


class Step(Model):
    """One step: a weight and how long at least it is kept, or a pause."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("has(self.setWeight) != has(self.pause)", "a step has exactly one of setWeight and pause"),
            (
                "!has(self.minDuration) || has(self.setWeight)",
                "minDuration belongs to a step with setWeight; a pause has pause.duration",
            ),
        )
    )

    set_weight: Annotated[int, Field(ge=1, le=99)] | None = None
    """Percent of requests that go to the canary."""
    min_duration: Duration | None = None
    """How long the weight is kept at least, counted from when it is applied; default 2m."""
    pause: Pause | None = None


class Promotion(Model):
    """When the candidate is released after the last step."""

    require: Literal["Evidence", "Duration"] = "Evidence"
    """Evidence: every gate has proven the canary safe. Duration: the steps are over and no gate found harm."""
    max_duration: Duration = "2h"
    """After this time without a verdict, onInconclusive applies."""
    on_inconclusive: Literal["Hold", "Promote", "Rollback"] = "Hold"
    """What then happens: Hold keeps the weight and waits for a person."""


class Prometheus(Model):
    """A Prometheus-compatible server."""

    address: Annotated[str, Field(max_length=512, pattern=r"^https?://[^\s]+$")]
    """Base URL, such as http://prometheus.monitoring:9090."""


class Provider(Model):
    """Where the counters come from."""

    prometheus: Prometheus


class RatioSource(Model):
    """Two raw counters by pod: an instant vector selector, or an aggregation by pod. No rate(), no increase()."""

    bad: Query
    """Counter of bad events, such as http_requests_total{code=~"5.."}."""
    total: Query
    """Counter of all events."""


class LatencySource(Model):
    """A classic histogram by pod: requests slower than the threshold are bad."""

    histogram: Annotated[str, Field(max_length=256, pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
    """Name of the histogram without suffix, such as http_request_duration_seconds."""
    threshold: Duration
    """Must be one of the histogram's bucket boundaries."""
    unit: Literal["Seconds", "Milliseconds"] = "Seconds"
    """Unit of the histogram's boundaries."""
    matchers: Annotated[str, Field(max_length=1024)] = ""
    """More label matchers, such as route="/pay"."""


class ObjectiveSource(Model):
    """The canary alone against an absolute limit."""

    bad: Query
    """Counter of bad events, raw and by pod."""
    total: Query
    """Counter of all events, raw and by pod."""
    max_ratio: Decimal
    """Largest acceptable share of bad events, such as "0.01"."""


class SampleRatioSource(Model):
    """Is the traffic split what the weight says? If not, the rollout is never promoted."""

    total: Query | None = None
    """Counter of all events by pod; default: the first gate's counter."""


class PodRestartsSource(Model):
    """Restarts of the canary's containers, from the pods' status; needs no Prometheus."""

    max: Annotated[int, Field(ge=0, le=1000)] = 2
    """More restarts than this roll back."""


TEMPLATES = ("EnvoyGatewayErrors", "EnvoyGatewayLatency", "PodHTTPErrors", "PodHTTPLatency")
_SOURCES = ("ratio", "latency", "objective", "sampleRatio", "podRestarts", "template")


class Gate(Model):
    """One thing that must not get worse."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "[" + ", ".join(f"has(self.{s})" for s in _SOURCES) + "].exists_one(x, x)",
                "a gate has exactly one of ratio, latency, objective, sampleRatio, podRestarts and template",
            ),
            (
                "double(self.marginRatio) > double(self.harmRatio)",
                "marginRatio must exceed harmRatio: between the two lies what a canary may cost",
            ),
            ("double(self.dispersion) >= 1.0", 'dispersion must be at least "1"'),
            (
                "!has(self.safeBelow) || (double(self.safeBelow) > 0.0 && double(self.safeBelow) < 1.0)",
                "safeBelow is a share between 0 and 1, both excluded",
            ),
            (
                (
                    "!has(self.objective) || "
                    "(double(self.objective.maxRatio) > 0.0 && double(self.objective.maxRatio) < 1.0)"
                ),
                "objective.maxRatio is a share between 0 and 1, both excluded",
            ),
            (
                "!has(self.threshold) || (has(self.template) && self.template.endsWith('Latency'))",
                "threshold belongs to a latency template; a latency gate has latency.threshold",
            ),
        )
    )

    name: Label
    """Name in status, events and messages."""
    ratio: RatioSource | None = None
    latency: LatencySource | None = None
    objective: ObjectiveSource | None = None
    sample_ratio: SampleRatioSource | None = None
    pod_restarts: PodRestartsSource | None = None
    template: Literal["EnvoyGatewayErrors", "EnvoyGatewayLatency", "PodHTTPErrors", "PodHTTPLatency"] | None = None
    """A built-in gate: EnvoyGateway* count what clients saw at the gateway, PodHTTP* what the pods say."""
    threshold: Duration | None = None
    """Threshold of a latency template; default 500ms."""
    harm_ratio: Decimal = "1.0"
    """Rollback once the canary's bad share is proven above this many times stable's."""
    margin_ratio: Decimal = "1.5"
    """Pass once the canary's bad share is proven below this many times stable's."""
    safe_below: Decimal | None = None
    """Pass as well once the canary's bad share is proven below this; default "0.001", latency "0.01"."""
    dispersion: Decimal = "1"
    """Over-dispersion of the counts, from history; evidence is tempered by it."""
    dry_run: bool = False
    """Judge and report, never act."""


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
    provider: Provider | None = None
    gates: Annotated[list[Gate], Field(max_length=10)] = Field(
        default=[], json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    )
    """Default: errors and latency at the gateway (gatewayAPI), or of the pods (replicas), and podRestarts."""


class RollbackWindow(Model):
    """How far back an emergency revert needs no canary."""

    revisions: Annotated[int, Field(ge=0, le=10)] = 1
    """A template equal to one of this many formerly promoted revisions is released at once."""


DEFAULT_STEPS = [
    {"setWeight": 5, "minDuration": "2m"},
    {"setWeight": 25, "minDuration": "2m"},
    {"setWeight": 50, "minDuration": "2m"},
]
_PROVIDER_IS_GIVEN_OR_NOT_NEEDED = (
    "has(self.analysis.provider) || (size(self.analysis.gates) > 0 && self.analysis.gates.all(g, has(g.podRestarts)))"
)


class CanaryRolloutSpec(Model):
    """Release the target's new templates step by step, on evidence."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "self.targetRef == oldSelf.targetRef",
                "targetRef cannot be changed: delete this CanaryRollout and make another",
            ),
            (
                "self.serviceRef == oldSelf.serviceRef",
                "serviceRef cannot be changed: delete this CanaryRollout and make another",
            ),
            (
                "has(self.trafficRouting.gatewayAPI) == has(oldSelf.trafficRouting.gatewayAPI)",
                "the kind of trafficRouting cannot be changed: delete this CanaryRollout and make another",
            ),
            (_PROVIDER_IS_GIVEN_OR_NOT_NEEDED, "analysis.provider is required: only podRestarts gates work without it"),
        )
    )

    target_ref: TargetRef
    service_ref: ServiceRef
    traffic_routing: TrafficRouting
    canary: CanarySize = Field(default=CanarySize())
    steps: Annotated[
        list[Step],
        Field(
            min_length=1,
            max_length=20,
            json_schema_extra=cel(
                (
                    "self.filter(s, has(s.setWeight)).map(s, s.setWeight).isSorted()",
                    "the weights of steps must not decrease",
                ),
                ("self.exists(s, has(s.setWeight))", "at least one step must set a weight"),
            ),
        ),
    ] = Field(default=[Step.model_validate(s) for s in DEFAULT_STEPS])
    """Weights and pauses, in order: how far the weight may go, and how long at least. Evidence says the rest."""
    promotion: Promotion = Field(default=Promotion())
    analysis: Analysis
    rollback_window: RollbackWindow = Field(default=RollbackWindow())
    scale_down_delay_seconds: Annotated[int, Field(ge=0, le=3600)] = 30
    """How long the canary is kept after its weight is zero, so that running requests end."""
    progress_deadline_seconds: Annotated[int, Field(ge=1, le=86400)] = 600
    """How long the canary may take to become available."""
    suspend: bool = False
    """Change nothing: no canary starts, no weight moves. Templates stay held."""
