"""Spec of CanaryRollout as pydantic models: the one source of crds/. No logic beyond parsing; status is in `status`.

Read with `extra="ignore"` (an older operator may meet a newer CRD). CEL rules stand beside what they guard and carry a
message that says what to change. No floats: decimals are strings, durations are Go-like strings ("90s", "1h30m").
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from chaffinch_operator.canary.model_analysis import Alerts, Analysis
from chaffinch_operator.schema import Duration, Hostname, Label, Model, Name, cel


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
    baseline: Literal["None", "Dedicated"] = "None"
    """What the canary is compared with. None: stable as it runs. Dedicated: a fresh copy of stable, of the canary's
    size and age, which gets the same share of requests."""


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


class ShadowEvaluationRef(Model):
    """A ShadowEvaluation in the same namespace, whose candidate is the target's held template."""

    name: Label
    """Name of the ShadowEvaluation."""
    max_age: Duration = "24h"
    """How old its verdict may be."""


class Prerequisites(Model):
    """What must be shown before a canary starts."""

    shadow_evaluation_ref: ShadowEvaluationRef
    """It must have said Promote of the same candidate: the same images, commands, settings and volumes."""


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
    alerts: Alerts | None = None
    """Alerts that end or pause a rollout; default: none."""
    prerequisites: Prerequisites | None = None
    """What must be shown before a canary starts; default: nothing."""
    rollback_window: RollbackWindow = Field(default=RollbackWindow())
    scale_down_delay_seconds: Annotated[int, Field(ge=0, le=3600)] = 30
    """How long the canary is kept after its weight is zero, so that running requests end."""
    progress_deadline_seconds: Annotated[int, Field(ge=1, le=86400)] = 600
    """How long the canary may take to become available."""
    suspend: bool = False
    """Change nothing: no canary starts, no weight moves. Templates stay held."""
