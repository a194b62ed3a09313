"""One shard of a replay: send its records, write what came of them, and know after a kill where it was.

A batch's samples, counts and progress are one transaction. A worker that is killed is repeated from the last batch; one
that was thought dead and writes again finds the shard further than it left it, and ends.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import structlog

from chaffinch_shadow.collect.copies import Copy
from chaffinch_shadow.collect.evaluation import Evaluation
from chaffinch_shadow.collect.pairing import Made, dropped, pair, refusal
from chaffinch_shadow.collect.tally import ShardState, Tally
from chaffinch_shadow.collect.words import Drop
from chaffinch_shadow.replay.records import Record, ReplayError, read
from chaffinch_shadow.send.versions import Versions
from chaffinch_shadow.store import reads
from chaffinch_shadow.store.schema import SCHEMA
from chaffinch_shadow.store.write import Batch, Registered, register, state_of, write

MOST_BATCH = 200
_SAY_SECONDS = 5.0
_PREFIX = "replay"


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of which files. index: 0 .. shards - 1."""

    folder: Path
    index: int
    shards: int

    @property
    def name(self) -> str:
        """Name of the shard's state."""
        return f"{_PREFIX}-{self.index}-of-{self.shards}"


@dataclass(slots=True)
class Worker:
    """Replays one part over an open connection."""

    evaluation: Evaluation
    part: Part
    connection: asyncpg.Connection
    registered: Registered
    _said: float = field(default_factory=time.monotonic)

    async def run(self) -> ShardState:
        """Go on from where the shard is, to its end.

        Raises:
            ReplayError: the files cannot be read, or other workers count other shards.
            OvertakenError: another worker went on with this shard.

        """
        await self._require_same_shards()
        state = await state_of(self.connection, self.registered.key, self.part.name)
        if state.done:
            return state
        records = itertools.islice(read(self.part.folder, self.part.index, self.part.shards), state.progress, None)
        gate = asyncio.Semaphore(self.evaluation.limits.concurrency)
        async with Versions(self.evaluation) as versions:
            while not state.done:
                batch = list(itertools.islice(records, MOST_BATCH))
                made = await asyncio.gather(*(self._one(versions, gate, record) for record in batch))
                state = await self._write(state, made, done=len(batch) < MOST_BATCH)
                self._say(state)
        return state

    async def _one(self, versions: Versions, gate: asyncio.Semaphore, record: Record) -> Made:
        if not isinstance(record, Copy):
            structlog.get_logger().warning("record_unreadable", place=record.place, why=record.why)
            return Made(None, dropped(Drop.UNREADABLE, 0))
        if (drop := refusal(self.evaluation, record)) is not None:
            return Made(None, dropped(drop, len(record.body)))
        async with gate:
            answers = await versions.ask(record)
        return pair(self.evaluation, record, answers)

    async def _write(self, state: ShardState, made: Sequence[Made], *, done: bool) -> ShardState:
        day = self.registered.day
        batch = Batch(self.part.name, state, made, Tally(), len(made), done, day)
        return await write(self.connection, self.registered.key, batch)

    async def _require_same_shards(self) -> None:
        ending = f"-of-{self.part.shards}"
        for name in await reads.states(self.connection, self.registered.key):
            if name.startswith(f"{_PREFIX}-") and not name.endswith(ending):
                raise ReplayError(f"this generation was begun as {name}: it cannot go on in {self.part.shards} shards")

    def _say(self, state: ShardState) -> None:
        if state.done or time.monotonic() - self._said > _SAY_SECONDS:
            self._said = time.monotonic()
            structlog.get_logger().info("progress", shard=self.part.name, records=state.progress, done=state.done)


@asynccontextmanager
async def worker(dsn: str, evaluation: Evaluation, part: Part) -> AsyncIterator[Worker]:
    """A worker with a connection."""
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=60)
    try:
        await SCHEMA.require_current(connection)
        yield Worker(evaluation, part, connection, await register(connection, evaluation))
    finally:
        await connection.close(timeout=5)
