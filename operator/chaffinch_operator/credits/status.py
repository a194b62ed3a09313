"""Status of CreditsLedger as pydantic models: what users read. The operator needs nothing of it but the times."""

from typing import Annotated

from pydantic import Field

from chaffinch_operator.schema import Condition, Model, Short, Text, Time


class DecisionStatus(Model):
    """What the operator found last."""

    reason: Short = ""
    """Why, as in the conditions."""
    message: Text = ""
    """The same for people."""
    at: Time = ""
    """Since when this is the reason."""


class PodsStatus(Model):
    """Pods of the service."""

    wanted: int = 0
    """That there should be."""
    ready: int = 0
    """That are available."""


class CertificateStatus(Model):
    """The certificate that the service shows."""

    secret_name: Short = ""
    """Secret with ca.crt, which clients need to trust the service."""
    client_secret_name: Short = ""
    """Secret with a certificate for clients, in mode Mutual."""
    not_after: Time = ""
    """When it ends; it is renewed a third of its life before."""


class BackupStatus(Model):
    """Backups of the managed database."""

    repository: Annotated[str, Field(max_length=512)] = ""
    """PersistentVolumeClaim or bucket where they are; the Secret NAME-backup has the passphrase."""
    last_backup: Time = ""
    """When the last full backup was done; every moment since its retention began can be restored."""
    last_verified_restore: Time = ""
    """When the newest moment was restored for trial last, and chain, tree and balances were found sound."""


class KeyStatus(Model):
    """Where a key is."""

    name: Short = ""
    """Name of the Secret."""
    key: Short = ""
    """Key in the Secret."""


class CreditsLedgerStatus(Model):
    """State of the ledger, as last seen."""

    observed_generation: int = 0
    """metadata.generation that this status is about."""
    phase: Short = ""
    """The same as Ready's reason, for display."""
    endpoint: Short = ""
    """Base address of the API within the cluster."""
    image: Annotated[str, Field(max_length=512)] = ""
    """Image that serves, or is to."""
    pods: PodsStatus = PodsStatus()
    """Pods of the service."""
    verifier_key: Annotated[str, Field(max_length=512)] = ""
    """Public half of the signing key: what auditors give to chaffinch-credits verify."""
    api_key: KeyStatus = KeyStatus()
    """The API key that was made, where the spec names no file of keys."""
    certificate: CertificateStatus = CertificateStatus()
    """What the service shows, and where clients find whom to trust."""
    backup: BackupStatus = BackupStatus()
    """Where backups are, and how old the last one is."""
    last_decision: DecisionStatus = DecisionStatus()
    """What was found last."""
    conditions: Annotated[
        list[Condition],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = Field(default=[])
    """Ready, Reconciling, Stalled, DatabaseReady, SchemaCurrent, BackupHealthy, and KeysCurrent with encryption."""
