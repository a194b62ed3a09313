"""Passes run in turns: few at a time, in a fair order, and none is lost. In virtual time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chaffinch_operator.loop import Life, Outcome, Wakeups, run_object
from chaffinch_operator.turns import ASIDE_SECONDS, Turns, aside

Run = Callable[[Any], Any]


@dataclass
class Passes:
    """Passes that note when they run, and how many at once."""

    turns: Turns
    order: list[str] = field(default_factory=list)
    running: int = 0
    most: int = 0

    async def one(self, key: str, seconds: float = 1.0, *, urgent: bool = False) -> None:
        """One pass."""
        async with self.turns.turn(key, urgent=urgent):
            self.order.append(key)
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                await asyncio.sleep(seconds)
            finally:
                self.running -= 1


def test_no_more_run_at_once_than_the_limit_and_first_come_goes_first(virtually: Run) -> None:
    """A thousand due objects are a queue, not a stampede."""
    passes = Passes(Turns(3))

    async def crowd() -> None:
        await asyncio.gather(*(passes.one(str(n)) for n in range(20)))

    virtually(crowd())
    assert passes.most == 3
    assert passes.order == [str(n) for n in range(20)]


def test_what_was_woken_goes_before_what_is_only_due(virtually: Run) -> None:
    """Also when the wake-up comes while it waits."""
    passes = Passes(Turns(1))

    async def crowd() -> None:
        due = [asyncio.ensure_future(passes.one(key)) for key in ("running", "a", "b", "c")]
        await asyncio.sleep(0.1)
        woken = asyncio.ensure_future(passes.one("woken", urgent=True))
        await asyncio.sleep(0.1)
        passes.turns.hurry("c")
        passes.turns.hurry("nobody")
        await asyncio.gather(woken, *due)

    virtually(crowd())
    assert passes.order == ["running", "woken", "c", "a", "b"]


def test_a_pass_that_waits_for_others_steps_aside(virtually: Run) -> None:
    """A metrics store that does not answer keeps no other rollout from its turn for long."""
    turns, order = Turns(1), list[str]()

    async def asking() -> None:
        async with turns.turn("asking", urgent=False):
            async with aside():
                await asyncio.sleep(10)
            order.append("asking")

    async def crowd() -> None:
        passes = Passes(turns, order)
        slow = asyncio.ensure_future(asking())
        await asyncio.sleep(0.1)
        await asyncio.gather(slow, *(passes.one(str(n)) for n in range(3)))
        await passes.one("after")
        assert passes.most == 1

    virtually(crowd())
    assert order == ["0", "1", "2", "asking", "after"]


def test_a_pass_that_waits_for_a_moment_keeps_its_turn(virtually: Run) -> None:
    """Those who would begin meanwhile would wait for the same answer, and the first would then wait for them."""
    turns, order = Turns(1), list[str]()

    async def asking() -> None:
        async with turns.turn("asking", urgent=False):
            async with aside():
                await asyncio.sleep(ASIDE_SECONDS / 2)
            order.append("asking")

    async def crowd() -> None:
        passes = Passes(turns, order)
        quick = asyncio.ensure_future(asking())
        await asyncio.sleep(0.1)
        await asyncio.gather(quick, *(passes.one(str(n)) for n in range(3)))
        assert passes.most == 1

    virtually(crowd())
    assert order == ["asking", "0", "1", "2"]


def test_outside_of_a_turn_stepping_aside_does_nothing(virtually: Run) -> None:
    """A pass that is run without turns, as in tests, goes on."""

    async def alone() -> str:
        async with aside():
            return "done"

    assert virtually(alone()) == "done"


def test_how_long_each_waited_is_told(virtually: Run) -> None:
    """Waiting is measured apart from the pass itself."""
    waited: list[float] = []
    passes = Passes(Turns(1, waited=lambda seconds: waited.append(round(seconds, 3))))

    async def crowd() -> None:
        await asyncio.gather(*(passes.one(str(n)) for n in range(3)))

    virtually(crowd())
    assert waited == [0, 1, 2]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans(), st.integers(0, 40)), max_size=25),
    st.integers(1, 3),
)
def test_no_turn_is_ever_lost(crowd: list[tuple[int, bool, bool, int]], limit: int) -> None:
    """Whoever is cancelled, wherever he was: afterwards as many can run as before."""

    async def one(turns: Turns, key: int, urgent: bool, steps_aside: bool) -> None:
        async with turns.turn(key, urgent=urgent):
            await asyncio.sleep(0)
            if steps_aside:
                async with aside():
                    await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def scenario() -> None:
        turns, tasks = Turns(limit), list[asyncio.Task[None]]()
        for key, urgent, steps_aside, moment in crowd:
            tasks.append(asyncio.create_task(one(turns, key, urgent, steps_aside)))
            await asyncio.sleep(0)
            if moment < len(tasks):
                tasks[moment].cancel()
                turns.hurry(key)
        await asyncio.gather(*tasks, return_exceptions=True)
        passes = Passes(turns)
        async with asyncio.timeout(5):
            await asyncio.gather(*(passes.one(str(n), 0) for n in range(3 * limit)))
        assert passes.most == limit

    asyncio.run(scenario())


@dataclass
class Slow:
    """An object whose pass takes its time; it is gone after two."""

    at: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    async def reconcile(self) -> Outcome:
        """One pass."""
        self.at.append(round(asyncio.get_running_loop().time(), 3))
        await asyncio.sleep(1)
        return Outcome(requeue_after=100, finished=len(self.at) == 2)

    def passed(self, seconds: float, result: str) -> None:
        """Note how long it took."""
        self.seconds.append(round(seconds, 3))


def test_loops_share_the_turns_and_their_passes_are_timed_without_the_wait(virtually: Run) -> None:
    """Two objects, one turn: the second begins when the first is through, and took as long as it took."""
    wakeups, slow = Wakeups(Turns(1)), [Slow(), Slow()]

    async def both() -> None:
        loops = (
            run_object(str(n), one.reconcile, wakeups, Life(), resync_seconds=300, observer=one)
            for n, one in enumerate(slow)
        )
        await asyncio.gather(*loops)

    virtually(both())
    assert [one.at[0] for one in slow] == [0, 1]
    assert all(one.seconds == [1, 1] for one in slow)


def test_a_loop_that_waits_for_its_turn_ends_with_the_operator(virtually: Run) -> None:
    """Nobody has to run once more to be told to stop."""
    wakeups, life, slow = Wakeups(Turns(1)), Life(), Slow()

    async def blocked() -> bool:
        async with wakeups.turns.turn("other", urgent=False):
            running = asyncio.create_task(
                run_object("a", slow.reconcile, wakeups, life, resync_seconds=300, observer=slow)
            )
            await asyncio.sleep(1)
            life.end()
            return await running

    assert virtually(blocked()) is False
    assert slow.at == []
