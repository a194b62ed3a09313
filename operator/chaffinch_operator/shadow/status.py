"""Status of ShadowEvaluation as pydantic models. Numbers that are no counts are decimal strings."""

from typing import Annotated

from pydantic import Field

from chaffinch_operator.schema import Condition, Model, Short, Text, Time

Number = Annotated[str, Field(max_length=32)]
"""A decimal, or NotAvailable."""
Count = Annotated[int, Field(ge=0)]
Cells = Annotated[list[Count], Field(max_length=8)]


class DecisionStatus(Model):
    """What the operator found last."""

    reason: Short = ""
    """Why, as in the conditions."""
    message: Text = ""
    """The same for people."""
    at: Time = ""
    """Since when this is the reason."""


class RunStatus(Model):
    """The evaluation of one generation of the spec: another one starts counting anew."""

    generation: int = 0
    """metadata.generation that is evaluated."""
    started_at: Time = ""
    """Since when requests are taken."""
    ended_at: Time = ""
    """Since when none is taken any more."""
    cause: Short = ""
    """Why it ended."""
    concluded_at: Time = ""
    """Since when the verdict is final."""


class VersionStatus(Model):
    """What ran behind a Service when the evaluation began."""

    deployment: Short = ""
    """Name of the one Deployment behind the Service; empty where there is none, or more than one."""
    images: Annotated[list[Annotated[str, Field(max_length=512)]], Field(max_length=16)] = Field(default=[])
    """Images of its containers."""
    digest: Short = ""
    """Digest of its containers and volumes, by which another template is known to be the same version."""


class ReasonStatus(Model):
    """One reason of the verdict."""

    reason: Short
    """Its word, as the service has it."""
    message: Text = ""
    """The same for people, with the numbers."""


class DroppedStatus(Model):
    """Copies that were not compared."""

    reason: Short
    """Why, such as TooLarge or CandidateTimedOut."""
    copies: Count = 0
    """How many."""


class CoverageStatus(Model):
    """What became of the copies."""

    received: Count = 0
    """Copies that arrived."""
    pairs: Count = 0
    """Copies that were compared."""
    share: Number = ""
    """Pairs among all that should have been compared."""
    dropped: Annotated[list[DroppedStatus], Field(max_length=16)] = Field(default=[])
    """The others, by reason, most first."""


class DiscordantStatus(Model):
    """Requests on which exactly one version detected something."""

    lost: Count = 0
    """Attacks that the control alone detected. They are listed by the service under /v1/samples/lost."""
    gained: Count = 0
    """Attacks that the candidate alone detected."""
    new_false_alarms: Count = 0
    """Harmless requests that the candidate alone detected."""
    repaired_false_alarms: Count = 0
    """Harmless requests that the control alone detected."""
    p_always_valid: Number = ""
    """p of no difference in right verdicts, valid at any look."""


class MetricStatus(Model):
    """A metric of both versions."""

    name: Short
    """Such as mcc."""
    control: Number = ""
    """Of the control."""
    candidate: Number = ""
    """Of the candidate."""
    difference: Number = ""
    """Candidate minus control."""
    low: Number = ""
    """Lower end of the interval of the difference."""
    high: Number = ""
    """Its upper end."""


class StratumStatus(Model):
    """A part of the requests."""

    name: Short
    """Value of the header that names parts."""
    cells: Cells = Field(default=[])
    """Its eight counts."""
    lost: Count = 0
    """Attacks that the control alone detected."""
    gained: Count = 0
    """Attacks that the candidate alone detected."""


class NoiseStatus(Model):
    """How much two equal versions differ."""

    requests: Count = 0
    """Requests that the second control answered, too."""
    differing: Count = 0
    """Answers of the second control that differ from the control's."""


class ShardsStatus(Model):
    """The replay."""

    total: Count = 0
    """Shards that there are."""
    done: Count = 0
    """Shards that are complete."""


class MirrorStatus(Model):
    """Copies of live requests."""

    service: Short = ""
    """Service that a RequestMirror filter names."""
    port: Count = 0
    """Its port."""
    route: Short = ""
    """HTTPRoute that has, or is to have, the filter."""
    writer: Short = ""
    """Who writes it: this ShadowEvaluation, or CanaryRollout/NAME where one made the route."""
    active: bool = False
    """Whether copies are wanted now."""
    adopted: Annotated[list[Short], Field(max_length=8)] = Field(default=[])
    """HTTPRoutes that the filter was put into, or is about to be, and is not yet out of again."""


class CanaryStatus(Model):
    """What spec.actions did."""

    rollout: Short = ""
    """CanaryRollout that is to be started."""
    started_at: Time = ""
    """Since when it is no longer suspended."""


class ShadowEvaluationStatus(Model):
    """State of the evaluation, as last seen."""

    observed_generation: int = 0
    """metadata.generation that this status is about."""
    phase: Short = ""
    """The same as Ready's reason, for display."""
    run: RunStatus = RunStatus()
    """What is evaluated since when."""
    verdict: Short = ""
    """Promote, Hold, Reject or Inconclusive. Final once run.concludedAt is set; with design FixedN empty before."""
    reasons: Annotated[list[ReasonStatus], Field(max_length=12)] = Field(default=[])
    """Why, the deciding ones first."""
    cells: Cells = Field(default=[])
    """Eight counts; the index of one is 4*label + 2*control + candidate."""
    requests: Count = 0
    """Requests that were compared."""
    labelled: Count = 0
    """Those with a label."""
    coverage: CoverageStatus = CoverageStatus()
    """How complete the comparison is."""
    discordant: DiscordantStatus = DiscordantStatus()
    """Requests on which the versions differ."""
    metrics: Annotated[list[MetricStatus], Field(max_length=8)] = Field(default=[])
    """With the interval of the difference, at 1 - alpha."""
    auc: MetricStatus | None = None
    """Areas under the ROC curves, where there are scores."""
    strata: Annotated[list[StratumStatus], Field(max_length=17)] = Field(default=[])
    """Parts of the requests, those that lose most first."""
    noise: NoiseStatus | None = None
    """With noiseControl."""
    shards: ShardsStatus | None = None
    """With traffic.replay."""
    mirror: MirrorStatus | None = None
    """With traffic.mirror."""
    control: VersionStatus = VersionStatus()
    """What ran behind the control's Service when the evaluation began."""
    candidate: VersionStatus = VersionStatus()
    """What ran behind the candidate's."""
    canary: CanaryStatus | None = None
    """With actions.onPromote StartCanary."""
    endpoint: Short = ""
    """Base address of the service's API within the cluster; its token is in the Secret NAME-token."""
    last_decision: DecisionStatus = DecisionStatus()
    """What was found last."""
    conditions: Annotated[
        list[Condition],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = Field(default=[])
    """Ready, Reconciling, Stalled, DatabaseReady, SchemaCurrent, Analysis, Mirror, Concluded and CanaryStarted."""
