"""One release as its CanaryRollout told it: weights, decision, sentences, from each state of the object. Pure."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chaffinch_operator.canary.clock import parse
from chaffinch_operator.canary.reasons import IN_FLIGHT, Action
from chaffinch_operator.canary.status import CanaryRolloutStatus, Counts
from chaffinch_operator.cli.rollout import Rollout
from demo.shares import Share

_CLOCK_SLACK = timedelta(seconds=1)
_ENDS = {Action.PROMOTE: Action.IDLE, Action.ROLL_BACK: Action.REJECTED, Action.RELEASE: Action.IDLE}
"""What a decision comes to once it is carried out."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How the operator decided, and on what."""

    action: Action
    reason: str
    at: datetime
    message: str
    sentences: tuple[str, ...]
    """One for each gate, as they were at the decision."""
    canary: Counts
    stable: Counts
    """Requests by arm, from the first gate that counts both."""


@dataclass(slots=True)
class Step:
    """A weight as it was applied."""

    weight: int
    since: datetime
    until: datetime | None = None
    canary: int = 0
    total: int = 0

    def count(self, status: CanaryRolloutStatus) -> None:
        """Take the operator's counts of this step; they only grow."""
        self.canary = max(self.canary, status.step.canary_requests)
        self.total = max(self.total, status.step.total_requests)

    def share(self) -> Share:
        """As the operator counted it."""
        return Share(self.weight, self.canary, self.total)


@dataclass(slots=True)
class Course:
    """What happened since a version was applied."""

    applied_at: datetime
    steps: list[Step] = field(default_factory=list)
    decision: Decision | None = None
    settled: bool = False
    begun: bool = False

    @property
    def seconds_to_decision(self) -> float | None:
        """From `kubectl apply` to the decision."""
        return (self.decision.at - self.applied_at).total_seconds() if self.decision else None

    def see(self, rollout: Rollout) -> None:
        """Take in one state of the object."""
        at = parse(rollout.status.last_decision.at)
        if not rollout.seen or rollout.deleting or at is None or at < self.applied_at - _CLOCK_SLACK:
            return
        self._follow(rollout.status, at)

    def _follow(self, status: CanaryRolloutStatus, at: datetime) -> None:
        action = status.last_decision.action
        if action in IN_FLIGHT:
            self.begun = True
            self._step(status)
        elif action in _ENDS and self.decision is None:
            self._decide(status, at)
        elif self.decision is not None and action is _ENDS[self.decision.action]:
            self.settled = True

    def _step(self, status: CanaryRolloutStatus) -> None:
        since, weight = parse(status.weight.since), status.weight.applied
        if since is None or not status.step.started_at or weight != status.weight.desired or weight == 0:
            return
        if not self.steps or self.steps[-1].weight != weight:
            self._end_step(since)
            self.steps.append(Step(weight, since))
        self.steps[-1].count(status)

    def _end_step(self, at: datetime) -> None:
        if self.steps and self.steps[-1].until is None:
            self.steps[-1].until = at

    def _decide(self, status: CanaryRolloutStatus, at: datetime) -> None:
        self._end_step(at)
        if self.steps:
            self.steps[-1].count(status)
        counting = [g for g in status.gates if g.baseline.total or g.canary.total]
        first = counting[0] if counting else None
        self.decision = Decision(
            action=status.last_decision.action,
            reason=str(status.last_decision.reason),
            at=at,
            message=status.last_decision.message,
            sentences=tuple(g.message for g in status.gates if g.message),
            canary=first.canary if first else Counts(),
            stable=first.baseline if first else Counts(),
        )
