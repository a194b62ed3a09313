"""What users are told: (spec, status before, snapshot, decision, now) -> status, and the Event of a change. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from chaffinch_operator import conditions
from chaffinch_operator.children.seen import JobState
from chaffinch_operator.conditions import NewCondition, rfc3339
from chaffinch_operator.credits import objects
from chaffinch_operator.credits.backup_report import backup_condition, backup_status
from chaffinch_operator.credits.decide import Decision, Stage
from chaffinch_operator.credits.model import CreditsLedgerSpec
from chaffinch_operator.credits.reasons import STALLED, Reason
from chaffinch_operator.credits.snapshot import Snapshot
from chaffinch_operator.credits.status import (
    CertificateStatus,
    CreditsLedgerStatus,
    DecisionStatus,
    KeyStatus,
    PodsStatus,
)
from chaffinch_operator.schema import merged

_MESSAGE = 1024


@dataclass(frozen=True, slots=True)
class Happening:
    """What is worth an Event."""

    type: Literal["Normal", "Warning"]
    reason: str
    note: str
    at: datetime


def report(
    spec: CreditsLedgerSpec, before: CreditsLedgerStatus, snap: Snapshot, decision: Decision, now: datetime
) -> CreditsLedgerStatus:
    """The status after a look."""
    made = spec.access.api_keys_secret_ref is None
    looked = decision.stage >= Stage.DATABASE
    kept = backup_status(spec, before.backup, snap) if looked else before.backup
    parts = [*_parts(spec, snap, decision), *(backup_condition(spec, before, kept, snap) if looked else ())]
    return told(before, decision, snap.generation, now, parts).model_copy(
        update={
            "endpoint": objects.endpoint(spec, snap.namespace, snap.name),
            "image": snap.image,
            "pods": PodsStatus(wanted=snap.service.wanted, ready=snap.service.ready),
            "verifier_key": snap.verifier_key or before.verifier_key,
            "api_key": KeyStatus(name=objects.keys_name(snap.name), key="admin") if made else KeyStatus(),
            "certificate": _certificate(spec, snap),
            "backup": kept,
        }
    )


def told(
    before: CreditsLedgerStatus,
    decision: Decision,
    generation: int,
    now: datetime,
    parts: list[NewCondition] | None = None,
) -> CreditsLedgerStatus:
    """The status before, with what was decided now."""
    message = conditions.cut(decision.message, _MESSAGE)
    stalled, ready = decision.reason in STALLED, decision.reason is Reason.SERVING
    trio = conditions.trio(
        ready=ready,
        reconciling=not ready and not stalled,
        stalled=stalled,
        reason=decision.reason,
        message=message,
        generation=generation,
    )
    same = before.last_decision.reason == decision.reason
    at = before.last_decision.at if same else rfc3339(now)
    return before.model_copy(
        update={
            "observed_generation": generation,
            "phase": str(decision.reason),
            "last_decision": DecisionStatus(reason=decision.reason, message=message, at=at),
            "conditions": merged(before.conditions, [*trio, *(parts or ())], now),
        }
    )


def happening(before: CreditsLedgerStatus, after: CreditsLedgerStatus) -> Happening | None:
    """The event of this pass: a reason that was not there before."""
    if before.last_decision.reason == after.last_decision.reason:
        return None
    return recent(after)


def recent(status: CreditsLedgerStatus) -> Happening | None:
    """The last event, for a process that does not know whether its predecessor wrote it."""
    last = status.last_decision
    at = conditions.parsed(last.at)
    if at is None:
        return None
    return Happening("Warning" if last.reason in set(STALLED) else "Normal", last.reason, last.message, at)


def _parts(spec: CreditsLedgerSpec, snap: Snapshot, decision: Decision) -> list[NewCondition]:
    if decision.stage < Stage.DATABASE:
        return []  # nothing was found out
    reached = snap.database.ready > 0 if spec.database.managed is not None else snap.job is JobState.SUCCEEDED
    current = snap.job is JobState.SUCCEEDED
    database = Reason.DATABASE_READY if reached else Reason.DATABASE_STARTING
    schema = Reason.SCHEMA_CURRENT if current else Reason.MIGRATING
    wrapped = Reason.KEYS_CURRENT if current else Reason.MIGRATING
    keys = [_condition("KeysCurrent", current, wrapped, snap.generation)] if spec.encryption else []
    return [
        *keys,
        _condition("DatabaseReady", reached, database, snap.generation),
        _condition("SchemaCurrent", current, schema, snap.generation),
    ]


def _condition(name: str, holds: bool, reason: Reason, generation: int) -> NewCondition:
    return NewCondition(name, "True" if holds else "False", reason, reason, generation)


def _certificate(spec: CreditsLedgerSpec, snap: Snapshot) -> CertificateStatus:
    if spec.tls is None:
        return CertificateStatus()
    client = objects.client_name(snap.name) if spec.tls.mode == "Mutual" else ""
    until = rfc3339(snap.certificate.until) if snap.certificate else ""
    return CertificateStatus(secret_name=objects.tls_name(snap.name), client_secret_name=client, not_after=until)
