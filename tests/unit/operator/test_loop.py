"""The loop of one object: looks again when woken, backs off when failing, lets go when it should. In virtual time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from chaffinch_operator import loop as loops
from chaffinch_operator.errors import Conflict, Unavailable
from chaffinch_operator.loop import Life, Outcome, Wakeups, backoff, run_object

Run = Callable[[Any], Any]
RESYNC = 300.0


@dataclass
class Work:
    """A reconcile that does what its script says, then reports that the object is gone; notes when it was called."""

    script: list[object] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    results: list[str] = field(default_factory=list)

    async def reconcile(self) -> Outcome:
        """One pass of the script."""
        self.at.append(round(asyncio.get_running_loop().time(), 3))
        step = self.script.pop(0) if self.script else Outcome(finished=True)
        if callable(step):
            step = await step()
        if isinstance(step, Exception):
            raise step
        assert isinstance(step, Outcome)
        return step

    def passed(self, seconds: float, result: str) -> None:
        """Note the result."""
        self.results.append(result)


async def run(work: Work, life: Life | None = None, wakeups: Wakeups | None = None) -> bool:
    """Run the loop of the object "a"."""
    return await run_object(
        "a", work.reconcile, wakeups or Wakeups(), life or Life(), resync_seconds=RESYNC, observer=work
    )


async def after(seconds: float, act: Callable[[], object]) -> None:
    """Do something later."""
    await asyncio.sleep(seconds)
    act()


def test_an_idle_object_is_looked_at_every_resync(virtually: Run) -> None:
    """Nothing heard does not mean that nothing happened."""
    work = Work([Outcome(), Outcome()])
    assert virtually(run(work)) is True
    assert work.at == [0, RESYNC, 2 * RESYNC]


def test_a_pass_can_ask_for_the_next_one(virtually: Run) -> None:
    """The time it asks for is kept to, but two passes never follow at once."""
    work = Work([Outcome(requeue_after=7), Outcome(requeue_after=0)])
    virtually(run(work))
    assert work.at == [0, 7, 7 + loops.PAUSE]


def test_a_wake_up_ends_the_wait(virtually: Run) -> None:
    """A change is looked at when it is heard of."""
    work, wakeups = Work([Outcome()]), Wakeups()

    async def scenario() -> None:
        await asyncio.gather(run(work, wakeups=wakeups), after(10, lambda: wakeups.wake("a")))

    virtually(scenario())
    assert work.at == [0, 10]


def test_a_burst_of_wake_ups_is_one_pass(virtually: Run) -> None:
    """Ten events within the pause cost one more pass."""
    work, wakeups = Work([Outcome()]), Wakeups()

    async def scenario() -> None:
        await asyncio.gather(
            run(work, wakeups=wakeups), *(after(0.001 * n, lambda: wakeups.wake("a")) for n in range(1, 11))
        )

    virtually(scenario())
    assert work.at == [0, loops.PAUSE]


def test_a_wake_up_during_a_pass_leads_to_another(virtually: Run) -> None:
    """What changed after the pass had looked is not missed."""
    wakeups = Wakeups()

    async def slow() -> Outcome:
        await after(1, lambda: wakeups.wake("a"))
        return Outcome()

    work = Work([slow])
    virtually(run(work, wakeups=wakeups))
    assert work.at == [0, 1 + loops.PAUSE]


def test_waking_an_unknown_object_is_harmless() -> None:
    """An event may come before the loop, or after it."""
    assert Wakeups().wake("nobody") is False


def test_failures_back_off_and_are_counted(virtually: Run) -> None:
    """Each failure waits longer, within bounds; the metric has the exception's name."""
    work = Work([Unavailable("down")] * 9)
    virtually(run(work))
    waits = [b - a for a, b in zip(work.at, work.at[1:], strict=False)]
    assert work.results == ["Unavailable"] * 9 + ["ok"]
    for number, wait in enumerate(waits, start=1):
        assert min(30.0, 2.0 ** (number - 2)) <= wait <= min(60.0, 2.0 ** (number - 1)) + 0.001 or wait == 1.0


def test_a_wake_up_shortens_a_back_off_to_a_second_at_least(virtually: Run) -> None:
    """News may mend the failure, but a storm of news is no storm of passes."""
    work, wakeups = Work([Unavailable("down")] * 8), Wakeups()

    async def keep_waking() -> None:
        for _ in range(200):
            await after(0.05, lambda: wakeups.wake("a"))

    async def scenario() -> None:
        waking = asyncio.ensure_future(keep_waking())
        await run(work, wakeups=wakeups)
        waking.cancel()

    virtually(scenario())
    assert all(b - a >= 1.0 for a, b in zip(work.at, work.at[1:], strict=False))
    assert work.at[-1] < 12


def test_a_first_conflict_is_looked_at_anew_at_once(virtually: Run) -> None:
    """Somebody wrote in between: that is no failure."""
    work = Work([Conflict("changed")])
    virtually(run(work))
    assert work.at == [0, loops.CONFLICT_PAUSE]


def test_even_a_bug_does_not_end_the_loop(virtually: Run) -> None:
    """An unexpected exception is one more failure to back off from."""
    work = Work([KeyError("spec"), Outcome()])
    virtually(run(work))
    assert work.results == ["KeyError", "ok", "ok"]


def test_a_pass_that_hangs_is_given_up(virtually: Run) -> None:
    """One object that never ends its pass is tried again."""
    work = Work([asyncio.Event().wait])
    virtually(run(work))
    assert work.results == ["TimeoutError", "ok"]
    assert work.at[1] >= loops.PASS_SECONDS


def test_the_operators_exit_ends_the_loop_in_the_midst_of_a_pass(virtually: Run) -> None:
    """No cleanup, no further request: another process goes on from the status."""
    cancelled: list[bool] = []

    async def long() -> Outcome:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)
        return Outcome()

    work, life = Work([long]), Life()

    async def scenario() -> bool:
        done, _ = await asyncio.gather(run(work, life), after(3, life.end))
        return bool(done)

    assert virtually(scenario()) is False
    assert cancelled == [True]
    assert work.at == [0]


def test_deletion_lets_the_pass_end_and_then_cleans_up(virtually: Run) -> None:
    """The cleanup is made of passes too, and the last one says that it is finished."""

    async def slow() -> Outcome:
        await asyncio.sleep(5)
        return Outcome()

    work, life = Work([slow, Outcome(), Outcome(finished=True)]), Life()

    async def scenario() -> bool:
        done, _ = await asyncio.gather(run(work, life), after(2, life.delete))
        return bool(done)

    assert virtually(scenario()) is True
    assert work.at[0] == 0
    assert 5 <= work.at[1] <= 5 + loops.PAUSE
    assert len(work.at) == 3


def test_a_cleanup_is_tried_again_for_a_minute_and_then_given_up(virtually: Run) -> None:
    """A finalizer never hangs: not for ever, not when everything fails."""
    work, life = Work([Unavailable("down")] * 1000), Life()
    life.delete()
    assert virtually(run(work, life)) is True
    assert loops.CLEANUP_SECONDS - 2 <= work.at[-1] <= loops.CLEANUP_SECONDS


def test_a_cleanup_that_hangs_is_given_up_too(virtually: Run) -> None:
    """The minute includes the passes."""
    work, life = Work([asyncio.Event().wait] * 3), Life()
    life.delete()

    async def scenario() -> float:
        assert await run(work, life)
        return asyncio.get_running_loop().time()

    assert virtually(scenario()) <= loops.CLEANUP_SECONDS + loops.CLEANUP_PAUSE


def test_the_operators_exit_leaves_a_cleanup_unfinished(virtually: Run) -> None:
    """The object must not be let go: False, so that the finalizer stays for the next process."""
    work, life = Work([Outcome()] * 100), Life()
    life.delete()

    async def scenario() -> bool:
        done, _ = await asyncio.gather(run(work, life), after(5.5, life.end))
        return bool(done)

    assert virtually(scenario()) is False


def test_a_closed_key_is_not_woken_any_more(virtually: Run) -> None:
    """Nothing is kept of an object that is gone."""
    wakeups = Wakeups()
    virtually(run(Work(), wakeups=wakeups))
    assert wakeups.keys() == []


def test_a_newer_loop_of_the_same_key_keeps_its_event() -> None:
    """The old loop's end does not make the new one deaf."""
    wakeups = Wakeups()
    old = wakeups.open("a")
    wakeups.close("a", old)
    new = wakeups.open("a")
    wakeups.close("a", old)
    assert wakeups.wake("a")
    assert new.is_set()


@pytest.mark.parametrize(("failures", "low", "high"), [(1, 1, 1), (2, 1, 2), (4, 4, 8), (7, 30, 60), (500, 30, 60)])
def test_back_off_grows_to_a_minute(failures: int, low: float, high: float) -> None:
    """Also after hundreds of failures the number is a sane one."""
    assert all(low <= backoff(failures) <= high for _ in range(50))


def test_an_urgent_wake_up_ends_the_pass(virtually: Run) -> None:
    """What it waits for may take long; the next pass begins at once, and no failure is counted."""
    wakeups, urgent = Wakeups(), Wakeups()
    cancelled: list[bool] = []

    async def waiting() -> Outcome:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return Outcome()

    work = Work([waiting])

    async def scenario() -> None:
        loop = run_object("a", work.reconcile, wakeups, Life(), resync_seconds=RESYNC, observer=work, urgent=urgent)
        await asyncio.gather(loop, after(5, lambda: urgent.wake("a")))

    virtually(scenario())
    assert work.at == [0, 5]
    assert (cancelled, work.results) == ([True], ["ok", "ok"])
    assert urgent.keys() == []


def test_an_urgent_wake_up_between_passes_cuts_off_none(virtually: Run) -> None:
    """The pass that begins after it sees all there is to see."""
    wakeups, urgent = Wakeups(), Wakeups()

    async def pass_of_a_second() -> Outcome:
        await asyncio.sleep(1)
        return Outcome()

    work = Work([Outcome(), pass_of_a_second])

    async def scenario() -> None:
        loop = run_object("a", work.reconcile, wakeups, Life(), resync_seconds=RESYNC, observer=work, urgent=urgent)
        await asyncio.gather(loop, after(5, lambda: urgent.wake("a")))

    virtually(scenario())
    assert work.at == [0, 5, 6 + RESYNC]


def test_an_urgent_wake_up_waits_for_no_back_off(virtually: Run) -> None:
    """What failed before may be something else."""
    wakeups, urgent = Wakeups(), Wakeups()
    work = Work([Unavailable("down")] * 3)

    async def scenario() -> None:
        loop = run_object("a", work.reconcile, wakeups, Life(), resync_seconds=RESYNC, observer=work, urgent=urgent)
        await asyncio.gather(loop, after(0.25, lambda: urgent.wake("a")))

    virtually(scenario())
    assert work.at[:2] == [0, 0.25]
