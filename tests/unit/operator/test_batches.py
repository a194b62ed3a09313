"""Questions of many callers asked together: who shares, who waits, who fails, and what is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field

import pytest

from chaffinch_operator.ports import batches
from chaffinch_operator.ports.batches import Batches, Question, TooLarge
from chaffinch_operator.ports.queries import Row, Selector

BY_NAMESPACE = Selector("hits_total", "", ("namespace",), ())


def question(at: int = 1000, settled: float | None = 5.0) -> Question:
    """Hits by namespace."""
    return Question(BY_NAMESPACE, at, settled=settled)


@dataclass
class Store:
    """Answers each row by two results, and keeps what it was asked."""

    asked: list[tuple[int, list[str]]] = field(default_factory=list)
    problem: Exception | None = None
    most: int = 10_000
    gate: asyncio.Event | None = None
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, question: Question, rows: Sequence[Row]) -> list[tuple[str, int]]:
        """One request."""
        self.asked.append((question.at, [row[0] for row in rows]))
        self.reached.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.problem is not None:
            raise self.problem
        if len(rows) > self.most:
            raise TooLarge("too large")
        return [(row[0], number) for row in rows for number in (1, 2)] + [("stranger", 1)]

    def batches(self) -> Batches[tuple[str, int]]:
        """What is tested."""
        return Batches(self.ask, lambda _, one: (one[0],))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers of one turn of the loop meet; there is no need to wait for more."""
    monkeypatch.setattr(batches, "GATHER_SECONDS", 0)


def want(asked: Batches[tuple[str, int]], *names: str, at: int = 1000) -> Awaitable[list[tuple[str, int]]]:
    """What belongs to some namespaces."""
    return asked.get(question(at), [(name,) for name in names])


async def test_callers_that_differ_in_a_value_share_a_request() -> None:
    """Each gets its own, in one request for all."""
    store = Store()
    asked = store.batches()
    found = await asyncio.gather(want(asked, "a"), want(asked, "b"), want(asked, "a", "c"))
    assert list(found) == [[("a", 1), ("a", 2)], [("b", 1), ("b", 2)], [("a", 1), ("a", 2), ("c", 1), ("c", 2)]]
    assert store.asked == [(1000, ["a", "b", "c"])]


async def test_hundreds_of_values_go_in_some_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A query has a limit."""
    monkeypatch.setattr(batches, "MOST_ROWS", 2)
    store = Store()
    asked = store.batches()
    await asyncio.gather(*(want(asked, name) for name in "abcde"))
    assert [rows for _, rows in store.asked] == [["a", "b"], ["c", "d"], ["e"]]


async def test_an_answer_that_is_too_large_is_asked_for_in_halves() -> None:
    """Until it is small enough; what cannot be halved is refused."""
    store = Store(most=2)
    found = await want(store.batches(), "a", "b", "c", "d", "e")
    assert [name for name, _ in found] == ["a", "a", "b", "b", "c", "c", "d", "d", "e", "e"]
    assert [rows for _, rows in store.asked] == [list("abcde"), ["a", "b"], ["c", "d", "e"], ["c"], ["d", "e"]]
    with pytest.raises(TooLarge):
        await want(Store(most=0).batches(), "a")


async def test_a_failure_reaches_all_and_is_not_remembered() -> None:
    """The next one who asks asks anew."""
    store = Store(problem=OSError("away"))
    asked = store.batches()
    found = await asyncio.gather(want(asked, "a"), want(asked, "b"), return_exceptions=True)
    assert [str(one) for one in found] == ["away", "away"]
    store.problem = None
    assert len(await want(asked, "a")) == 2


async def test_one_who_gives_up_does_not_take_the_answer_from_the_others() -> None:
    """The request goes on."""
    store = Store(gate=asyncio.Event())
    asked = store.batches()
    impatient = asyncio.ensure_future(want(asked, "a"))
    patient = asyncio.ensure_future(want(asked, "a", "b"))
    await store.reached.wait()
    impatient.cancel()
    assert store.gate is not None
    store.gate.set()
    assert len(await patient) == 4
    assert len(store.asked) == 1


async def test_whoever_comes_first_asks_for_those_who_will_come() -> None:
    """Callers of the last moments are expected at the next: however late they come, their answer is there."""
    store = Store()
    asked = store.batches()
    await asyncio.gather(want(asked, "a"), want(asked, "b"))
    await want(asked, "b", at=2000)
    await want(asked, "a", at=2000)
    assert store.asked == [(1000, ["a", "b"]), (2000, ["a", "b"])]


async def test_a_question_that_follows_is_asked_for_all_of_those_callers() -> None:
    """When one of them finds scrapes missing, the others will, too; it makes nobody expected by itself."""
    store, after = Store(), Store()
    asked = store.batches()
    follows: Batches[tuple[str, int]] = Batches(after.ask, lambda _, one: (one[0],), callers=asked.callers)
    await asyncio.gather(want(asked, "a"), want(asked, "b"))
    await want(follows, "b", at=1005)
    await want(follows, "a", at=1005)
    await want(follows, "c", at=1005)
    await want(asked, "b", at=2000)
    assert after.asked == [(1005, ["a", "b"]), (1005, ["c"])]
    assert store.asked == [(1000, ["a", "b"]), (2000, ["a", "b"])]


async def test_who_comes_no_more_is_not_expected_for_long() -> None:
    """Two moments later it is forgotten."""
    store = Store()
    asked = store.batches()
    await want(asked, "gone", "b")
    for at in (2000, 3000, 4000):
        await want(asked, "b", at=at)
    assert [rows for _, rows in store.asked] == [["b", "gone"], ["b", "gone"], ["b", "gone"], ["b"]]


async def test_an_older_moment_is_nobody_elses() -> None:
    """Who catches up asks for itself; so does who is not expected to be many."""
    store = Store()
    asked = store.batches()
    await want(asked, "a", at=2000)
    await want(asked, "b", at=1000)
    await asked.get(question(3000, settled=None), [("c",)])
    assert store.asked == [(2000, ["a"]), (1000, ["b"]), (3000, ["c"])]


async def test_callers_that_waited_differently_share_nothing() -> None:
    """An answer for who waits a second may lack what comes in the next."""
    store = Store()
    asked = store.batches()
    await asked.get(question(settled=1.0), [("a",)])
    await asked.get(question(settled=9.0), [("a",)])
    assert len(store.asked) == 2


@pytest.mark.parametrize(("limit", "value"), [("_REMEMBERED", 2), ("REMEMBERED_SECONDS", -1.0)])
async def test_answers_are_forgotten(limit: str, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """By number and by age; an answer that is waited for is not."""
    monkeypatch.setattr(batches, limit, value)
    store = Store()
    asked = store.batches()
    assert len(await want(asked, *"abcdefg")) == 14
    await want(asked, "h")
    await want(asked, "i")
    await want(asked, "a")
    assert store.asked[-1] == (1000, ["a"])


async def test_an_end_of_the_process_ends_the_waiting() -> None:
    """Nobody waits for ever for a request that was cancelled."""
    store = Store(gate=asyncio.Event())
    asked = store.batches()
    waiting = asyncio.ensure_future(want(asked, "a"))
    await store.reached.wait()
    for task in asyncio.all_tasks() - {waiting, asyncio.current_task()}:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
