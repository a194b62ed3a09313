"""What to do for a ledger: (spec, snapshot, now) -> Decision. Pure and total: every state has one answer."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum

from chaffinch_operator.children.database import SecretKeyRef
from chaffinch_operator.children.seen import JobState
from chaffinch_operator.credits.database import S3, RestoreFrom
from chaffinch_operator.credits.model import CreditsLedgerSpec
from chaffinch_operator.credits.objects import (
    PASSPHRASE,
    backup_of,
    key_ref,
    made_once,
    migration_name,
    postgres_name,
    repository_name,
)
from chaffinch_operator.credits.reasons import Reason
from chaffinch_operator.credits.snapshot import Snapshot

RIGHTS = "chaffinch-credits"
"""ClusterRole that people bind in the namespaces of their ledgers; said in `rbac` too."""


class Stage(IntEnum):
    """How far a ledger may be built. Each stage includes those before it."""

    REMOVE = -1
    """It is being deleted."""
    NOTHING = 0
    """A person must act first; what runs keeps running."""
    DATABASE = 1
    """Secrets, network policies and the database."""
    MIGRATE = 2
    """The migration of the wanted version."""
    SERVE = 3
    """The service in the wanted version."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do and why."""

    stage: Stage
    reason: Reason
    message: str
    renew: bool = False
    """Make the certificate anew."""

    @property
    def schema_current(self) -> bool:
        """Whether the migration of the wanted version is done."""
        return self.stage is Stage.SERVE


def decide(spec: CreditsLedgerSpec, snap: Snapshot, now: datetime) -> Decision:
    """The furthest stage that is safe: no version serves before its migration is done."""
    if snap.deleting:
        return Decision(Stage.REMOVE, Reason.DELETED, _deleted(spec, snap))
    problem = _problem(spec, snap)
    if problem is not None:
        return problem
    renew = renewal_due(spec, snap, now)
    stage, reason, message = _progress(spec, snap)
    return Decision(stage, reason, message, renew)


def pending(decision: Decision) -> Decision:
    """The decision while writes are outstanding: what serves is not yet what is wanted."""
    if decision.reason is not Reason.SERVING:
        return decision
    return replace(decision, reason=Reason.ROLLING_OUT, message="changes are being applied")


def refused(decision: Decision, message: str) -> Decision:
    """The decision when the API server refused to have it carried out."""
    return replace(decision, reason=Reason.REFUSED, message=message)


def unreadable(message: str) -> Decision:
    """The decision for a spec that cannot be read."""
    return Decision(Stage.NOTHING, Reason.INVALID_SPEC, message)


def _progress(spec: CreditsLedgerSpec, snap: Snapshot) -> tuple[Stage, Reason, str]:
    if snap.job is not JobState.SUCCEEDED:
        if spec.database.managed is not None and snap.database.ready == 0:
            return _starting(spec.database.managed.restore_from, snap)
        return Stage.MIGRATE, Reason.MIGRATING, f"the schema is being brought to the version of {snap.image}"
    if spec.database.managed is not None and snap.database.ready == 0:
        message = f"PostgreSQL {snap.name}-postgres is not ready: requests are answered 503 until it is"
        return Stage.SERVE, Reason.DATABASE_STARTING, message
    pods = snap.service
    if pods.stuck:
        see = f"kubectl get pods -n {snap.namespace} -l chaffinch.dev/ledger={snap.name}"
        return (
            Stage.SERVE,
            Reason.ROLLOUT_STUCK,
            f"new pods do not become ready ({pods.stuck}): see {see}",
        )
    if not pods.current or pods.ready < pods.wanted or pods.wanted == 0:
        message = f"{pods.ready} of {pods.wanted} pods are ready" if pods.current else "new pods are being started"
        return Stage.SERVE, Reason.ROLLING_OUT, message
    return Stage.SERVE, Reason.SERVING, f"{pods.ready} pods serve"


def _starting(source: RestoreFrom | None, snap: Snapshot) -> tuple[Stage, Reason, str]:
    name = postgres_name(snap.name)
    if source is None:
        return Stage.DATABASE, Reason.DATABASE_STARTING, f"PostgreSQL {name} is being started"
    what = f"the backup of {source.ledger}, as of {source.time or 'its newest moment'}"
    if not snap.restore_failed:
        return Stage.DATABASE, Reason.DATABASE_STARTING, f"PostgreSQL {name} is being restored from {what}"
    message = f"{what}, could not be restored: {snap.restore_failed}"
    if "before configured recovery target" in snap.restore_failed:
        message += "; nothing was written after that time: delete this CreditsLedger and leave restoreFrom.time out"
    if "unable to find backup set" in snap.restore_failed:
        message += "; no backup had ended by then: delete this CreditsLedger and take a later time"
    return Stage.DATABASE, Reason.RESTORE_FAILED, f"{message}; see kubectl logs -n {snap.namespace} {name}-0 -c restore"


def _problem(spec: CreditsLedgerSpec, snap: Snapshot) -> Decision | None:
    """What only a person can repair."""
    if snap.rights_missing:
        return Decision(Stage.NOTHING, Reason.RIGHTS_MISSING, _rights(snap))
    if snap.verifier_key is None:
        ref = key_ref(spec, snap.name)
        message = f"Secret {ref.name}, key {ref.key}: no Ed25519 key in PEM: make one with chaffinch-credits keygen"
        return Decision(Stage.NOTHING, Reason.BAD_KEY, message)
    for (kind, name), found in snap.objects.items():
        if not found.ours:
            message = f"{kind} {name} exists and is not of this CreditsLedger: remove it, or take another name"
            return Decision(Stage.NOTHING, Reason.NAME_TAKEN, message)
    missing = _missing(spec, snap) or _no_backups(spec, snap)
    if missing is not None:
        return missing
    if snap.job is JobState.FAILED:
        message = (
            f"the migration for {snap.image} failed: see kubectl logs -n {snap.namespace} -l "
            f"chaffinch.dev/ledger={snap.name},chaffinch.dev/component=migration --all-containers; "
            f"delete Job {migration_name(spec, snap)} to try again"
        )
        return Decision(Stage.NOTHING, Reason.MIGRATION_FAILED, message)
    return None


def _missing(spec: CreditsLedgerSpec, snap: Snapshot) -> Decision | None:
    """The first reference that leads nowhere."""
    for field, ref in references(spec):
        keys = snap.secrets.get(ref.name)
        if keys is None:
            message = f"spec.{field}: there is no Secret {ref.name} in namespace {snap.namespace}: create it"
            return Decision(Stage.NOTHING, Reason.SECRET_NOT_FOUND, message)
        if ref.key not in keys:
            has = ", ".join(sorted(keys)) or "none"
            message = f"spec.{field}: Secret {ref.name} has no key {ref.key} (it has: {has}): add it or name another"
            return Decision(Stage.NOTHING, Reason.SECRET_KEY_NOT_FOUND, message)
    return _no_keks(spec, snap)


def _no_keks(spec: CreditsLedgerSpec, snap: Snapshot) -> Decision | None:
    """No key-encryption key, where the spec asks for encryption."""
    name = spec.encryption.key_secret_ref.name if spec.encryption else ""
    if not name or snap.secrets.get(name):
        return None
    way = (
        f"chaffinch-credits keys make, then kubectl create secret generic {name} -n {snap.namespace} --from-file=FOLDER"
    )
    if name not in snap.secrets:
        message = f"spec.encryption.keySecretRef: there is no Secret {name}: {way}"
        return Decision(Stage.NOTHING, Reason.SECRET_NOT_FOUND, message)
    message = f"spec.encryption.keySecretRef: Secret {name} has no key in it: {way}"
    return Decision(Stage.NOTHING, Reason.SECRET_KEY_NOT_FOUND, message)


def _no_backups(spec: CreditsLedgerSpec, snap: Snapshot) -> Decision | None:
    """A repository that cannot be opened, or is not there."""
    own = repository_name(snap.name)
    kept = ("PersistentVolumeClaim", own) in snap.objects
    if backup_of(spec) is not None and kept and PASSPHRASE not in snap.secrets.get(own, ()):
        message = (
            f"PersistentVolumeClaim {own} has backups, and Secret {own}, key {PASSPHRASE}, which opens them, is gone: "
            "make it again from where you keep a copy, or delete the claim with all its backups"
        )
        return Decision(Stage.NOTHING, Reason.PASSPHRASE_LOST, message)
    source = spec.database.managed.restore_from if spec.database.managed is not None else None
    if source is not None and source.s3 is None and not snap.source_there:
        volume = repository_name(source.ledger)
        message = (
            f"spec.database.managed.restoreFrom.ledger: there is no PersistentVolumeClaim {volume} "
            f"in namespace {snap.namespace}: name a CreditsLedger that made backups here"
        )
        return Decision(Stage.NOTHING, Reason.NO_SUCH_BACKUP, message)
    return None


def references(spec: CreditsLedgerSpec) -> Iterator[tuple[str, SecretKeyRef]]:
    """Path in the spec and reference of every Secret key that somebody else must provide."""
    if spec.database.external is not None:
        yield "database.external.dsnSecretRef", spec.database.external.dsn_secret_ref
    backup = backup_of(spec)
    if backup is not None and backup.repository.s3 is not None:
        yield from _s3_keys("database.managed.backup.repository.s3.secretRef", backup.repository.s3)
    source = spec.database.managed.restore_from if spec.database.managed is not None else None
    if source is not None:
        if source.s3 is not None:
            yield from _s3_keys("database.managed.restoreFrom.s3.secretRef", source.s3)
        name = repository_name(source.ledger)
        yield "database.managed.restoreFrom.ledger", SecretKeyRef(name=name, key=PASSPHRASE)
        if spec.audit.signing_key_secret_ref is None:
            yield "database.managed.restoreFrom.ledger", key_ref(spec, "")
    if spec.audit.signing_key_secret_ref is not None:
        yield "audit.signingKeySecretRef", spec.audit.signing_key_secret_ref
    if spec.access.api_keys_secret_ref is not None:
        yield "access.apiKeysSecretRef", spec.access.api_keys_secret_ref


def _s3_keys(field: str, s3: S3) -> Iterator[tuple[str, SecretKeyRef]]:
    for key in ("accessKey", "secretKey"):
        yield field, SecretKeyRef(name=s3.secret_ref.name, key=key)


def renewal_due(spec: CreditsLedgerSpec, snap: Snapshot, now: datetime) -> bool:
    """Whether certificates are to be made: one is missing, or the last third of its life has begun."""
    if spec.tls is None:
        return False
    return any(found is None or found.due(now) for found in (snap.certificate, snap.authority))


def _rights(snap: Snapshot) -> str:
    account = f"{snap.operator_namespace}:{snap.operator_account}"
    return (
        f"the operator may not work in namespace {snap.namespace} ({snap.rights_missing}): kubectl create rolebinding "
        f"{RIGHTS} -n {snap.namespace} --clusterrole={RIGHTS} --serviceaccount={account}"
    )


def _deleted(spec: CreditsLedgerSpec, snap: Snapshot) -> str:
    backups = f"their repository, opened by Secret {repository_name(snap.name)}" if backup_of(spec) else ""
    if spec.deletion_policy == "Delete":
        return "being deleted with its volume and Secrets" + (f"; its backups stay: {backups}" if backups else "")
    where = f"the volume data-{snap.name}-postgres-0" if spec.database.managed else "the external database"
    kept = ", ".join(made_once(spec, snap.name))
    where += f", its backups in {backups}" if backups else ""
    return f"being deleted; the data stays in {where}" + (f", and these Secrets stay: {kept}" if kept else "")
