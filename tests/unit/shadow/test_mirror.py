"""The collector's memory is bounded, and what it cannot keep is counted."""

from collections.abc import Awaitable, Callable
from datetime import date

from chaffinch_shadow.collect.coverage import Coverage
from chaffinch_shadow.collect.tally import ShardState, Tally, one, total
from chaffinch_shadow.mirror.queue import Recent, Waiting
from chaffinch_shadow.mirror.saving import MOST_BATCH, Saving
from chaffinch_shadow.store.write import Batch, OvertakenError
from unit.shadow.copies import copy, evaluation, paired


class Store:
    """A database at the edge: it can be away, or lose an answer after writing."""

    def __init__(self) -> None:
        self.state = ShardState(0, False, Tally())
        self.away = False
        self.loses_answer = False
        self.days: set[date] = set()

    async def write(self, batch: Batch) -> ShardState:
        """Write a batch, as the real one does."""
        if self.away:
            raise ConnectionError
        if batch.state.progress != self.state.progress:
            raise OvertakenError
        tally = total([self.state.tally, batch.dropped, *(made.counts for made in batch.made)])
        self.state = ShardState(self.state.progress + 1, False, tally)
        self.days.add(batch.day)
        if self.loses_answer:
            self.loses_answer = False
            raise TimeoutError
        return self.state

    async def read(self) -> ShardState:
        """Where it is."""
        return self.state


def saving(store: Store, most: int = 10) -> Saving:
    """A writer to it."""
    write: Callable[[Batch], Awaitable[ShardState]] = store.write
    return Saving("s", write, store.read, most)


def received(store: Store) -> int:
    """Copies that the stored counts know of."""
    return Coverage.of(store.state.tally).received


async def test_a_queue_refuses_instead_of_growing() -> None:
    """By number and by bytes; and there is room again when a copy is taken."""
    waiting = Waiting(2, 1 << 20)
    assert [await waiting.put(copy(), 0.0) for _ in range(3)] == [True, True, False]
    await waiting.take()
    assert not await waiting.put(copy(body=b"x" * (1 << 20)), 0.0)
    assert await waiting.put(copy(), 0.0)


async def test_what_waits_is_taken_after_the_queue_is_closed() -> None:
    """And then workers are told that there is no more."""
    waiting = Waiting(2, 1 << 20)
    await waiting.put(copy("a"), 0.0)
    await waiting.close()
    taken = await waiting.take()
    assert taken is not None
    assert taken[1].request_id == "a"
    assert await waiting.take() is None
    assert not await waiting.put(copy(), 0.0)


def test_remembered_ids_are_bounded() -> None:
    """The oldest is forgotten; one that comes again is remembered longer."""
    recent = Recent(2)
    assert [recent.seen(name) for name in ("a", "b", "a", "c", "a", "b")] == [False, False, True, False, True, False]


async def test_pairs_wait_while_the_database_is_away_and_the_surplus_is_counted() -> None:
    """Nothing is lost silently: what memory cannot hold is `StoreAway`."""
    store = Store()
    store.away = True
    keep = saving(store, most=10)
    for number in range(25):
        keep.add(paired(evaluation(), copy(f"r-{number}")))
    assert not await keep.flush()
    assert keep.away
    store.away = False
    assert await keep.flush()
    coverage = Coverage.of(store.state.tally)
    assert (coverage.pairs, {reason.value: n for reason, n in coverage.by_reason.items()}) == (10, {"StoreAway": 15})


async def test_a_write_whose_answer_was_lost_counts_once() -> None:
    """The batch is tried again, found written, and not written twice."""
    store = Store()
    keep = saving(store)
    store.loses_answer = True
    keep.add(paired(evaluation(), copy()))
    keep.drop(one("dropped", "QueueFull", "none"))
    assert not await keep.flush()
    keep.add(paired(evaluation(), copy("r-2")))
    assert await keep.flush()
    assert received(store) == 3


async def test_batches_are_bounded() -> None:
    """However much waits."""
    store = Store()
    keep = saving(store, most=3 * MOST_BATCH)
    made = paired(evaluation(), copy())
    for _ in range(MOST_BATCH + 1):
        keep.add(made)
    await keep.flush()
    assert (store.state.progress, received(store)) == (2, MOST_BATCH + 1)
