"""Why an evaluation is in the state it is in. The same word is the condition's reason and the event's reason."""

from enum import StrEnum


class Reason(StrEnum):
    """Why. CamelCase, stable."""

    # at rest
    COLLECTING = "Collecting"
    """Requests are being compared."""
    CONCLUDED = "Concluded"
    """The evaluation is over; status.verdict is its last word."""
    # on the way
    DATABASE_STARTING = "DatabaseStarting"
    """The managed PostgreSQL is not ready yet, or is being restarted."""
    MIGRATING = "Migrating"
    """The schema is being brought to this version."""
    ROLLING_OUT = "RollingOut"
    """The service of the present spec is being started."""
    MIRROR_PENDING = "MirrorPending"
    """The CanaryRollout that made the HTTPRoute has not put the filter in, or has not taken it out, yet."""
    FINISHING = "Finishing"
    """No more requests are taken; the last ones are being counted."""
    DELETED = "Deleted"
    """The ShadowEvaluation is being deleted."""
    # stalled: a person must act
    INVALID_SPEC = "InvalidSpec"
    """The spec cannot be read; nothing is changed until it is edited."""
    RIGHTS_MISSING = "RightsMissing"
    """The operator was not given its rights in this namespace: a RoleBinding is missing."""
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason, no password
    """A Secret that the spec names does not exist."""
    SECRET_KEY_NOT_FOUND = "SecretKeyNotFound"  # noqa: S105 - a reason, no password
    """A Secret that the spec names lacks the key."""
    SERVICE_NOT_FOUND = "ServiceNotFound"
    """A Service that the spec names does not exist, or lacks the port."""
    ROUTE_NOT_FOUND = "RouteNotFound"
    """The HTTPRoute that the spec names does not exist."""
    GATEWAY_API_MISSING = "GatewayAPIMissing"
    """The cluster does not serve gateway.networking.k8s.io/v1 HTTPRoute."""
    NAME_TAKEN = "NameTaken"
    """An object of a name that we need exists and is not ours."""
    MIGRATION_FAILED = "MigrationFailed"
    """The migration Job gave up."""
    ROLLOUT_STUCK = "RolloutStuck"
    """The pod of the service does not become ready."""
    REFUSED = "Refused"
    """The API server refused a write, such as by a quota or an admission policy."""
    # why it is over
    DEADLINE = "Deadline"
    """spec.activeDeadline is over."""
    REPLAY_COMPLETE = "ReplayComplete"
    """Every recorded request was sent."""
    REPLAY_FAILED = "ReplayFailed"
    """A shard of the replay failed too often: what is missing may be what matters, so the verdict is Inconclusive."""
    VERDICT_REACHED = "VerdictReached"
    """The design is AlwaysValid, and the verdict is Promote or Reject."""
    VERSION_CHANGED = "VersionChanged"
    """Control or candidate was changed meanwhile: the counts are of no one version, so the verdict is Inconclusive."""
    # of single conditions
    DATABASE_READY = "DatabaseReady"
    """The managed PostgreSQL is ready, or the external one was reached by the migration."""
    SCHEMA_CURRENT = "SchemaCurrent"
    """The schema is that of the version that serves."""
    ANALYSIS_AVAILABLE = "AnalysisAvailable"
    """The service says what it has counted."""
    ANALYSIS_UNAVAILABLE = "AnalysisUnavailable"
    """The service does not answer, or not as it should; the last counts stay in the status."""
    MIRROR_ACTIVE = "MirrorActive"
    """The HTTPRoute has the filter."""
    MIRROR_ABSENT = "MirrorAbsent"
    """The HTTPRoute does not have the filter."""
    CANARY_STARTED = "CanaryStarted"
    """The CanaryRollout that spec.actions names was started."""
    CANARY_WAITING = "CanaryWaiting"
    """The CanaryRollout that spec.actions names cannot be started yet; the message says for what it waits."""


STALLED = frozenset(
    {
        Reason.INVALID_SPEC,
        Reason.RIGHTS_MISSING,
        Reason.SECRET_NOT_FOUND,
        Reason.SECRET_KEY_NOT_FOUND,
        Reason.SERVICE_NOT_FOUND,
        Reason.ROUTE_NOT_FOUND,
        Reason.GATEWAY_API_MISSING,
        Reason.NAME_TAKEN,
        Reason.MIGRATION_FAILED,
        Reason.ROLLOUT_STUCK,
        Reason.REFUSED,
    }
)
"""Reasons that need a person: `Stalled=True`."""

AT_REST = frozenset({Reason.COLLECTING, Reason.CONCLUDED})
"""Everything is as the spec says: `Ready=True`."""
