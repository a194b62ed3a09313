"""Status of CanaryRollout as pydantic models: what users read, and all that the flow remembers between two passes.

Everything the operator needs after a kill -9 is here; sums, not samples, so it stays under 16 KiB. Numbers with a
fraction are strings, times are RFC 3339 strings in UTC.
"""

from typing import Annotated

from pydantic import Field

from chaffinch_operator.canary.reasons import Action, Reason, Verdict
from chaffinch_operator.schema import Condition, Model, Short, Text, Time

Number = Annotated[str, Field(max_length=32)]
_BY_TYPE = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
_BY_NAME = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


class Revision(Model):
    """A pod template: its digest, and what a person recognises it by."""

    digest: Short
    """Digest of the template without pod-template-hash, ours."""
    hash: Short = ""
    """pod-template-hash of its ReplicaSet, where it has one."""
    image: Annotated[str, Field(max_length=512)] = ""
    """Image of the first container."""


class Weight(Model):
    """Percent of requests for the canary."""

    desired: int = 0
    """Decided."""
    applied: int = 0
    """Read back from the route, or from the pods in replicas mode."""
    observed: Number = ""
    """Measured over the present step, such as "24.6"; empty before there is traffic."""
    since: Time = ""
    """When the applied weight was set; an interval that contains this moment is not judged."""


class StepStatus(Model):
    """Where the rollout is in spec.steps."""

    index: int = 0
    """Index of the step, from 0."""
    started_at: Time = ""
    """When the step's weight was confirmed; empty until then."""
    canary_requests: int = 0
    """Requests of the canary in intervals of this step."""
    total_requests: int = 0
    """Requests of both arms in intervals of this step."""
    other_requests: int = 0
    """Requests of neither arm in the same time: of stable's own pods beside a dedicated baseline."""


class Counts(Model):
    """Events of one arm since the rollout began."""

    bad: int = 0
    """Events that count against the arm."""
    total: int = 0
    """All events."""


class GateStatus(Model):
    """What one gate says, and the evidence it has gathered."""

    name: Short
    """Name of the gate in the spec, or of a default gate."""
    verdict: Verdict = Verdict.NO_DATA
    """Worst first: Fail, NoData, Inconclusive, Pass."""
    dry_run: bool = False
    """Judged and reported, never acted on."""
    canary: Counts = Counts()
    baseline: Counts = Counts()
    ratio: Number = ""
    """Estimate of canary's bad share over baseline's."""
    interval: Annotated[list[Number], Field(max_length=2)] = Field(default=[])
    """Confidence sequence for the ratio: [low, high], valid at any time."""
    p_value: Number = ""
    """Always-valid p-value against "no harm"."""
    log_e_harm: Number = ""
    """Natural log of the evidence of harm; the gate fails at log(gates/alpha)."""
    log_e_safe: Number = ""
    """Natural log of the evidence of safety; the gate passes at log(1/beta)."""
    dispersion: Number = ""
    """Over-dispersion by which the evidence is tempered; fixed before the first look."""
    dispersion_source: Short = ""
    """Where it is from: Spec, History with its extent, or Assumed with the reason why there is no history."""
    method: Short = ""
    """Poisson, Fisher (bad shares of a tenth and more) or GroupSequential; fixed before the first look."""
    last_interval_end: Time = ""
    """End of the last interval that was folded in."""
    message: Text = ""
    """One sentence with the numbers."""
    design: Short = ""
    """Digest of the gate's spec: evidence of another design starts anew."""
    evidence: Annotated[list[Text], Field(max_length=16)] = Field(default=[])
    """The sums the evidence is computed from; for the operator."""


class DecisionStatus(Model):
    """The last decision, written before it was carried out."""

    action: Action = Action.IDLE
    reason: Reason = Reason.PROMOTED
    at: Time = ""
    """When it was decided."""
    message: Text = ""
    """The same for people, with the numbers."""
    previous_reason: Short = ""
    """Reason of the decision before it, if there was one."""


class HistoryEntry(Model):
    """How one candidate ended."""

    digest: Short
    """Digest of the candidate's template."""
    image: Annotated[str, Field(max_length=512)] = ""
    """Image of its first container."""
    result: Short
    """Promoted, RolledBack, Superseded, Reverted or Released."""
    reason: Reason
    at: Time
    """When it ended."""
    message: Annotated[str, Field(max_length=512)] = ""
    """The numbers that decided."""


class AlertStatus(Model):
    """An alert of Alertmanager that matched spec.alerts during the rollout."""

    fingerprint: Short
    """Alertmanager's identity of its labels."""
    name: Short = ""
    """Its label alertname."""
    starts_at: Time
    """When it began to fire; with the fingerprint, what tells a repetition from another alert."""
    received_at: Time = ""
    """When the operator was told, or found it by asking."""
    outcome: Short = ""
    """What it leads to: Rollback or Pause until the flow has acted on it, then RolledBack or Paused."""
    message: Annotated[str, Field(max_length=300)] = ""
    """Its labels, and why this outcome."""


class ActionStatus(Model):
    """The last action a person asked for with the annotation chaffinch.dev/action."""

    token: Short
    """The annotation's value."""
    accepted: bool
    """Whether it made sense and was done."""
    message: Text = ""
    """What was done, or why not."""
    at: Time = ""
    """When it was answered."""


class Forecast(Model):
    """When the rollout will be decided if the candidate is as good as stable."""

    requests_needed: int = 0
    """Requests of both arms still needed by the slowest gate."""
    decision_by: Time = ""
    """When it has them at the present traffic and the steps are over, in whole minutes; empty: over a month away."""
    gate: Short = ""
    """The slowest gate; empty when only the steps are left."""


class CanaryRolloutStatus(Model):
    """What is going on, why, and the evidence for it."""

    observed_generation: int = 0
    """metadata.generation that all of this is about."""
    phase: Short = ""
    """For display only; conditions and lastDecision are the truth."""
    conditions: Annotated[list[Condition], Field(max_length=16, json_schema_extra=_BY_TYPE)] = Field(default=[])
    """Ready, Reconciling and Stalled as kstatus wants them; Progressing, HoldInstalled and, while a forecast is there,
    OnTime beside them."""
    last_decision: DecisionStatus = DecisionStatus()
    stable: Revision | None = None
    candidate: Revision | None = None
    candidate_since: Time = ""
    """When the candidate was first seen."""
    isolated_hash: Annotated[str, Field(max_length=63)] = ""
    """pod-template-hash that the Service's selector is narrowed to while a canary exists; for the selector policy."""
    baseline: Short = ""
    """Dedicated when the candidate is compared with a fresh copy of stable; decided when its canary starts."""
    weight: Weight = Weight()
    step: StepStatus = StepStatus()
    analysis_started_at: Time = ""
    """When the canary got its first weight; maxDuration counts from here."""
    interval_end: Time = ""
    """End of the last closed interval; the next one starts here."""
    drained_at: Time = ""
    """When weight zero was read back; scaleDownDelaySeconds counts from here."""
    paused_by_user: bool = False
    """A person paused the rollout; `resume` goes on."""
    gates: Annotated[list[GateStatus], Field(max_length=12, json_schema_extra=_BY_NAME)] = Field(default=[])
    """What each gate says, and the evidence it has gathered."""
    forecast: Forecast | None = None
    alerts: Annotated[list[AlertStatus], Field(max_length=5)] = Field(default=[])
    """Alerts that matched during the present rollout, newest first."""
    last_action: ActionStatus | None = None
    promoted_revisions: Annotated[list[Short], Field(max_length=12)] = Field(default=[])
    """Digests that were promoted, the present stable first."""
    rejected_revisions: Annotated[list[Short], Field(max_length=10)] = Field(default=[])
    """Digests that were rolled back."""
    history: Annotated[list[HistoryEntry], Field(max_length=10)] = Field(default=[])
    """The last outcomes, newest first."""
