"""What users are told of backups: how old they are, and whether they were shown to restore. Pure."""

from chaffinch_operator.children.seen import Ended
from chaffinch_operator.conditions import NewCondition, Status, cut, rfc3339
from chaffinch_operator.credits import backups, objects
from chaffinch_operator.credits.model import CreditsLedgerSpec
from chaffinch_operator.credits.reasons import Reason
from chaffinch_operator.credits.snapshot import Snapshot
from chaffinch_operator.credits.status import BackupStatus, CreditsLedgerStatus

TYPE = "BackupHealthy"
_WORDS = 700


def backup_status(spec: CreditsLedgerSpec, before: BackupStatus, snap: Snapshot) -> BackupStatus:
    """What was known before, with what Jobs tell now; Jobs go after a while."""
    wanted = objects.backup_of(spec)
    if wanted is None:
        return BackupStatus()
    s3 = wanted.repository.s3
    bucket = f"s3://{s3.bucket}{objects.repository_path(s3, snap.namespace, snap.name)}" if s3 is not None else ""
    return BackupStatus(
        repository=bucket or f"PersistentVolumeClaim {objects.repository_name(snap.name)}",
        last_backup=_later(before.last_backup, snap.backup),
        last_verified_restore=_later(before.last_verified_restore, snap.restore_check),
    )


def backup_condition(
    spec: CreditsLedgerSpec, before: CreditsLedgerStatus, status: BackupStatus, snap: Snapshot
) -> list[NewCondition]:
    """BackupHealthy, of a managed database. A failed restore for trial is not forgotten before the next goes well."""
    if spec.database.managed is None:
        return []
    if spec.database.managed.backup is None:
        return [_condition(snap, "False", Reason.NO_BACKUPS, "set spec.database.managed.backup to have some")]
    last = f"last backup {status.last_backup or 'none yet'}"
    tried = f"{last}, last verified restore {status.last_verified_restore or 'none yet'}"
    if snap.backup.failing:
        message = _failure(snap, snap.backup, f"the backup failed; {last}", backups.backup_name(snap.name))
        return [_condition(snap, "False", Reason.BACKUP_FAILED, message)]
    if snap.restore_check.failing:
        check = backups.check_name(snap.name)
        message = _failure(snap, snap.restore_check, f"the restore for trial failed; {tried}", check)
        return [_condition(snap, "False", Reason.RESTORE_CHECK_FAILED, message)]
    if snap.restore_check.well is None and _reason(before) == Reason.RESTORE_CHECK_FAILED:
        return []  # its Job is gone; what it found stands
    if not status.last_backup:
        return [_condition(snap, "False", Reason.BACKUP_PENDING, "the first backup is being made")]
    return [_condition(snap, "True", Reason.BACKED_UP, tried)]


def _failure(snap: Snapshot, ended: Ended, what: str, cron: str) -> str:
    why = cut(ended.why or "its pod is gone", _WORDS)
    return (
        f"{what}. {why}. See kubectl logs -n {snap.namespace} job/{ended.job} --all-containers; it is tried again by "
        f"its schedule, or at once: kubectl create job -n {snap.namespace} {cron}-now --from=cronjob/{cron}"
    )


def _condition(snap: Snapshot, status: Status, reason: Reason, message: str) -> NewCondition:
    return NewCondition(TYPE, status, reason, message, snap.generation)


def _later(before: str, ended: Ended) -> str:
    return max(before, rfc3339(ended.well)) if ended.well is not None else before


def _reason(before: CreditsLedgerStatus) -> str:
    return next((each.reason for each in before.conditions if each.type == TYPE), "")
