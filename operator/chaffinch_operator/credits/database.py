"""Where a ledger keeps its data and its backups, as a part of the spec. No logic beyond parsing."""

from typing import Annotated

from pydantic import ConfigDict, Field

from chaffinch_operator.children.database import Database, ManagedDatabase, Storage
from chaffinch_operator.schema import Model, Name, cel

Cron = Annotated[str, Field(max_length=64, pattern=r"^[^ ]+( [^ ]+){4}$")]
Days = Annotated[str, Field(max_length=5, pattern=r"^[1-9][0-9]*d$")]
Moment = Annotated[
    str, Field(max_length=32, pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$")
]

_UNCHANGED = (
    "has(self.restoreFrom) == has(oldSelf.restoreFrom) && "
    "(!has(self.restoreFrom) || self.restoreFrom == oldSelf.restoreFrom)"
)
_SAME_SIZE = (
    "!has(self.backup) || !has(oldSelf.backup) || "
    "!has(self.backup.repository.volume) || !has(oldSelf.backup.repository.volume) || "
    "self.backup.repository.volume == oldSelf.backup.repository.volume"
)


class SecretRef(Model):
    """A Secret in the same namespace."""

    name: Name
    """Its name."""


class S3(Model):
    """A bucket behind the API of S3, over HTTPS."""

    endpoint: Annotated[str, Field(max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[1-9][0-9]{0,4})?$")]
    """Host, and port where that is not 443."""
    bucket: Annotated[str, Field(max_length=63, pattern=r"^[a-z0-9][-a-z0-9.]+[a-z0-9]$")]
    """Its name; it must exist."""
    region: Annotated[str, Field(max_length=64, pattern=r"^[-a-z0-9]+$")]
    """Such as eu-central-1."""
    path: Annotated[str, Field(max_length=253, pattern=r"^(/[-._a-zA-Z0-9]+)+$")] | None = None
    """Folder in the bucket; default /NAMESPACE/NAME."""
    secret_ref: SecretRef
    """Has accessKey and secretKey, and ca.crt where the endpoint's authority is not a public one."""

    @property
    def port(self) -> int:
        """Of the endpoint."""
        return int(self.endpoint.partition(":")[2] or 443)


class Repository(Model):
    """Where backups and WAL are kept, encrypted with a passphrase that is made once: exactly one way."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("has(self.volume) != has(self.s3)", "set exactly one of backup.repository.volume and backup.repository.s3")
        )
    )

    volume: Storage | None = None
    """Size of a volume of its own. It outlives this CreditsLedger, whatever deletionPolicy says."""
    s3: S3 | None = None


class Backup(Model):
    """Full backups by pgBackRest, and all WAL between them, so that every moment can be restored."""

    schedule: Cron = "0 3 * * *"
    """When a full backup is made, as cron has it, in UTC."""
    retention: Days = "30d"
    """How long backups are kept: back to then, every moment can be restored."""
    repository: Repository
    check_schedule: Cron = "0 5 * * 0"
    """When the newest moment is restored for trial and verified, as cron has it, in UTC."""


class RestoreFrom(Model):
    """A backup that the new database begins with."""

    ledger: Name
    """The CreditsLedger whose backups are taken; only its Secrets -backup and -audit must still exist."""
    s3: S3 | None = None
    """The bucket that has them; default: they are on that ledger's volume of backups, in this namespace."""
    time: Moment | None = None
    """The moment to restore, such as 2026-01-31T12:00:00Z; default: the newest that there is."""


class ManagedLedgerDatabase(ManagedDatabase):
    """One PostgreSQL that the operator runs; its volume outlives the pod."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                _UNCHANGED,
                "database.managed.restoreFrom is for a new CreditsLedger: make another one, or delete this one first",
            ),
            (
                _SAME_SIZE,
                "database.managed.backup.repository.volume cannot be changed: enlarge the PersistentVolumeClaim",
            ),
        )
    )

    backup: Backup | None = None
    """Default: no backups are made."""
    restore_from: RestoreFrom | None = None
    """Default: begin with nothing."""


class LedgerDatabase(Database):
    """Where the data are kept: exactly one way."""

    managed: ManagedLedgerDatabase | None = None
