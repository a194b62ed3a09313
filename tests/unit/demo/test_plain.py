"""Plain lines: something when something changes, little else."""

from demo.plain import Teller
from unit.demo.builders import BEGIN, at, at_weight, gate, seen, state

LOAD = seen(stable=900, canary=90, errors=10)
WEIGHED = at_weight(10, 2, 90, 1000, gates=[gate("errors", "Inconclusive", 1, 90), gate("latency", "Pass")])


def test_a_change_is_told_with_the_decisions_sentence() -> None:
    """When, what, weight, requests, why."""
    assert Teller().lines(WEIGHED, LOAD, at(75), BEGIN) == [
        "[ 1m15s] Shift (Analyzing), weight 10 %, requests 1,000 (stable 900, canary 100), answered 500 10, failed 0",
        "         because Analyzing",
    ]


def test_nothing_is_told_twice() -> None:
    """The same state a second later is no news."""
    teller = Teller()
    teller.lines(WEIGHED, LOAD, at(5), BEGIN)
    assert teller.lines(WEIGHED, LOAD, at(6), BEGIN) == []


def test_while_it_is_analysed_the_gates_are_told_now_and_then() -> None:
    """Those that passed in a word, the others with their numbers."""
    teller = Teller()
    teller.lines(WEIGHED, LOAD, at(5), BEGIN)
    assert teller.lines(WEIGHED, LOAD, at(16), BEGIN)[1] == "         errors: canary 1 of 90; latency: pass"


def test_a_sentence_that_stays_is_not_repeated() -> None:
    """The weight changed, the reason did not."""
    teller = Teller()
    teller.lines(state("RollBack", "GateFailed", 20, weight={"applied": 10}), LOAD, at(20), BEGIN)
    again = teller.lines(state("RollBack", "GateFailed", 20, weight={"applied": 0}), LOAD, at(21), BEGIN)
    assert len(again) == 1
    assert "weight 0 %" in again[0]


def test_at_rest_it_is_silent() -> None:
    """However long nothing happens."""
    teller = Teller()
    idle = state("Idle", "Promoted", 1)
    teller.lines(idle, LOAD, at(1), BEGIN)
    assert teller.lines(idle, LOAD, at(600), BEGIN) == []
