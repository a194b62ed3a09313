"""Spec of CreditsLedger as pydantic models. No logic beyond parsing; only fields that something serves."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from chaffinch_operator.children.database import SecretKeyRef
from chaffinch_operator.credits.database import LedgerDatabase, SecretRef
from chaffinch_operator.schema import Duration, Label, Model, cel

Code = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[A-Z][A-Z0-9_]*$")]


class Asset(Model):
    """What accounts hold."""

    code: Code
    """Such as CREDIT or USD."""
    scale: Annotated[int, Field(ge=0, le=18)] = 0
    """Digits after the decimal point; amounts are whole numbers of the smallest unit."""


class Autoscaling(Model):
    """Pods by load."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("self.minReplicas <= self.maxReplicas", "autoscaling.minReplicas must not exceed autoscaling.maxReplicas")
        )
    )

    min_replicas: Annotated[int, Field(ge=1, le=100)] = 3
    """Pods at least."""
    max_replicas: Annotated[int, Field(ge=1, le=100)] = 10
    """Pods at most."""
    target_cpu_percent: Annotated[int, Field(ge=1, le=100, alias="targetCPUPercent")] = 70
    """Share of the requested CPU that is aimed at."""


class Tls(Model):
    """HTTPS by TLS 1.3, with certificates that the operator makes and renews."""

    mode: Literal["Server", "Mutual"] = "Server"
    """Server: the service shows a certificate. Mutual: clients must show one of the same authority too."""


class Audit(Model):
    """Signed checkpoints."""

    signing_key_secret_ref: SecretKeyRef | None = None
    """Ed25519 key in PEM; default: one is made, and kept when this CreditsLedger is deleted."""


class Encryption(Model):
    """Metadata of requests is encrypted before it reaches the database."""

    key_secret_ref: SecretRef
    """Key-encryption keys: each item is one, of 32 bytes; the one whose name sorts last wraps what is new."""
    rotation_period: Duration = "2160h"
    """Life of the data keys that they wrap; what an older one encrypted stays readable."""


class AllowFrom(Model):
    """Whose pods may reach the service."""

    namespace: Label
    """Name of a namespace."""


class Access(Model):
    """Who may reach the service, and by what key."""

    allow_from: Annotated[list[AllowFrom], Field(max_length=32)] = Field(default=[])
    """Namespaces whose pods may connect; none: only the CreditsLedger's own namespace."""
    api_keys_secret_ref: SecretKeyRef | None = None
    """File of API keys; default: one is made, with one key that may do everything."""


class CreditsLedgerSpec(Model):
    """A double-entry credits ledger: the service, its database and who may reach it."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("!(has(self.replicas) && has(self.autoscaling))", "set at most one of replicas and autoscaling"),
        )
    )

    assets: Annotated[
        list[Asset],
        Field(
            min_length=1,
            max_length=32,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["code"],
                **cel(
                    (
                        "oldSelf.all(o, self.exists(n, n.code == o.code && n.scale == o.scale))",
                        "an asset can neither be removed nor get another scale: accounts may hold it",
                    )
                ),
            },
        ),
    ]
    """Assets of the ledger; more may be added later."""
    replicas: Annotated[int, Field(ge=1, le=100)] | None = None
    """Pods of the service; default 3 without autoscaling."""
    autoscaling: Autoscaling | None = None
    database: LedgerDatabase
    tls: Tls | None = None
    """Default: plain HTTP."""
    encryption: Encryption | None = None
    """Default: metadata is stored as it was sent. Once there is encryption, it stays."""
    audit: Audit = Field(default=Audit())
    access: Access = Field(default=Access())
    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """What becomes of volume, database password, signing key and API key when this CreditsLedger is deleted.

    Backups always stay."""
