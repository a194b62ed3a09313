"""Makes the releases one after the other and watches each to its end."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

from chaffinch_operator.canary.reasons import Action
from chaffinch_operator.cli.rollout import Rollout, rollout_of
from demo.course import Course
from demo.display import Display, Sight, View
from demo.errors import TourError
from demo.pods import StablePods
from demo.scenario import Release
from demo.shares import Share
from demo.stage import attempt
from demo.summary import Failure, Result, StepShares
from support import sample
from support.kubectl import Kubectl, Watch
from support.load.process import Load
from support.load.tally import total

SETTLE_SECONDS = 180.0
_RECENT_SECONDS = 5.0
_POLL_SECONDS = 0.25
_GATEWAY_SECONDS = timedelta(seconds=2)
"""A new weight takes effect at the gateway a moment after it is written."""
_LOAD_SECONDS = 90.0
_STEADY_SECONDS = 3


class Tour:
    """The running tour: an application under load, watched."""

    def __init__(
        self, kubectl: Kubectl, app: sample.App, load: Load, display: Display, watches: tuple[Watch, Watch]
    ) -> None:
        self._kubectl, self._app, self._load, self._display = kubectl, app, load, display
        self._rollouts, self._pods_watch = watches
        self._pods = StablePods()
        self._rollout: Rollout | None = None

    @classmethod
    @contextmanager
    def open(cls, kubectl: Kubectl, app: sample.App, load: Load, display: Display) -> Iterator["Tour"]:
        """Watch the application while the block runs."""
        with (
            kubectl.watch(sample.ROLLOUTS, app.namespace) as rollouts,
            kubectl.watch("pods", app.namespace, app.labels) as pods,
        ):
            yield cls(kubectl, app, load, display, (rollouts, pods))

    def await_load(self) -> float:
        """Wait for some seconds in a row without a failed request; when they began, in seconds since the epoch."""
        end = time.monotonic() + _LOAD_SECONDS
        while time.monotonic() < end:
            self._load.check()
            last = self._load.seconds()[-_STEADY_SECONDS:]
            if len(last) == _STEADY_SECONDS and all(s.tally.requests and not s.tally.failed for s in last):
                return last[0].at
            time.sleep(_POLL_SECONDS)
        last_failures = self._load.between(time.time() - _RECENT_SECONDS).failures()
        raise TourError(
            f"no steady answers through the gateway after {_LOAD_SECONDS:.0f} s (failed: {last_failures}); "
            f"see kubectl describe httproute {self._app.name} -n {self._app.namespace}"
        )

    def make(self, release: Release, present: sample.Version) -> Result:
        """Release a version, watch it to its end, take it back if it was rolled back."""
        self._look()
        self._pods.begin()
        course = Course(datetime.now(UTC))
        with self._display.watching(f"{release.version.name}: {release.title}") as view:
            self._deploy(release.version)
            follow = partial(self._follow, course, view)
            decided = follow(lambda: course.decision is not None, release.deadline_seconds)
            settled = decided and follow(lambda: course.settled, SETTLE_SECONDS)
            seconds = (datetime.now(UTC) - course.applied_at).total_seconds() if settled else None
            touched = self._touched(course)
            if settled and course.decision is not None and course.decision.action is Action.ROLL_BACK:
                self._deploy(present)  # what a person, or Git, does after a rollback
                if not follow(self._at_rest, SETTLE_SECONDS):
                    raise TourError(f"{present.name} was applied again but is not at rest after {SETTLE_SECONDS:.0f} s")
        return Result(
            release,
            course,
            seconds,
            self._load.between(course.applied_at.timestamp()),
            self._failures(course.applied_at.timestamp()),
            self._shares(course),
            touched,
        )

    def _deploy(self, version: sample.Version) -> None:
        attempt(f"kubectl apply of {version.name}", lambda: self._kubectl.apply(self._app.deployment(version)))

    def _at_rest(self) -> bool:
        return self._rollout is not None and self._rollout.is_doing(Action.IDLE)

    def _touched(self, course: Course) -> int:
        """Stable pods that were touched; a promotion replaces them all, by the target's own rolling update."""
        self._look()
        promoted = course.decision is not None and course.decision.action is not Action.ROLL_BACK
        return self._pods.touched(course.decision.at if course.decision and promoted else None)

    def _follow(self, course: Course, view: View, done: Callable[[], bool], seconds: float) -> bool:
        """Watch until it is done; False when it was not in time."""
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() >= end:
                return False
            self._load.check()
            self._look(course, wait_seconds=_POLL_SECONDS)
            if self._rollout is not None:
                self._show(view, course, self._rollout)
        return True

    def _look(self, course: Course | None = None, wait_seconds: float = 0.0) -> None:
        """Take in what the watches have told."""
        first = self._rollouts.next(wait_seconds) if wait_seconds else None
        for event in [*([first] if first else []), *self._rollouts.drain()]:
            if event.object["metadata"]["name"] == self._app.name:
                self._rollout = rollout_of(event.object)
                if course is not None:
                    course.see(self._rollout)
        for event in self._pods_watch.drain():
            self._pods.see(event.type, event.object, datetime.now(UTC))

    def _show(self, view: View, course: Course, rollout: Rollout) -> None:
        since = course.applied_at.timestamp()
        recent = self._load.seconds(time.time() - _RECENT_SECONDS - 1.0)
        view.show(Sight(rollout, self._load.between(since), total(s.tally for s in recent), float(len(recent))))

    def _failures(self, since: float) -> Sequence[Failure]:
        return [
            Failure(round(second.at - since, 1), count, status)
            for second in self._load.seconds(since)
            for status, count in second.tally.failures().items()
        ]

    def _shares(self, course: Course) -> Sequence[StepShares]:
        found = []
        for step in course.steps:
            until = step.until or datetime.now(UTC)
            seen = self._load.between((step.since + _GATEWAY_SECONDS).timestamp(), until.timestamp())
            canary = seen.count(track="canary")
            found.append(StepShares(step.share(), Share(step.weight, canary, canary + seen.count(track="stable"))))
        return found
