"""When a rollout is to be looked at again: the moment at which something can have changed that no watch tells. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from chaffinch_operator.canary import clock
from chaffinch_operator.canary.flow import Context, canary_ready, weight_confirmed
from chaffinch_operator.canary.plan import FADE_SECONDS
from chaffinch_operator.canary.reasons import IN_FLIGHT, Action, Reason
from chaffinch_operator.canary.snapshot import Route
from chaffinch_operator.canary.status import CanaryRolloutStatus
from chaffinch_operator.schema import seconds

SOON, WAITING, LONG_WAIT, UNWATCHED = 0.3, 1.0, 10.0, 30.0
"""Seconds: after our own writes; while something is on its way; while a person must act; and while a canary is judged,
for what is not watched, such as a route or a Service that somebody changed. Deployments are watched."""
JUDGED = frozenset({Action.SHIFT, Action.PAUSE, Action.HOLD})
_MOMENT = 0.01
_DEFAULT_MIN_DURATION = "2m"


def next_look(c: Context) -> float | None:
    """Seconds until then; None: nothing is awaited."""
    if c.action in {Action.IDLE, Action.REJECTED}:
        return None
    if c.action is Action.WAIT:
        return LONG_WAIT
    if c.action not in IN_FLIGHT and c.snap.route is not None and c.snap.route.fading:
        return _until_faded(c.snap.route, c.now)
    if c.action not in JUDGED or not weight_confirmed(c) or not canary_ready(c) or c.snap.provider_problem:
        return WAITING
    last = clock.parse(c.status.interval_end)
    if last is None:
        return WAITING
    analysis = c.spec.analysis
    ripe = last + timedelta(seconds=seconds(analysis.interval) + seconds(analysis.query_offset))
    first = min([ripe, *(at for at in _turning_points(c) if at > c.now)])
    return min(max((first - c.now).total_seconds(), SOON), UNWATCHED)


def place(status: CanaryRolloutStatus) -> tuple[Action, Reason, int, int]:
    """Where a rollout is in its flow: once that changed, the next pass may well find more to do."""
    last = status.last_decision
    return last.action, last.reason, status.weight.desired, status.step.index


def _turning_points(c: Context) -> Iterator[datetime]:
    """When the step, its pause, and the time for a verdict are over."""
    status, step = c.status, c.spec.steps[min(c.status.step.index, len(c.spec.steps) - 1)]
    lengths = [
        (status.step.started_at, step.min_duration or _DEFAULT_MIN_DURATION),
        (status.last_decision.at, step.pause.duration if step.pause else None),
        (status.analysis_started_at, c.spec.promotion.max_duration),
    ]
    for since, length in lengths:
        began = clock.parse(since)
        if began is not None and length is not None:
            yield began + timedelta(seconds=seconds(length))


def _until_faded(route: Route, now: datetime) -> float:
    """Seconds until the millionth may give way to zero; after that, until the Gateway has accepted it."""
    since = route.weight_since or now
    left = FADE_SECONDS - (now - since).total_seconds()
    return left + _MOMENT if left > 0 else SOON
