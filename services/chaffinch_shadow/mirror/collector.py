"""From a copy that arrives to a pair that is stored. The gateway is answered before anything of this happens."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import structlog

from chaffinch_shadow.collect.copies import Copy
from chaffinch_shadow.collect.evaluation import Evaluation
from chaffinch_shadow.collect.pairing import dropped, pair, refusal
from chaffinch_shadow.collect.words import Drop
from chaffinch_shadow.mirror.queue import Recent, Waiting
from chaffinch_shadow.mirror.saving import Saving
from chaffinch_shadow.send.versions import Versions

_REMEMBERED = 200_000
_FLUSH_SECONDS = 0.5
_LAST_FLUSHES = 10


class Collector:
    """Workers between a queue and a store. `running` is its life."""

    def __init__(self, evaluation: Evaluation, saving: Saving) -> None:
        limits = evaluation.limits
        self.evaluation, self.saving = evaluation, saving
        self.waiting = Waiting(limits.queue, limits.queue_bytes)
        self.draining = False
        self._recent = Recent(_REMEMBERED)
        self._ordinal = 0
        self._saver: asyncio.Task[None] | None = None
        self._log = structlog.get_logger()

    @property
    def healthy(self) -> bool:
        """Whether what is compared is still being stored."""
        return self._saver is None or self.draining or not self._saver.done()

    async def offer(self, copy: Copy) -> Drop | None:
        """Take a copy, or drop and count it; returns the reason. Does not wait for any version."""
        drop = refusal(self.evaluation, copy)
        if drop is None and self.draining:
            drop = Drop.SHUTTING_DOWN
        if drop is None and self._recent.seen(copy.request_id or ""):
            drop = Drop.DUPLICATE
        if drop is None and not await self.waiting.put(replace(copy, ordinal=self._next_ordinal()), time.monotonic()):
            drop = Drop.QUEUE_FULL
        if drop is not None:
            self.refused(drop, len(copy.body))
        return drop

    def refused(self, drop: Drop, body_bytes: int) -> None:
        """Count a copy that is not compared."""
        self.saving.drop(dropped(drop, body_bytes))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work while the block runs; then compare what waits, store it, and end."""
        async with Versions(self.evaluation) as versions:
            workers = [asyncio.create_task(self._work(versions)) for _ in range(self.evaluation.limits.concurrency)]
            saver = self._saver = asyncio.create_task(self.saving.run(_FLUSH_SECONDS))
            try:
                yield
            finally:
                await self.waiting.close()
                await asyncio.gather(*workers)
                saver.cancel()
                await asyncio.gather(saver, return_exceptions=True)
                await self._store_the_rest()

    async def _work(self, versions: Versions) -> None:
        oldest = self.evaluation.limits.queue_ms / 1000
        while (taken := await self.waiting.take()) is not None:
            at, copy = taken
            if self.draining and time.monotonic() - at > oldest:
                self.refused(Drop.SHUTTING_DOWN, len(copy.body))
            elif time.monotonic() - at > oldest:
                self.refused(Drop.LATE, len(copy.body))
            else:
                await self._compare(versions, copy)

    async def _compare(self, versions: Versions, copy: Copy) -> None:
        try:
            self.saving.add(pair(self.evaluation, copy, await versions.ask(copy)))
        except Exception as problem:  # noqa: BLE001 - one strange copy must not end a worker
            self.refused(Drop.UNREADABLE, len(copy.body))
            self._log.error("copy_not_compared", problem=type(problem).__name__)

    async def _store_the_rest(self) -> None:
        for _ in range(_LAST_FLUSHES):
            if await self.saving.flush():
                return
            await asyncio.sleep(_FLUSH_SECONDS)
        self._log.error("ended_with_unsaved_pairs", pairs=self.saving.waiting)

    def _next_ordinal(self) -> int:
        """Microseconds since 1970, never twice the same."""
        self._ordinal = max(self._ordinal + 1, time.time_ns() // 1000)
        return self._ordinal
