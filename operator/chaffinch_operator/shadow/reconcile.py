"""One pass of one ShadowEvaluation: observe, decide, plan, report, write status, apply. The calls in their order."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from chaffinch_operator.children.writes import Delete
from chaffinch_operator.errors import Terminal
from chaffinch_operator.events import Event, emit
from chaffinch_operator.kube import Kube
from chaffinch_operator.loop import Outcome
from chaffinch_operator.ports.shadow import ShadowService, ShadowServiceError
from chaffinch_operator.resources import SHADOWEVALUATIONS
from chaffinch_operator.schema import explained
from chaffinch_operator.settings import Settings
from chaffinch_operator.shadow import decide as decisions
from chaffinch_operator.shadow import plan as plans
from chaffinch_operator.shadow.apply import carry_out, write_status
from chaffinch_operator.shadow.decide import Decision, decide
from chaffinch_operator.shadow.model import ShadowEvaluationSpec
from chaffinch_operator.shadow.observe import Door, empty, observe
from chaffinch_operator.shadow.plan import Operation, plan
from chaffinch_operator.shadow.reasons import STALLED, Reason
from chaffinch_operator.shadow.report import Happening, happening, recent, report, told
from chaffinch_operator.shadow.snapshot import Snapshot
from chaffinch_operator.shadow.status import ShadowEvaluationStatus

SOON, LIVE_SECONDS, STALLED_SECONDS = 1.0, 5.0, 10.0
"""How soon to look again: while something is under way, while requests are compared, while a person is waited for."""
_RECENT = timedelta(minutes=10)
"""An Event that is older is not written any more: people saw its outcome."""
Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reconciler:
    """The slice's entry point."""

    kube: Kube
    settings: Settings
    service: ShadowService
    now: Callable[[], datetime]
    _seen: set[tuple[str, str]] = field(default_factory=set)
    """Evaluations that this process has looked at: before that, a predecessor may have left an Event unwritten."""

    async def reconcile(self, namespace: str, name: str) -> Outcome:
        """One pass; raises ChaffinchError where the loop should back off."""
        try:
            return await self._pass(namespace, name)
        except asyncio.CancelledError:
            self._seen.discard((namespace, name))  # its status may be written, and its Event not
            raise

    async def _pass(self, namespace: str, name: str) -> Outcome:
        body = await self.kube.get(SHADOWEVALUATIONS, name, namespace)
        if body is None:
            self._seen.discard((namespace, name))
            return Outcome(finished=True)
        before, now = _status(body), self.now()
        await self._tell_again(body, before)
        try:
            spec = ShadowEvaluationSpec.model_validate(body["spec"])
        except ValidationError as problem:
            return await self._refuse(body, before, explained(problem))
        snap, door = await observe(self.kube, empty(body, self.settings), spec, before, self.service)
        decision = decide(spec, before, snap, now)
        operations = plan(spec, before, snap, decision)
        if any(not isinstance(each, Delete) for each in operations):
            decision = _while_writing(decision, before)
        after = report(spec, before, snap, decision, now)
        await self._write(body, before, after)
        try:
            await carry_out(self.kube, snap, operations)
        except Terminal as problem:
            await self._tell_refusal(body, after, decision, str(problem))
            raise
        if decision.reason is Reason.CONCLUDED and door is not None:
            await self._conclude(door)
        return _outcome(snap, decision, operations, after)

    async def _conclude(self, door: Door) -> None:
        """Said in every pass after the end: it changes nothing the second time, and one that fails is made up for."""
        with contextlib.suppress(ShadowServiceError):
            await self.service.conclude(door.address, door.token)

    async def _refuse(self, body: Body, before: ShadowEvaluationStatus, message: str) -> Outcome:
        """The spec cannot be read: say so, change nothing, and do not stand in the way of a deletion."""
        if "deletionTimestamp" in body["metadata"]:
            return Outcome(finished=True)
        decision = decisions.unreadable(message, before.run)
        await self._write(body, before, told(before, decision, body["metadata"]["generation"], self.now()))
        return Outcome()

    async def _write(self, body: Body, before: ShadowEvaluationStatus, after: ShadowEvaluationStatus) -> None:
        if after != before:
            await write_status(self.kube, body, after)
        news = happening(before, after)
        if news is not None:
            await emit(self.kube, dict(body), _event(news))

    async def _tell_refusal(self, body: Body, before: ShadowEvaluationStatus, decision: Decision, message: str) -> None:
        """The API server refuses a write (a quota, a policy): the status says so until it does not any more."""
        fresh = await self.kube.get(SHADOWEVALUATIONS, body["metadata"]["name"], body["metadata"]["namespace"])
        if fresh is not None and fresh["metadata"]["uid"] == body["metadata"]["uid"]:
            refused = decisions.refused(decision, message)
            await self._write(fresh, before, told(before, refused, body["metadata"]["generation"], self.now()))

    async def _tell_again(self, body: Body, status: ShadowEvaluationStatus) -> None:
        """A pass that was cut off had written a status, but perhaps not its Event. Events are named by content."""
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        last = recent(status)
        if key not in self._seen and last is not None and self.now() - last.at < _RECENT:
            await emit(self.kube, dict(body), _event(last))
        self._seen.add(key)


def _while_writing(decision: Decision, before: ShadowEvaluationStatus) -> Decision:
    """A refusal stands until the writes went through."""
    if before.last_decision.reason == Reason.REFUSED and decision.reason not in STALLED:
        return decisions.refused(decision, before.last_decision.message)
    return decisions.pending(decision)


def _outcome(snap: Snapshot, decision: Decision, operations: list[Operation], after: ShadowEvaluationStatus) -> Outcome:
    if snap.deleting:
        return Outcome(requeue_after=SOON, finished=not operations and plans.finished(snap))
    if decision.reason in STALLED:
        return Outcome(requeue_after=STALLED_SECONDS)
    if operations or decision.reason not in {Reason.COLLECTING, Reason.CONCLUDED}:
        return Outcome(requeue_after=SOON)
    if decision.reason is Reason.COLLECTING:
        return Outcome(requeue_after=LIVE_SECONDS)
    awaited = after.canary is not None and not after.canary.started_at
    return Outcome(requeue_after=STALLED_SECONDS) if awaited else Outcome()


def _status(body: Body) -> ShadowEvaluationStatus:
    """The status as it was left; a damaged one counts as none."""
    try:
        return ShadowEvaluationStatus.model_validate(body.get("status") or {})
    except ValidationError:
        return ShadowEvaluationStatus()


def _event(news: Happening) -> Event:
    return Event(type=news.type, reason=news.reason, action="Reconcile", note=news.note, at=news.at)
