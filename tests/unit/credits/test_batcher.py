"""The queue before a ledger's writer: bounded by number and age, and honest about what was done."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from chaffinch_credits.api.batcher import MOST_IN_A_BATCH, OLDEST_SECONDS, Batcher, NotSentError
from chaffinch_credits.api.problems import Problem
from chaffinch_credits.ledger.decide import Decisions, Group
from chaffinch_credits.ledger.entries import Reply
from chaffinch_credits.ledger.words import Outcome
from unit.credits.builders import request

pytestmark = pytest.mark.asyncio


@dataclass
class Database:
    """Answers batches when it is told to, or fails."""

    sizes: list[int] = field(default_factory=list)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    problem: Exception | None = None

    async def run(self, groups: Sequence[Group], _: Mapping[UUID, bytes]) -> Decisions:
        """One batch; sequences are the requests' numbers."""
        asked = [one for group in groups for one in group.requests]
        self.sizes.append(len(asked))
        await self.go.wait()
        if self.problem is not None:
            raise self.problem
        return Decisions(replies=[Reply(Outcome.OK, one.id.int) for one in asked])


def group(*numbers: int) -> Group:
    """Requests sent together."""
    return Group(tuple(request("close", number, account="a") for number in numbers))


async def code(waiting: "asyncio.Task[list[Reply]]") -> str:
    """What a client is told."""
    with pytest.raises(Problem) as said:
        await waiting
    assert (said.value.status, said.value.retry_after) == (503, 1)
    return said.value.code


def submitted(batcher: Batcher, *numbers: int) -> "asyncio.Task[list[Reply]]":
    """A client that waits."""
    return asyncio.create_task(batcher.submit(group(*numbers), {}))


async def until_taken(database: Database, batches: int) -> None:
    """The writer is at this batch."""
    async with asyncio.timeout(5):
        while len(database.sizes) < batches:  # noqa: ASYNC110 - one turn of the loop is all that is waited for
            await asyncio.sleep(0)


async def test_what_arrives_meanwhile_is_the_next_batch() -> None:
    """Each client gets its own replies, and no batch is larger than it may be."""
    database = Database()
    batcher = Batcher(database.run)
    work = asyncio.create_task(batcher.work())
    clients = [submitted(batcher, 1)]
    await until_taken(database, 1)
    clients += [submitted(batcher, number) for number in range(2, 303)]
    await asyncio.sleep(0)
    database.go.set()
    assert [(await client)[0].seq for client in clients] == list(range(1, 303))
    assert database.sizes == [1, MOST_IN_A_BATCH, 301 - MOST_IN_A_BATCH]
    batcher.close()
    await work


async def test_a_full_queue_takes_nothing_more() -> None:
    """Overloaded, at once; what is queued is still done."""
    database = Database()
    batcher = Batcher(database.run, most_queued=2)
    first = submitted(batcher, 1, 2)
    await asyncio.sleep(0)
    assert await code(submitted(batcher, 3)) == "overloaded"
    database.go.set()
    batcher.close()
    await batcher.work()
    assert len(await first) == 2


async def test_what_waited_too_long_is_dropped_before_it_is_done() -> None:
    """Overloaded: the client has given up long ago, or will ask again."""
    now, database = [0.0], Database()
    batcher = Batcher(database.run, clock=lambda: now[0])
    old = submitted(batcher, 1)
    await asyncio.sleep(0)
    now[0] += OLDEST_SECONDS + 1
    new = submitted(batcher, 2)
    await asyncio.sleep(0)
    database.go.set()
    batcher.close()
    await batcher.work()
    assert await code(old) == "overloaded"
    assert (await new)[0].seq == 2
    assert database.sizes == [1]


@pytest.mark.parametrize(
    ("problem", "said"), [(OSError(), "unknown_outcome"), (NotSentError(), "database_unavailable")]
)
async def test_a_batch_that_failed_says_what_is_known(problem: Exception, said: str) -> None:
    """Not sent: nothing was done. Sent, and no answer: it is not known; and the next batch is written."""
    database = Database(problem=problem)
    database.go.set()
    batcher = Batcher(database.run)
    work = asyncio.create_task(batcher.work())
    assert await code(submitted(batcher, 1)) == said
    database.problem = None
    assert (await submitted(batcher, 2))[0].seq == 2
    batcher.close()
    await work
    assert await code(submitted(batcher, 3)) == "shutting_down"
