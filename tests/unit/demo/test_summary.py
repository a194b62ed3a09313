"""What the tour came to."""

import json
from dataclasses import replace

import pytest
from rich.console import Console, Group

from demo.course import Course
from demo.ending import ending, hints
from demo.shares import Share
from demo.summary import Failure, Result, StepShares, Summary
from support.load.tally import Tally, total
from support.sample import App
from unit.demo.builders import BEGIN, GOOD, rolled_back, seen, state


def summary(*results: Result, planned: int = 1, load: Tally | None = None, trouble: str = "") -> Summary:
    """A tour with these results."""
    load = total(r.clients for r in results) if load is None else load
    return Summary("local", BEGIN, 30.0, 150.0, 200.0, planned, results, load, trouble)


def test_a_tour_without_a_problem_is_ok() -> None:
    """A rollback that was expected is no problem, nor are the errors of the bad version."""
    assert summary(rolled_back()).problems() == []
    assert summary(rolled_back()).to_json()["ok"] is True


@pytest.mark.parametrize(
    ("tour", "problem"),
    [
        (summary(rolled_back(seen(stable=9, failed=2))), "v3: 2 client requests failed: {'503': 2}"),
        (summary(rolled_back(touched=1)), "v3: 1 stable pods were restarted"),
        (
            summary(replace(rolled_back(), release=GOOD)),
            "v2: RollBack (GateFailed), expected Promote",
        ),
        (summary(Result(GOOD, Course(BEGIN), None, Tally(), (), (), 0)), "v2: no decision"),
        (
            summary(rolled_back(), load=seen(stable=9, failed=1)),
            "1 requests failed between releases: {'503': 1}",
        ),
        (summary(rolled_back(), planned=3), "only 1 of 3 releases were made"),
        (summary(rolled_back(), trouble="no steady answers"), "no steady answers"),
    ],
    ids=[
        "failed requests",
        "a touched pod",
        "another decision",
        "none",
        "failures between",
        "stopped early",
        "trouble",
    ],
)
def test_what_should_not_have_been_is_told(tour: Summary, problem: str) -> None:
    """One sentence each, and the tour is not ok."""
    assert tour.problems() == [problem]
    assert tour.to_json()["ok"] is False


def test_a_decision_that_was_not_carried_out_is_a_problem() -> None:
    """Decided is not done."""
    course = Course(BEGIN)
    course.see(state("RollBack", "GateFailed", 20))
    assert summary(replace(rolled_back(), course=course)).problems() == [
        "v3: RollBack was decided but not carried out in time"
    ]


def test_the_summary_is_plain_data_with_every_figure() -> None:
    """It survives JSON, and has what its schema says."""
    shares = (StepShares(Share(10, 90, 1000), Share(10, 110, 1100)),)
    result = replace(rolled_back(), shares=shares, failures=(Failure(3.0, 1, "503"),))
    [release] = json.loads(json.dumps(summary(result).to_json()))["releases"]
    assert (release["decision"], release["reason"], release["asExpected"]) == ("RollBack", "GateFailed", True)
    assert (release["secondsToDecision"], release["secondsToSettled"]) == (20.0, 27.0)
    assert release["requests"] == {
        "operator": {"canary": 90, "stable": 910},
        "clients": {"canary": 92, "stable": 900},
    }
    assert release["errorsOfCandidate"] == 4
    assert release["gates"] == ["errors: canary 4 of 90"]
    assert release["failures"] == [{"second": 3.0, "count": 1, "status": "503"}]
    assert [s["weight"] for s in release["shares"]] == [10]


def test_the_last_screen_has_the_figures_and_what_to_try() -> None:
    """As people see it."""
    console = Console(width=200, no_color=True, markup=False)
    with console.capture() as capture:
        console.print(Group(*ending(summary(rolled_back()), hints(App("demo"), "local"))))
    text = capture.get()
    assert "rolled back" in text
    assert "All as promised: no request failed, no stable pod was touched." in text
    assert "remove everything: make demo-down" in text
