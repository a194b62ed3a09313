"""One pass of one CanaryRollout: observe, decide, report, write status, plan, apply. The calls in their order, no more.

Status is written before anything is carried out: after a kill the same decision is read and the same writes follow.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from pydantic import ValidationError

from chaffinch_operator import names
from chaffinch_operator.canary import (
    access,
    agenda,
    alerts,
    calibration,
    clock,
    gates,
    history,
    judge_group,
    matchers,
    parse,
    readings,
)
from chaffinch_operator.canary.apply import carry_out, write_status
from chaffinch_operator.canary.decide import decide
from chaffinch_operator.canary.flow import Context
from chaffinch_operator.canary.hold_keeper import HoldKeeper
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.model_analysis import Prometheus as Provider
from chaffinch_operator.canary.observe import observe
from chaffinch_operator.canary.plan import Operation, finished, plan
from chaffinch_operator.canary.reasons import IN_FLIGHT, Action, Reason
from chaffinch_operator.canary.report import Happening, RolloutSample, happening, invalid, report, sample
from chaffinch_operator.canary.snapshot import Blocker, Snapshot
from chaffinch_operator.canary.sources import Naming
from chaffinch_operator.canary.status import CanaryRolloutStatus
from chaffinch_operator.errors import Terminal
from chaffinch_operator.events import Event, emit
from chaffinch_operator.kube import CANARYROLLOUTS, Kube
from chaffinch_operator.loop import Outcome
from chaffinch_operator.ports.credentials import Credentials, CredentialsError
from chaffinch_operator.ports.prometheus import Prometheus
from chaffinch_operator.schema import explained, seconds

_RECENT = timedelta(minutes=10)
"""An Event of an older decision is not written any more: people saw its outcome."""
_STARTING = frozenset({Action.IDLE, Action.WAIT, Action.REJECTED, Action.START, Action.ABANDON})
"""A held template may be about to get a canary."""


class RolloutMetrics(Protocol):
    """Where the slice's metrics go."""

    def show(self, sample: RolloutSample) -> None:
        """The present state of one rollout."""
        ...

    def decided(self, action: str, reason: str) -> None:
        """A decision was made."""
        ...

    def forget(self, namespace: str, name: str) -> None:
        """A rollout is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Reconciler:
    """The slice's entry point."""

    kube: Kube
    hold: HoldKeeper
    prometheus: Callable[[str, Credentials, Mapping[str, str]], Prometheus]
    """Gives the port to the server at an address, with credentials and headers. CredentialsError when it cannot."""
    metrics: RolloutMetrics
    now: Callable[[], datetime]
    aside: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
    """Entered while a pass waits for metrics: others may have its turn."""
    _seen: set[tuple[str, str]] = field(default_factory=set)
    """Rollouts that this process has looked at: before that, a predecessor may have left an Event unwritten."""

    async def reconcile(self, namespace: str, name: str) -> Outcome:
        """One pass; raises ChaffinchError where the loop should back off."""
        try:
            return await self._pass(namespace, name)
        except asyncio.CancelledError:
            self._seen.discard((namespace, name))  # its decision may be written, and its Event not
            raise

    async def _pass(self, namespace: str, name: str) -> Outcome:
        body = await self.kube.get(CANARYROLLOUTS, name, namespace)
        if body is None:
            self.metrics.forget(namespace, name)
            self._seen.discard((namespace, name))
            return Outcome(finished=True)
        before = parse.status(body)
        await self._tell_again(body, before)
        try:
            spec = _spec(body)
            context = await self._context(body, spec, before)
        except ValueError as problem:
            return await self._refuse(body, before, explained(problem))
        decided = decide(spec, before, context.snap, context.gates, context.now)
        context = replace(context, status=decided)
        after = report(context)
        if after != before:
            await write_status(self.kube, body, after)
        await self._tell(body, before, after, context)
        operations = plan(context)
        try:
            await carry_out(self.kube, namespace, operations)
        except Terminal as problem:
            await self._tell_refusal(body, context, problem)
            raise
        return await self._outcome(context, operations, moved=agenda.place(after) != agenda.place(before))

    async def _context(self, body: Mapping[str, Any], spec: CanaryRolloutSpec, status: CanaryRolloutStatus) -> Context:
        """Look at the world, then at the metrics. ValueError when the gates cannot be understood."""
        now, meta = self.now(), body["metadata"]
        if spec.alerts is not None:
            matchers.parse_all(spec.alerts.matchers, "spec.alerts.matchers")
        if "deletionTimestamp" not in meta and status.last_decision.action not in IN_FLIGHT:
            await self.hold.label_namespace(meta["namespace"])
        snap = await observe(self.kube, self.hold, body, spec, now)
        stable = status.stable or (snap.target.running.revision if snap.target and snap.target.running else None)
        prefix = f"{spec.target_ref.name}-{stable.hash}-" if stable and stable.hash else ""
        target = spec.target_ref.name
        copies = names.canary_name(target), names.baseline_name(target)
        canary, baseline = (f"{copy}-"[:58] for copy in copies)
        dedicated = baseline if status.baseline else ""
        naming = Naming(snap.namespace, snap.name, prefix[:58], canary, dedicated, target, *copies)
        resolved = () if snap.deleting else gates.resolve(spec, naming)
        if any(gate.group for gate in resolved):
            await asyncio.to_thread(judge_group.prepare, resolved)
        context = Context(spec, status, snap, resolved, now)
        return replace(context, snap=await self._with_metrics(context))

    async def _with_metrics(self, c: Context) -> Snapshot:
        snap, provider = c.snap, c.spec.analysis.provider
        if snap.deleting or c.spec.suspend or alerts.waiting(c.status):
            return snap  # an alert is acted on at once, even if the metrics are slow or away
        judged = c.action in agenda.JUDGED
        due = readings.due(c.spec, c.status, c.now) if judged or provider is None else []
        if provider is None:
            return replace(snap, intervals=readings.unasked(due))
        unread = judged and bool(calibration.unfixed(c.gates, c.status.gates))
        starting = c.action in _STARTING and snap.target is not None and snap.target.paused
        if not due and not unread and not starting:
            return snap
        store = await self._store(snap.namespace, provider.prometheus)
        if isinstance(store, Blocker):
            return replace(snap, provider_problem=store)
        async with self.aside():
            if unread:
                return await self._with_history(c, store)
            return await (self._checked(c, store) if starting else self._measured(c, store, due))

    async def _store(self, namespace: str, provider: Provider) -> Prometheus | Blocker:
        """The port to the metrics store, or why there is none."""
        found = await access.credentials(self.kube, namespace, provider)
        if isinstance(found, Blocker):
            return found
        try:
            return self.prometheus(provider.address, found, {h.name: h.value for h in provider.headers})
        except CredentialsError as problem:
            return access.unusable(provider, namespace, problem)

    async def _measured(self, c: Context, store: Prometheus, due: Sequence[tuple[datetime, datetime]]) -> Snapshot:
        """What was counted in the intervals that are over."""
        settled = timedelta(seconds=seconds(c.spec.analysis.query_offset))
        intervals, problem = await readings.read(store, c.gates, due, settled)
        return replace(c.snap, intervals=intervals, provider_problem=problem)

    async def _checked(self, c: Context, store: Prometheus) -> Snapshot:
        """Before a canary starts: whether every query is one that can be judged."""
        problem = await readings.preflight(store, c.gates, c.now)
        if problem is None and c.action is Action.START:
            return await self._with_history(c, store)
        return replace(c.snap, provider_problem=problem)

    async def _with_history(self, c: Context, store: Prometheus) -> Snapshot:
        """What gates take from the time before the candidate, once: no interval is read before it is in status."""
        since = clock.parse(c.status.candidate_since) or c.now
        unfixed = calibration.unfixed(c.gates, c.status.gates)
        found, problem = await history.calibrations(store, c.spec, unfixed, since)
        return replace(c.snap, calibrations=found, provider_problem=problem)

    async def _refuse(self, body: Mapping[str, Any], before: CanaryRolloutStatus, message: str) -> Outcome:
        """The spec cannot be read: say so, change nothing, and do not stand in the way of a deletion."""
        if "deletionTimestamp" in body["metadata"]:
            return Outcome(finished=True)
        after = invalid(before, body["metadata"]["generation"], message, self.now())
        if after != before:
            await write_status(self.kube, body, after)
        return Outcome()

    async def _tell(
        self, body: Mapping[str, Any], before: CanaryRolloutStatus, after: CanaryRolloutStatus, c: Context
    ) -> None:
        self.metrics.show(sample(c))
        news = happening(before, after)
        if news is not None:
            self.metrics.decided(news.action, news.reason)
            if not news.expected:
                await emit(self.kube, dict(body), _event(news))

    async def _tell_again(self, body: Mapping[str, Any], status: CanaryRolloutStatus) -> None:
        """A pass that was cut off had written a decision, but perhaps not its Event. Events are named by decision."""
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        last = happening(CanaryRolloutStatus(), status)
        recent = last is not None and not last.expected and self.now() - last.at < _RECENT
        if key not in self._seen and last is not None and recent:
            await emit(self.kube, dict(body), _event(last))
        self._seen.add(key)

    async def _tell_refusal(self, body: Mapping[str, Any], c: Context, problem: Terminal) -> None:
        """The API server refuses a write (a quota, a policy): a person must know, once per decision."""
        at = clock.parse(c.status.last_decision.at) or c.now
        await emit(self.kube, dict(body), Event("Warning", Reason.REFUSED, c.action, str(problem), at))

    async def _outcome(self, c: Context, operations: tuple[Operation, ...], *, moved: bool) -> Outcome:
        if c.snap.deleting:
            done = finished(c)
            if done and not c.snap.namespace_deleting:
                await self.hold.unlabel_if_last(c.snap.namespace)
            return Outcome(requeue_after=agenda.SOON, finished=done)
        if operations or (moved and c.action not in {Action.IDLE, Action.WAIT, Action.REJECTED}):
            return Outcome(requeue_after=agenda.SOON)
        return Outcome(requeue_after=agenda.next_look(c))


def _spec(body: Mapping[str, Any]) -> CanaryRolloutSpec:
    """The spec. Of one that is being deleted, what names its objects will do, so that they are cleaned up."""
    spec = body["spec"]
    try:
        return CanaryRolloutSpec.model_validate(spec)
    except ValidationError:
        if "deletionTimestamp" not in body["metadata"]:
            raise
        kept = {k: v for k, v in spec.items() if k in {"targetRef", "serviceRef", "trafficRouting"}}
        return CanaryRolloutSpec.model_validate({**kept, "analysis": {}})


def _event(news: Happening) -> Event:
    return Event(type=news.type, reason=news.reason, action=news.action, note=news.note, at=news.at)
