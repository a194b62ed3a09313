"""Where a service keeps its data, as a part of specs. No logic beyond parsing."""

from typing import Annotated

from pydantic import ConfigDict, Field

from chaffinch_operator.schema import Model, Name, cel

SecretKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
Storage = Annotated[str, Field(max_length=16, pattern=r"^[1-9][0-9]*(Mi|Gi|Ti)$")]


class SecretKeyRef(Model):
    """One key of a Secret in the same namespace."""

    name: Name
    """Name of the Secret."""
    key: SecretKey
    """Key in the Secret."""


class ManagedDatabase(Model):
    """One PostgreSQL that the operator runs; its volume outlives the pod."""

    storage: Storage = "10Gi"
    """Size of the volume."""


class ExternalDatabase(Model):
    """A PostgreSQL that somebody else runs."""

    dsn_secret_ref: SecretKeyRef
    """Where to connect, as postgresql://user:password@host/database."""


class Database(Model):
    """Where the data are kept: exactly one way."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.managed) != has(self.external)",
                "set exactly one of database.managed and database.external",
            ),
            (
                "has(self.managed) == has(oldSelf.managed)",
                "the kind of database cannot be changed: make another object and move the data to it",
            ),
            (
                "!has(self.managed) || !has(oldSelf.managed) || self.managed.storage == oldSelf.managed.storage",
                "database.managed.storage cannot be changed: enlarge the PersistentVolumeClaim instead",
            ),
        )
    )

    managed: ManagedDatabase | None = None
    external: ExternalDatabase | None = None
