"""The circuit breaker before the database, and the rates of keys."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_credits.api.breaker import FAILURES, LONGEST_SECONDS, Breaker, State
from chaffinch_credits.api.problems import Problem
from chaffinch_credits.api.rate import Bucket, Rate


@dataclass
class Clock:
    """Time by hand."""

    now: float = 100.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def opened() -> tuple[Breaker, Clock]:
    """A breaker that saw enough outages."""
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(FAILURES):
        breaker.admit()
        breaker.failed()
    return breaker, clock


def test_it_opens_after_outages_in_a_row() -> None:
    """Not before, and one answer between them starts the count anew."""
    breaker = Breaker(Clock())
    for _ in range(FAILURES - 1):
        breaker.failed()
    breaker.succeeded()
    for _ in range(FAILURES - 1):
        breaker.failed()
    breaker.admit()
    breaker.failed()
    assert breaker.state == State.OPEN.value


def test_while_it_is_open_nobody_waits() -> None:
    """503 at once, with the seconds after which to ask again."""
    breaker, _ = opened()
    with pytest.raises(Problem) as said:
        breaker.admit()
    assert (said.value.status, said.value.code, said.value.retry_after) == (503, "database_unavailable", 1)


def test_after_the_pause_one_may_try() -> None:
    """The others still may not; what becomes of the trial decides."""
    breaker, clock = opened()
    clock.now += LONGEST_SECONDS
    breaker.admit()
    assert breaker.state == State.HALF_OPEN.value
    with pytest.raises(Problem):
        breaker.admit()
    breaker.succeeded()
    for _ in range(2):
        breaker.admit()


def test_each_failed_trial_doubles_the_pause() -> None:
    """Up to the longest; Retry-After says so."""
    breaker, clock = opened()
    waits = []
    for _ in range(8):
        clock.now += LONGEST_SECONDS
        breaker.admit()
        breaker.failed()
        with pytest.raises(Problem) as said:
            breaker.admit()
        waits.append(said.value.retry_after)
    assert waits == [1, 2, 4, 8, 8, 8, 8, 8]


def test_a_trial_that_never_comes_back_does_not_stop_the_next() -> None:
    """It may go after another pause."""
    breaker, clock = opened()
    for _ in range(3):
        clock.now += LONGEST_SECONDS
        breaker.admit()


@given(st.lists(st.floats(0, 0.5), max_size=200), st.floats(0.5, 50), st.integers(1, 20))
def test_a_bucket_gives_what_its_rate_says(pauses: list[float], per_second: float, burst: int) -> None:
    """Never more than the burst and what came back since; whoever waits as told is served."""
    now = 0.0
    bucket, given_out = Bucket.full(Rate(per_second, burst), now), 0
    for pause in pauses:
        now += pause
        wait = bucket.take(now)
        given_out += not wait
        assert given_out <= burst + per_second * now + 1e-6
        if wait:
            assert bucket.take(now + wait + 1e-6) == 0
            now, given_out = now + wait + 1e-6, given_out + 1
