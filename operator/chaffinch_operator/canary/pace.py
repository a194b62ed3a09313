"""What lies ahead of a rollout under way: its traffic through the steps that are left. Pure.

Counted from the end of the last interval, not from now: what is computed here changes when an interval is folded in,
and not with every pass.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chaffinch_operator.canary import clock
from chaffinch_operator.canary.model import CanaryRolloutSpec, Step
from chaffinch_operator.canary.reasons import Action
from chaffinch_operator.canary.sizing import weight_at
from chaffinch_operator.canary.status import CanaryRolloutStatus
from chaffinch_operator.schema import seconds

_DEFAULT_MIN_DURATION = "2m"
_MOST = 0.99


@dataclass(frozen=True, slots=True)
class Stretch:
    """Time ahead with one weight."""

    canary: float
    """Requests a second."""
    baseline: float
    seconds: float
    """Infinite for the last one."""

    @property
    def requests(self) -> float:
        """Of both arms, a second."""
        return self.canary + self.baseline

    @property
    def share(self) -> float:
        """The canary's."""
        return self.canary / self.requests


def ahead(spec: CanaryRolloutSpec, status: CanaryRolloutStatus) -> tuple[Stretch, ...]:
    """The stretches to come, at the traffic measured in the present step; none while it is unknown.

    Other weights are taken as they are said, in proportion to the present one. A pause that waits for a person counts
    as nothing.
    """
    step, weight = status.step, weight_at(spec, status.step.index)
    judged = _since(status, step.started_at)
    if judged <= 0.0 or not weight or not 0 < step.canary_requests < step.total_requests:
        return ()
    canary = step.canary_requests / judged
    baseline = (step.total_requests - step.canary_requests) / judged
    out = []
    for index in range(step.index, len(spec.steps)):
        times = weight_at(spec, index) / weight
        left = _lasts(spec.steps[index])
        if index == step.index:
            paused = status.last_decision.action is Action.PAUSE and spec.steps[index].set_weight is None
            left -= _since(status, status.last_decision.at) if paused else judged
        if left > 0.0:
            out.append(_stretch(spec, canary, baseline, times, left))
    last = weight_at(spec, len(spec.steps) - 1) / weight
    return (*out, _stretch(spec, canary, baseline, last, math.inf))


def steps_left(stretches: Sequence[Stretch]) -> float:
    """Seconds until the steps are over."""
    return sum(s.seconds for s in stretches if math.isfinite(s.seconds))


def time_to_gather(stretches: Sequence[Stretch], missing: Callable[[float], float]) -> float:
    """Seconds until a gate has its evidence; inf if never.

    missing: from a share of the canary to the requests of both arms that are missing if it stays. A stretch brings the
    part of them that it lasts for.
    """
    begun, left = 0.0, 1.0
    for stretch in stretches:
        whole = missing(stretch.share) / stretch.requests
        if left * whole <= stretch.seconds:
            return begun + left * whole
        begun, left = begun + stretch.seconds, left - stretch.seconds / whole
    return math.inf


def requests_in(stretches: Sequence[Stretch], time: float) -> float:
    """Requests of both arms that come in so many seconds."""
    total = 0.0
    for stretch in stretches:
        part = min(time, stretch.seconds)
        total, time = total + part * stretch.requests, time - part
    return total


def _stretch(spec: CanaryRolloutSpec, canary: float, baseline: float, times: float, lasts: float) -> Stretch:
    if spec.canary.baseline == "Dedicated":
        return Stretch(canary * times, baseline * times, lasts)
    total = canary + baseline
    share = min(_MOST, canary / total * times)
    return Stretch(total * share, total * (1.0 - share), lasts)


def _lasts(step: Step) -> float:
    if step.set_weight is not None:
        return seconds(step.min_duration or _DEFAULT_MIN_DURATION)
    return seconds(step.pause.duration or "0s") if step.pause else 0.0


def _since(status: CanaryRolloutStatus, stamp: str) -> float:
    """Seconds from a stamp to the end of the last interval; 0 when either is not known."""
    end = clock.parse(status.interval_end)
    return max(0.0, clock.elapsed(stamp, end)) if end else 0.0
