"""What is compared and not yet stored: kept in memory within bounds, and written in batches.

When the database is away, pairs wait; when too many wait, they are counted as `StoreAway` instead, so that coverage
tells how many there were. Counts are small and never lost while the process lives.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import date

import asyncpg
import structlog

from chaffinch_shadow.collect.pairing import Made
from chaffinch_shadow.collect.tally import ShardState, Tally, one
from chaffinch_shadow.collect.words import Drop
from chaffinch_shadow.store.write import Batch, OvertakenError, today

OUTAGE = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError)
MOST_BATCH = 500
Write = Callable[[Batch], Awaitable[ShardState]]
Read = Callable[[], Awaitable[ShardState]]


class Saving:
    """The collector's one writer.

    Args:
        shard: name of this collector's state.
        write: stores a batch.
        read: where the stored state is, after a write of unknown outcome.
        most: pairs that may wait.

    """

    def __init__(self, shard: str, write: Write, read: Read, most: int) -> None:
        self._shard, self._write, self._read, self._most = shard, write, read, most
        self._waiting: deque[Made] = deque()
        self._dropped = Tally()
        self._state = ShardState(0, False, Tally())
        self._pending: Batch | None = None
        self._log = structlog.get_logger().bind(shard=shard)
        self.away = False

    @property
    def waiting(self) -> int:
        """Pairs that are not stored yet."""
        return len(self._waiting) + (len(self._pending.made) if self._pending else 0)

    @property
    def counted(self) -> Tally:
        """What is stored, and the drops that are not yet."""
        pending = self._pending.dropped if self._pending else Tally()
        return self._state.tally + pending + self._dropped

    def add(self, made: Made) -> None:
        """Take a result; one without a sample is only counted."""
        if made.sample is None:
            self._dropped += made.counts
        elif self.waiting >= self._most:
            self._dropped += one("dropped", Drop.STORE_AWAY, made.sample.size)
        else:
            self._waiting.append(made)

    def drop(self, counts: Tally) -> None:
        """Count copies without a pair."""
        self._dropped += counts

    async def flush(self) -> bool:
        """Write all that waits; whether it is all written."""
        while self._pending or self._waiting or self._dropped.counts:
            batch = self._pending or self._next()
            self._pending = batch
            try:
                self._state = await self._write(batch)
            except OUTAGE as problem:
                self._outage(problem)
                return False
            except OvertakenError:
                if not await self._written(batch):
                    return False
            self._pending = None
            if self.away:
                self.away = False
                self._log.info("store_back", waiting=self.waiting)
        return True

    async def run(self, seconds: float) -> None:
        """Write every so often until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            await self.flush()

    def _next(self) -> Batch:
        made = [self._waiting.popleft() for _ in range(min(MOST_BATCH, len(self._waiting)))]
        dropped, self._dropped = self._dropped, Tally()
        return Batch(self._shard, self._state, made, dropped, 1, done=False, day=self._day())

    def _day(self) -> date:
        return today()

    async def _written(self, batch: Batch) -> bool:
        """A write whose answer was lost may have happened: then the state is one batch further."""
        try:
            found = await self._read()
        except OUTAGE as problem:
            self._outage(problem)
            return False
        if found.progress != batch.state.progress + 1:
            raise OvertakenError(f"another process writes as {self._shard}: start this one again")
        self._state = found
        return True

    def _outage(self, problem: BaseException) -> None:
        if not self.away:
            self._log.warning("store_away", problem=type(problem).__name__, waiting=self.waiting)
        self.away = True
