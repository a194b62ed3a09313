"""The words of the flow: what the rollout is doing (Action) and why (Reason). One constant per fact.

The same reason is the condition's reason, the event's reason and the metric's label. Nothing else belongs here.
"""

from enum import StrEnum


class Action(StrEnum):
    """What was decided last: the durable state of the flow, written to status before it is carried out."""

    IDLE = "Idle"
    """Stable serves everything; nothing is under way."""
    WAIT = "Wait"
    """Something outside must happen first (the target appears, finishes its own rollout, is repaired)."""
    START = "Start"
    """A held candidate is being prepared: isolate stable, start the canary, no traffic yet."""
    SHIFT = "Shift"
    """The canary gets the weight of the current step and is analysed."""
    PAUSE = "Pause"
    """The weight stays until a person, or the pause's duration, lets it go on. Analysis goes on."""
    HOLD = "Hold"
    """All steps are done, evidence is not: the weight stays until it is. Analysis goes on."""
    PROMOTE = "Promote"
    """The target is released; the canary serves its share until the target has rolled."""
    ROLL_BACK = "RollBack"
    """Weight to zero, canary removed after the delay."""
    REJECTED = "Rejected"
    """Rolled back: the candidate stays held until it is changed, reverted or retried."""
    ABANDON = "Abandon"
    """Another candidate arrived mid-flight: weight to zero, canary removed, then start over."""
    RELEASE = "Release"
    """The template needs no canary: un-paused at once."""


class Reason(StrEnum):
    """Why. CamelCase, stable, documented in docs/reference/reasons.md."""

    # at rest
    PROMOTED = "Promoted"
    """The target runs the template that is proven, or the first one ever seen."""
    ROLLED_BACK = "RolledBack"
    """The candidate was rolled back and stays held."""
    # on the way
    INITIALIZING = "Initializing"
    """The canary is being started."""
    STEP_WEIGHT = "StepWeight"
    """The weight of the current step is being applied."""
    ANALYZING = "Analyzing"
    """The weight is applied; evidence is gathered."""
    PAUSED = "Paused"
    """A pause step with a duration."""
    APPROVAL_REQUIRED = "ApprovalRequired"
    """A pause step without a duration: `kubectl chaffinch promote` goes on."""
    PAUSED_BY_USER = "PausedByUser"
    """A person paused the rollout."""
    PAUSED_BY_ALERT = "PausedByAlert"
    """An alert that matches spec.alerts fired: `kubectl chaffinch resume` goes on."""
    INSUFFICIENT_EVIDENCE = "InsufficientEvidence"
    """All steps are done; at least one gate has not proven the canary safe yet."""
    NO_DATA = "NoData"
    """A gate has no usable data: the weight is held, nothing is decided."""
    INCONCLUSIVE = "Inconclusive"
    """maxDuration is over without a verdict."""
    # the forecast
    WITHIN_MAX_DURATION = "WithinMaxDuration"
    """A candidate as good as stable will be decided within maxDuration."""
    TOO_SLOW = "TooSlow"
    """At the present traffic a candidate as good as stable is not decided within maxDuration."""
    # towards promotion
    GATES_PASSED = "GatesPassed"
    """Every gate proved the canary safe at its margin."""
    DURATION_ELAPSED = "DurationElapsed"
    """promotion.require is Duration, and no gate found harm."""
    PROMOTED_BY_USER = "PromotedByUser"
    """A person promoted by force."""
    PROMOTION_INTERRUPTED = "PromotionInterrupted"
    """The template changed while the target was rolling to the promoted one; the new template is held."""
    PROMOTION_STUCK = "PromotionStuck"
    """The target does not finish rolling to the promoted template."""
    # releases without a canary
    KNOWN_REVISION = "KnownRevision"
    """The template was promoted before and lies within the rollback window."""
    REVERTED = "Reverted"
    """The template is stable's again."""
    SCALED_TO_ZERO = "ScaledToZero"
    """The target has no replicas, so no user can be hurt."""
    # towards rollback
    GATE_FAILED = "GateFailed"
    """A gate proved harm."""
    ALERT_FIRING = "AlertFiring"
    """An alert that matches spec.alerts fired, and spec.alerts.onFiring is Rollback."""
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    """The canary's pods did not become available in progressDeadlineSeconds."""
    BASELINE_NOT_AVAILABLE = "BaselineNotAvailable"
    """The dedicated baseline's pods did not become available in progressDeadlineSeconds: the candidate waits for them,
    and is not called bad for it."""
    ABORTED = "Aborted"
    """A person aborted the rollout."""
    SUPERSEDED = "Superseded"
    """Another template arrived."""
    DELETED = "Deleted"
    """The CanaryRollout is being deleted: traffic goes back to stable, the canary goes."""
    # waiting for the outside
    TARGET_NOT_FOUND = "TargetNotFound"
    """spec.targetRef names no Deployment."""
    TARGET_PROGRESSING = "TargetProgressing"
    """The target is in a rollout of its own, which is left to finish."""
    NO_STABLE = "NoStable"
    """The target has no running revision to compare with."""
    PREREQUISITE_NOT_MET = "PrerequisiteNotMet"
    """spec.prerequisites: the ShadowEvaluation has not said Promote of this candidate, or too long ago."""
    SUSPENDED = "Suspended"
    """spec.suspend is true: nothing is changed."""
    # stalled: a person must act
    INVALID_SPEC = "InvalidSpec"
    """The spec contradicts itself or the cluster in a way that only an edit can repair."""
    TARGET_CONFLICT = "TargetConflict"
    """An older CanaryRollout has the same target."""
    STRATEGY_RECREATE = "StrategyRecreate"
    """The target's strategy is Recreate: promotion would drop stable's share of traffic."""
    SERVICE_NOT_FOUND = "ServiceNotFound"
    """spec.serviceRef names no Service."""
    SERVICE_PORT_NOT_FOUND = "ServicePortNotFound"
    """The Service has no such port."""
    SERVICE_SELECTOR_MISMATCH = "ServiceSelectorMismatch"
    """The Service does not select the target's pods."""
    GATEWAY_API_MISSING = "GatewayAPIMissing"
    """The cluster does not serve gateway.networking.k8s.io/v1 HTTPRoute."""
    ROUTE_NOT_ACCEPTED = "RouteNotAccepted"
    """The Gateway refused the generated HTTPRoute."""
    NAME_TAKEN = "NameTaken"
    """An object of the name we need exists and is not ours."""
    HOLD_NOT_INSTALLED = "HoldNotInstalled"
    """The API server does not hold changed templates, so no rollout may start."""
    HOLD_INSTALLED = "HoldInstalled"
    """The API server holds changed templates of the target."""
    REFUSED = "Refused"
    """The API server refused a write of ours."""
    # gates' data
    PROVIDER_UNREACHABLE = "ProviderUnreachable"
    """Prometheus does not answer."""
    BAD_QUERY = "BadQuery"
    """Prometheus refused the query, or it returns something that is not a raw counter."""


STALLED = frozenset(
    {
        Reason.INVALID_SPEC,
        Reason.TARGET_CONFLICT,
        Reason.STRATEGY_RECREATE,
        Reason.SERVICE_NOT_FOUND,
        Reason.SERVICE_PORT_NOT_FOUND,
        Reason.SERVICE_SELECTOR_MISMATCH,
        Reason.GATEWAY_API_MISSING,
        Reason.ROUTE_NOT_ACCEPTED,
        Reason.NAME_TAKEN,
        Reason.HOLD_NOT_INSTALLED,
        Reason.ROLLED_BACK,
        Reason.PROMOTION_INTERRUPTED,
        Reason.PROMOTION_STUCK,
        Reason.REFUSED,
        Reason.BASELINE_NOT_AVAILABLE,
        Reason.BAD_QUERY,
    }
)
"""Reasons with which nothing goes on until a person acts: `Stalled=True`."""

IN_FLIGHT = frozenset({Action.START, Action.SHIFT, Action.PAUSE, Action.HOLD})
"""Actions during which a canary exists and may get traffic on its own merit."""


class Verdict(StrEnum):
    """What one gate says. Worst first: Fail > NoData > Inconclusive > Pass."""

    FAIL = "Fail"
    NO_DATA = "NoData"
    INCONCLUSIVE = "Inconclusive"
    PASS = "Pass"  # noqa: S105 - a verdict, no password
