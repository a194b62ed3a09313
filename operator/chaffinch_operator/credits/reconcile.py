"""One pass of one CreditsLedger: observe, decide, plan, report, write status, apply. The calls in their order."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from chaffinch_operator.children.writes import Delete
from chaffinch_operator.credits import decide as decisions
from chaffinch_operator.credits.apply import carry_out, write_status
from chaffinch_operator.credits.decide import Decision, decide
from chaffinch_operator.credits.model import CreditsLedgerSpec
from chaffinch_operator.credits.observe import empty, observe
from chaffinch_operator.credits.plan import Operation, plan
from chaffinch_operator.credits.reasons import STALLED, Reason
from chaffinch_operator.credits.report import Happening, happening, recent, report, told
from chaffinch_operator.credits.snapshot import Snapshot
from chaffinch_operator.credits.status import CreditsLedgerStatus
from chaffinch_operator.errors import Terminal
from chaffinch_operator.events import Event, emit
from chaffinch_operator.kube import Kube
from chaffinch_operator.loop import Outcome
from chaffinch_operator.resources import CREDITSLEDGERS
from chaffinch_operator.schema import explained
from chaffinch_operator.settings import Settings

SOON, BACKUP_SECONDS, STALLED_SECONDS = 1.0, 5.0, 10.0
"""How soon to look again while something is under way, while a backup is, and while a person is waited for."""
_RECENT = timedelta(minutes=10)
"""An Event that is older is not written any more: people saw its outcome."""
Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reconciler:
    """The slice's entry point."""

    kube: Kube
    settings: Settings
    now: Callable[[], datetime]
    _seen: set[tuple[str, str]] = field(default_factory=set)
    """Ledgers that this process has looked at: before that, a predecessor may have left an Event unwritten."""

    async def reconcile(self, namespace: str, name: str) -> Outcome:
        """One pass; raises ChaffinchError where the loop should back off."""
        try:
            return await self._pass(namespace, name)
        except asyncio.CancelledError:
            self._seen.discard((namespace, name))  # its status may be written, and its Event not
            raise

    async def _pass(self, namespace: str, name: str) -> Outcome:
        body = await self.kube.get(CREDITSLEDGERS, name, namespace)
        if body is None:
            self._seen.discard((namespace, name))
            return Outcome(finished=True)
        before, now = _status(body), self.now()
        await self._tell_again(body, before)
        try:
            spec = CreditsLedgerSpec.model_validate(body["spec"])
        except ValidationError as problem:
            return await self._refuse(body, before, explained(problem))
        snap = await observe(self.kube, empty(body, self.settings), spec)
        decision = decide(spec, snap, now)
        operations = plan(spec, snap, decision, now)
        if any(not isinstance(each, Delete) for each in operations):
            decision = _while_writing(decision, before)
        after = report(spec, before, snap, decision, now)
        await self._write(body, before, after)
        try:
            await carry_out(self.kube, spec, snap, operations, now)
        except Terminal as problem:
            await self._tell_refusal(body, after, decision, str(problem))
            raise
        return _outcome(snap, decision, operations)

    async def _refuse(self, body: Body, before: CreditsLedgerStatus, message: str) -> Outcome:
        """The spec cannot be read: say so, change nothing, and do not stand in the way of a deletion."""
        if "deletionTimestamp" in body["metadata"]:
            return Outcome(finished=True)
        decision = decisions.unreadable(message)
        await self._write(body, before, told(before, decision, body["metadata"]["generation"], self.now()))
        return Outcome()

    async def _write(self, body: Body, before: CreditsLedgerStatus, after: CreditsLedgerStatus) -> None:
        if after != before:
            await write_status(self.kube, body, after)
        news = happening(before, after)
        if news is not None:
            await emit(self.kube, dict(body), _event(news))

    async def _tell_refusal(self, body: Body, before: CreditsLedgerStatus, decision: Decision, message: str) -> None:
        """The API server refuses a write (a quota, a policy): the status says so until it does not any more."""
        fresh = await self.kube.get(CREDITSLEDGERS, body["metadata"]["name"], body["metadata"]["namespace"])
        if fresh is not None and fresh["metadata"]["uid"] == body["metadata"]["uid"]:
            refused = decisions.refused(decision, message)
            await self._write(fresh, before, told(before, refused, body["metadata"]["generation"], self.now()))

    async def _tell_again(self, body: Body, status: CreditsLedgerStatus) -> None:
        """A pass that was cut off had written a status, but perhaps not its Event. Events are named by content."""
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        last = recent(status)
        if key not in self._seen and last is not None and self.now() - last.at < _RECENT:
            await emit(self.kube, dict(body), _event(last))
        self._seen.add(key)


def _while_writing(decision: Decision, before: CreditsLedgerStatus) -> Decision:
    """A refusal stands until the writes went through."""
    if before.last_decision.reason == Reason.REFUSED and decision.reason not in STALLED:
        return decisions.refused(decision, before.last_decision.message)
    return decisions.pending(decision)


def _outcome(snap: Snapshot, decision: Decision, operations: list[Operation]) -> Outcome:
    if snap.deleting:
        return Outcome(requeue_after=SOON, finished=not operations)
    if decision.reason in STALLED:
        return Outcome(requeue_after=STALLED_SECONDS)
    if operations or decision.reason is not Reason.SERVING:
        return Outcome(requeue_after=SOON)
    if snap.backup.running or snap.restore_check.running:
        return Outcome(requeue_after=BACKUP_SECONDS)
    return Outcome()


def _status(body: Body) -> CreditsLedgerStatus:
    """The status as it was left; a damaged one counts as none."""
    try:
        return CreditsLedgerStatus.model_validate(body.get("status") or {})
    except ValidationError:
        return CreditsLedgerStatus()


def _event(news: Happening) -> Event:
    return Event(type=news.type, reason=news.reason, action="Reconcile", note=news.note, at=news.at)
