"""Natural micro-batching: while a batch is being written, what arrives queues up and becomes the next one.

No timer: an idle ledger answers at once, a busy one in larger batches. The queue is bounded by number and by age; what
waited too long is dropped before it enters a batch, never after.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from chaffinch_credits.api.problems import Problem
from chaffinch_credits.ledger.decide import Decisions, Group
from chaffinch_credits.ledger.entries import Reply

Run = Callable[[Sequence[Group], Mapping[UUID, bytes]], Awaitable[Decisions]]
MOST_IN_A_BATCH = 200
MOST_QUEUED = 5_000
OLDEST_SECONDS = 5.0
_RETRY_AFTER = 1


class NotSentError(Exception):
    """The batch never reached the database: nothing of it was done."""


@dataclass(slots=True)
class _Waiting:
    group: Group
    metadata: Mapping[UUID, bytes]
    since: float
    answer: asyncio.Future[list[Reply]]


@dataclass(slots=True)
class Batcher:
    """The queue before one ledger's writer. `work` runs until it is cancelled; `drain` lets it finish first."""

    run: Run
    most_queued: int = MOST_QUEUED
    clock: Callable[[], float] = time.monotonic
    _queue: deque[_Waiting] = field(default_factory=deque)
    _queued: int = 0
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _closed: bool = False

    @property
    def queued(self) -> int:
        """Requests that wait."""
        return self._queued

    @property
    def oldest(self) -> float:
        """Seconds since the first of the requests that wait arrived; 0 when none waits."""
        return self.clock() - self._queue[0].since if self._queue else 0.0

    async def submit(self, group: Group, metadata: Mapping[UUID, bytes]) -> list[Reply]:
        """Replies in the order of the group's requests, once they are durable.

        Raises:
            Problem: overloaded or closing (503, nothing was done), or the outcome is unknown (503, ask again).

        """
        if self._closed or self._queued + len(group.requests) > self.most_queued:
            raise _overloaded("shutting_down" if self._closed else "overloaded")
        waiting = _Waiting(group, metadata, self.clock(), asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._queued += len(group.requests)
        self._arrived.set()
        return await waiting.answer

    async def work(self) -> None:
        """Write batch after batch; ends when it is closed and empty."""
        while not (self._closed and not self._queue):
            await self._arrived.wait()
            self._arrived.clear()
            while batch := self._take():
                await self._write(batch)

    def close(self) -> None:
        """Take nothing more; what is queued is still written."""
        self._closed = True
        self._arrived.set()

    def _take(self) -> list[_Waiting]:
        """The next batch: whole groups, in order, until it is full. A group that is larger is a batch of its own."""
        batch: list[_Waiting] = []
        size, too_old = 0, self.clock() - OLDEST_SECONDS
        while self._queue and (not batch or size + len(self._queue[0].group.requests) <= MOST_IN_A_BATCH):
            waiting = self._queue.popleft()
            self._queued -= len(waiting.group.requests)
            if waiting.answer.done():
                continue
            if waiting.since < too_old:
                waiting.answer.set_exception(_overloaded("overloaded"))
                continue
            batch.append(waiting)
            size += len(waiting.group.requests)
        return batch

    async def _write(self, batch: list[_Waiting]) -> None:
        metadata = {key: body for waiting in batch for key, body in waiting.metadata.items()}
        try:
            made = await self.run([waiting.group for waiting in batch], metadata)
        except Exception as problem:  # noqa: BLE001 - every caller is told; the writer goes on
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(_unknown(problem))
            return
        replies = iter(made.replies)
        for waiting in batch:
            own = [next(replies) for _ in waiting.group.requests]
            if not waiting.answer.done():
                waiting.answer.set_result(own)


def _overloaded(code: str) -> Problem:
    return Problem(503, code, "nothing was done; send the same request again later", retry_after=_RETRY_AFTER)


def _unknown(problem: Exception) -> Problem:
    if isinstance(problem, NotSentError):
        return _overloaded("database_unavailable")
    title = f"whether it was done is not known ({type(problem).__name__}); send the same request with the same id again"
    return Problem(503, "unknown_outcome", title, retry_after=_RETRY_AFTER)
