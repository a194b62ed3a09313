"""One pass of one CanaryRollout: observe, decide, report, write status, plan, apply. The calls in their order, no more.

Status is written before anything is carried out: after a kill the same decision is read and the same writes follow.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from pydantic import ValidationError

from chaffinch_operator import names
from chaffinch_operator.canary import alerts, calibration, clock, gates, history, judge_group, matchers, parse, readings
from chaffinch_operator.canary.apply import carry_out, write_status
from chaffinch_operator.canary.decide import decide
from chaffinch_operator.canary.flow import Context, weight_confirmed
from chaffinch_operator.canary.hold_keeper import HoldKeeper
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.observe import observe
from chaffinch_operator.canary.plan import FADE_SECONDS, Operation, finished, plan
from chaffinch_operator.canary.reasons import IN_FLIGHT, Action, Reason
from chaffinch_operator.canary.report import Happening, RolloutSample, happening, invalid, report, sample
from chaffinch_operator.canary.schema import seconds
from chaffinch_operator.canary.snapshot import Route, Snapshot
from chaffinch_operator.canary.sources import Naming
from chaffinch_operator.canary.status import CanaryRolloutStatus
from chaffinch_operator.errors import Terminal
from chaffinch_operator.events import Event, emit
from chaffinch_operator.kube import CANARYROLLOUTS, Kube
from chaffinch_operator.loop import Outcome
from chaffinch_operator.ports.prometheus import Prometheus

_SOON, _WAITING, _LONG_WAIT = 0.3, 1.0, 10.0
_MOMENT = 0.01
_RECENT = timedelta(minutes=10)
"""An Event of an older decision is not written any more: people saw its outcome."""
_JUDGED = frozenset({Action.SHIFT, Action.PAUSE, Action.HOLD})


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
    prometheus: Callable[[str], Prometheus]
    """Gives the port to the server at an address."""
    metrics: RolloutMetrics
    now: Callable[[], datetime]
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
            return await self._refuse(body, before, _explain(problem))
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
        return await self._outcome(context, operations, after != before)

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
        canary, baseline = (f"{name(spec.target_ref.name)}-"[:58] for name in (names.canary_name, names.baseline_name))
        naming = Naming(snap.namespace, snap.name, prefix[:58], canary, baseline if status.baseline else "")
        resolved = () if snap.deleting else gates.resolve(spec, naming)
        if any(gate.group for gate in resolved):
            await asyncio.to_thread(judge_group.prepare, resolved)
        context = Context(spec, status, snap, resolved, now)
        return replace(context, snap=await self._with_metrics(context))

    async def _with_metrics(self, c: Context) -> Snapshot:
        snap, provider = c.snap, c.spec.analysis.provider
        if snap.deleting or c.spec.suspend or alerts.waiting(c.status):
            return snap  # an alert is acted on at once, even if the metrics are slow or away
        if provider is None:
            return replace(snap, intervals=readings.unasked(readings.due(c.spec, c.status, c.now)))
        prometheus = self.prometheus(provider.prometheus.address)
        if c.action in _JUDGED and calibration.unfixed(c.gates, c.status.gates):
            return await self._with_history(c, prometheus)
        if c.action in _JUDGED:
            intervals, problem = await readings.read(prometheus, c.gates, readings.due(c.spec, c.status, c.now))
            return replace(snap, intervals=intervals, provider_problem=problem)
        about_to_start = c.action in {Action.IDLE, Action.WAIT, Action.REJECTED, Action.START, Action.ABANDON}
        if about_to_start and snap.target is not None and snap.target.paused:
            problem = await readings.preflight(prometheus, c.gates, c.now)
            if problem is None and c.action is Action.START:
                return await self._with_history(c, prometheus)
            return replace(snap, provider_problem=problem)
        return snap

    async def _with_history(self, c: Context, prometheus: Prometheus) -> Snapshot:
        """What gates take from the time before the candidate, once: no interval is read before it is in status."""
        since = clock.parse(c.status.candidate_since) or c.now
        unfixed = calibration.unfixed(c.gates, c.status.gates)
        found, problem = await history.calibrations(prometheus, c.spec, unfixed, since)
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
            await emit(self.kube, dict(body), _event(news))

    async def _tell_again(self, body: Mapping[str, Any], status: CanaryRolloutStatus) -> None:
        """A pass that was cut off had written a decision, but perhaps not its Event. Events are named by decision."""
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        last = happening(CanaryRolloutStatus(), status)
        if key not in self._seen and last is not None and self.now() - last.at < _RECENT:
            await emit(self.kube, dict(body), _event(last))
        self._seen.add(key)

    async def _tell_refusal(self, body: Mapping[str, Any], c: Context, problem: Terminal) -> None:
        """The API server refuses a write (a quota, a policy): a person must know, once per decision."""
        at = clock.parse(c.status.last_decision.at) or c.now
        await emit(self.kube, dict(body), Event("Warning", Reason.REFUSED, c.action, str(problem), at))

    async def _outcome(self, c: Context, operations: tuple[Operation, ...], wrote: bool) -> Outcome:
        if c.snap.deleting:
            done = finished(c)
            if done and not c.snap.namespace_deleting:
                await self.hold.unlabel_if_last(c.snap.namespace)
            return Outcome(requeue_after=_SOON, finished=done)
        if operations or (wrote and c.action not in {Action.IDLE, Action.WAIT, Action.REJECTED}):
            return Outcome(requeue_after=_SOON)
        return Outcome(requeue_after=_next_look(c))


def _next_look(c: Context) -> float | None:
    """Seconds until something can have changed that no watch tells us of."""
    if c.action in {Action.IDLE, Action.REJECTED}:
        return None
    if c.action is Action.WAIT:
        return _LONG_WAIT
    if c.action not in IN_FLIGHT and c.snap.route is not None and c.snap.route.fading:
        return _until_faded(c.snap.route, c.now)
    if c.action not in _JUDGED or not weight_confirmed(c) or c.snap.provider_problem:
        return _WAITING
    last = clock.parse(c.status.interval_end)
    if last is None:
        return _WAITING
    analysis = c.spec.analysis
    ripe = last.timestamp() + seconds(analysis.interval) + seconds(analysis.query_offset)
    return min(max(ripe - c.now.timestamp(), _SOON), _LONG_WAIT)


def _until_faded(route: Route, now: datetime) -> float:
    """Seconds until the millionth may give way to zero; after that, until the Gateway has accepted it."""
    since = route.weight_since or now
    left = FADE_SECONDS - (now - since).total_seconds()
    return left + _MOMENT if left > 0 else _SOON


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


def _explain(problem: ValueError) -> str:
    """Name the field and what is wrong with it."""
    if isinstance(problem, ValidationError):
        first = problem.errors()[0]
        return f"spec.{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(problem)
