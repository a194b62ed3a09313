"""What a pass sees of the world: frozen values, no behaviour beyond looking things up. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from chaffinch_operator.children.seen import NO_PODS, NOT_ENDED, Ended, Found, JobState, Pods


@dataclass(frozen=True, slots=True)
class Validity:
    """First and last moment of a certificate."""

    since: datetime
    until: datetime

    def due(self, now: datetime) -> bool:
        """Whether it is to be renewed: a third of its life or less is left."""
        return now >= self.since + (self.until - self.since) * 2 / 3


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look."""

    namespace: str
    name: str
    uid: str
    generation: int
    image: str
    """Image that is to serve: the operator's own, so that both are of one version."""
    postgres_image: str = ""
    operator_namespace: str = "chaffinch-system"
    operator_account: str = "chaffinch-operator"
    deleting: bool = False
    secrets: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Keys of each Secret that exists, among those that the spec names or that we make."""
    objects: Mapping[tuple[str, str], Found] = field(default_factory=dict)
    """By kind and name."""
    job: JobState = JobState.ABSENT
    database: Pods = NO_PODS
    service: Pods = NO_PODS
    secrets_digest: str = ""
    """Digest of what pods read once from Secrets."""
    password_digest: str = ""
    """Digest of the managed database's password; empty while there is none."""
    backup: Ended = NOT_ENDED
    restore_check: Ended = NOT_ENDED
    source_there: bool = True
    """Whether the volume of the backups that are to be restored exists."""
    restore_failed: str = ""
    """What the database's pod said when it could not restore a backup."""
    rights_missing: str = ""
    """What the API server refused to let us read, in its words; empty when nothing."""
    database_ports: tuple[int, ...] = (5432,)
    verifier_key: str | None = ""
    """Public half of the signing key as auditors need it; empty while there is none, None when it is no Ed25519 key."""
    certificate: Validity | None = None
    """None where there is none, or not for the wanted names."""
    authority: Validity | None = None
