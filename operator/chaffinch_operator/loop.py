"""The reconcile loop of one object, and how to wake it. Knows no slice and no framework.

Level-triggered: a wake-up says only "look again". Every pass is bounded in time, every exception ends in a back-off,
nothing is retried without a log line and a metric, and deletion is bounded so that a finalizer never hangs.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

import structlog

from chaffinch_operator.errors import ChaffinchError, Conflict
from chaffinch_operator.turns import Turns

PASS_SECONDS = 120.0
"""A pass that takes longer is given up: every request in it has its own, much shorter, limit."""
CLEANUP_SECONDS = 60.0
"""After this time an object may go even if its cleanup has not finished."""
CLEANUP_PAUSE = 1.0
CANCEL_SECONDS = 5.0
CONFLICT_PAUSE = 0.2
FIRST_BACKOFF = 1.0
LAST_BACKOFF = 60.0
PAUSE = 0.1
"""Between two passes at least: a burst of events is one pass."""
_log = structlog.get_logger("chaffinch.loop")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a pass ended."""

    requeue_after: float | None = None
    """Look again after this many seconds; None: at the next resync."""
    finished: bool = False
    """Nothing is left to do for this object: it is gone, or its cleanup is done."""


Reconcile = Callable[[], Awaitable[Outcome]]
"""One pass. It reads the object, so it sees by itself whether it is being deleted."""


class Life:
    """Whether an object still has to be looked after."""

    def __init__(self) -> None:
        self._deleting = asyncio.Event()
        self._ended = asyncio.Event()
        self._either = asyncio.Event()

    def delete(self) -> None:
        """Say that the object is being deleted: clean up, then stop."""
        self._deleting.set()
        self._either.set()

    def end(self) -> None:
        """Say that the object is gone or the operator exits: stop at once."""
        self._ended.set()
        self._either.set()

    def deleting(self) -> bool:
        """Whether `delete` was called."""
        return self._deleting.is_set()

    def ended(self) -> bool:
        """Whether `end` was called."""
        return self._ended.is_set()

    async def until_over(self) -> None:
        """Return once the object is being deleted, or ended."""
        await self._either.wait()

    async def until_ended(self) -> None:
        """Return once it ended."""
        await self._ended.wait()


class Observer(Protocol):
    """Told about every pass; for metrics."""

    def passed(self, seconds: float, result: str) -> None:
        """One pass: its time and ok, or the name of the exception."""
        ...


class Wakeups:
    """Wakes the loops of objects by key. A wake-up during a pass leads to one more pass.

    turns: where the loops wait for their turns; who is woken there moves up.
    """

    def __init__(self, turns: Turns | None = None) -> None:
        self._events: dict[Hashable, asyncio.Event] = {}
        self.turns = turns or Turns()

    def open(self, key: Hashable) -> asyncio.Event:
        """Return the event of a key, making it if need be."""
        return self._events.setdefault(key, asyncio.Event())

    def wake(self, key: Hashable) -> bool:
        """Let the loop of a key look again; False when there is none."""
        event = self._events.get(key)
        if event is not None:
            event.set()
            self.turns.hurry(key)
        return event is not None

    def close(self, key: Hashable, event: asyncio.Event) -> None:
        """Forget the event of a key, unless a newer loop took it over."""
        if self._events.get(key) is event:
            del self._events[key]

    def keys(self) -> list[Hashable]:
        """Keys that have a loop."""
        return list(self._events)


@dataclass(slots=True)
class _Loop:
    """State of one loop."""

    key: Hashable
    reconcile: Reconcile
    life: Life
    observer: Observer
    woken: asyncio.Event
    urgent: asyncio.Event
    turns: Turns
    began: float = 0.0
    """When the present pass got its turn."""
    failures: int = 0
    complaint: str = ""

    async def attempt(self, limit: float) -> Outcome | None:
        """One pass; None when it failed. Ends at once when the operator exits, and when it is to begin anew."""
        self.urgent.clear()
        self.began, result = _time(), "ok"
        try:
            outcome = await self._until_ended(limit)
        except Exception as error:  # noqa: BLE001 - the one place where everything ends in a back-off
            outcome, result = None, type(error).__name__
            self._failed(error)
        else:
            self._succeeded()
        self.observer.passed(_time() - self.began, result)
        return outcome

    async def _in_turn(self, limit: float) -> Outcome:
        async with self.turns.turn(self.key, urgent=self.woken.is_set() or self.life.deleting()):
            self.woken.clear()
            self.began = _time()
            async with asyncio.timeout(limit):
                return await self.reconcile()

    async def _until_ended(self, limit: float) -> Outcome:
        task = asyncio.ensure_future(self._in_turn(limit))
        ended = asyncio.ensure_future(self.life.until_ended())
        urgent = asyncio.ensure_future(self.urgent.wait())
        try:
            await asyncio.wait({task, ended, urgent}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            return Outcome(finished=True) if ended.done() else Outcome(requeue_after=0.0)
        finally:
            ended.cancel()
            urgent.cancel()
            await _cancel(task)

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        if isinstance(error, Conflict) and self.failures == 1:
            return  # somebody wrote in between, as is to be expected: look again
        complaint = f"{type(error).__name__}: {error}"
        if complaint != self.complaint:
            expected = isinstance(error, ChaffinchError | TimeoutError)
            _log.warning("reconcile_failed", key=str(self.key), error=complaint, exc_info=None if expected else error)
        self.complaint = complaint

    def _succeeded(self) -> None:
        if self.complaint:
            _log.info("reconcile_recovered", key=str(self.key), failures=self.failures)
        self.failures, self.complaint = 0, ""

    async def wait(self, seconds: float) -> None:
        """Wait for a wake-up, the end of the object's life, or the time; a wake-up only after a moment, or urgent."""
        floor = FIRST_BACKOFF if self.complaint else PAUSE
        await _first(floor, self.life.until_over(), self.urgent.wait())
        if seconds > floor and not self.urgent.is_set():
            await _first(seconds - floor, self.life.until_over(), self.woken.wait(), self.urgent.wait())


def backoff(failures: int) -> float:
    """Seconds after this many failures in a row: 1, 2, 4 ... 60, less up to half of it by chance."""
    longest = min(LAST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failures - 1, 10))
    return max(FIRST_BACKOFF, longest * random.uniform(0.5, 1.0))  # noqa: S311 - jitter


async def run_object(
    key: Hashable,
    reconcile: Reconcile,
    wakeups: Wakeups,
    life: Life,
    *,
    resync_seconds: float,
    observer: Observer,
    after_pass: Callable[[], None] = lambda: None,
    urgent: Wakeups | None = None,
) -> bool:
    """Reconcile until the object is gone or the operator exits; on deletion, clean up first.

    urgent: what its `wake` ends is the present pass, however long it would still wait for others; the next one begins
    at once. A pass that is cut off is no worse than one of a process that was killed.

    True when nothing is left to do; False when the operator exits meanwhile.
    """
    hurry = urgent or Wakeups()
    loop = _Loop(key, reconcile, life, observer, wakeups.open(key), hurry.open(key), wakeups.turns)
    try:
        while not life.ended() and not life.deleting():
            outcome = await loop.attempt(PASS_SECONDS)
            after_pass()
            if outcome is not None and outcome.finished:
                return not life.ended()
            if outcome is None:
                delay = backoff(loop.failures) if loop.complaint else CONFLICT_PAUSE
            else:
                delay = resync_seconds if outcome.requeue_after is None else outcome.requeue_after
            await loop.wait(delay)
        return await _clean_up(loop)
    finally:
        wakeups.close(key, loop.woken)
        hurry.close(key, loop.urgent)


async def _clean_up(loop: _Loop) -> bool:
    deadline = _time() + CLEANUP_SECONDS
    while not loop.life.ended():
        left = deadline - _time()
        if left <= 0:
            _log.warning("cleanup_given_up", key=str(loop.key), seconds=CLEANUP_SECONDS, error=loop.complaint)
            return True
        outcome = await loop.attempt(left)
        if outcome is not None and outcome.finished:
            return not loop.life.ended()
        await _first(min(CLEANUP_PAUSE, max(0.0, left)), loop.life.until_ended())
    return False


def _time() -> float:
    return asyncio.get_running_loop().time()


async def _first(seconds: float, *waits: Awaitable[object]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _cancel(task: asyncio.Future[Outcome]) -> None:
    """Cancel and wait, so that two passes of one object never overlap."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_SECONDS)
    if task.done() and not task.cancelled():
        task.exception()
