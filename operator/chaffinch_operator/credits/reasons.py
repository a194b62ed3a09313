"""Why a ledger is in the state it is in. The same word is the condition's reason and the event's reason."""

from enum import StrEnum


class Reason(StrEnum):
    """Why. CamelCase, stable."""

    # at rest
    SERVING = "Serving"
    """All pods of the present version are ready."""
    # on the way
    DATABASE_STARTING = "DatabaseStarting"
    """The managed PostgreSQL is not ready yet, or is being restarted."""
    MIGRATING = "Migrating"
    """The schema is being brought to this version; the pods before it serve meanwhile."""
    ROLLING_OUT = "RollingOut"
    """Pods of the present version are being started, one by one."""
    DELETED = "Deleted"
    """The CreditsLedger is being deleted."""
    # stalled: a person must act
    INVALID_SPEC = "InvalidSpec"
    """The spec cannot be read; nothing is changed until it is edited."""
    RIGHTS_MISSING = "RightsMissing"
    """The operator was not given its rights in this namespace: a RoleBinding is missing."""
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason, no password
    """A Secret that the spec names does not exist."""
    SECRET_KEY_NOT_FOUND = "SecretKeyNotFound"  # noqa: S105 - a reason, no password
    """A Secret that the spec names lacks the key."""
    MIGRATION_FAILED = "MigrationFailed"
    """The migration Job gave up; no pod of this version starts."""
    NAME_TAKEN = "NameTaken"
    """An object of a name that we need exists and is not ours."""
    BAD_KEY = "BadKey"
    """The signing key is no Ed25519 key in PEM."""
    ROLLOUT_STUCK = "RolloutStuck"
    """Pods of the present version do not become ready; those before serve on."""
    PASSPHRASE_LOST = "PassphraseLost"  # noqa: S105 - a reason, no password
    """There are backups, and the Secret with the passphrase that they are encrypted with is gone."""
    NO_SUCH_BACKUP = "NoSuchBackup"
    """The volume of the backups that the database is to begin with does not exist."""
    RESTORE_FAILED = "RestoreFailed"
    """The database could not be restored from its backup; it is tried again and again."""
    REFUSED = "Refused"
    """The API server refused a write, such as by a quota or an admission policy."""
    # of single conditions
    DATABASE_READY = "DatabaseReady"
    """The managed PostgreSQL is ready, or the external one was reached by the migration."""
    SCHEMA_CURRENT = "SchemaCurrent"
    """The schema is that of the version that serves."""
    KEYS_CURRENT = "KeysCurrent"
    """All data keys are wrapped by the newest key-encryption key: older ones may be removed."""
    BACKED_UP = "BackedUp"
    """The last backup went well, and so did the last restore for trial, if there was one."""
    NO_BACKUPS = "NoBackups"
    """The spec asks for no backups of the managed database."""
    BACKUP_PENDING = "BackupPending"
    """The first backup is not done yet."""
    BACKUP_FAILED = "BackupFailed"
    """The last backup failed."""
    RESTORE_CHECK_FAILED = "RestoreCheckFailed"
    """The last restore for trial failed, or what was restored is not sound."""


STALLED = frozenset(
    {
        Reason.INVALID_SPEC,
        Reason.RIGHTS_MISSING,
        Reason.SECRET_NOT_FOUND,
        Reason.SECRET_KEY_NOT_FOUND,
        Reason.MIGRATION_FAILED,
        Reason.NAME_TAKEN,
        Reason.BAD_KEY,
        Reason.ROLLOUT_STUCK,
        Reason.PASSPHRASE_LOST,
        Reason.NO_SUCH_BACKUP,
        Reason.RESTORE_FAILED,
        Reason.REFUSED,
    }
)
"""Reasons that need a person: `Stalled=True`."""
