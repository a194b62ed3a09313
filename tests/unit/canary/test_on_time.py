"""The condition OnTime: will there be a verdict within maxDuration? Told with numbers, and written rarely."""

from __future__ import annotations

from chaffinch_operator.canary.reasons import Action, Reason
from chaffinch_operator.canary.status import Forecast
from unit.canary.builders import Scene, scene


def _with_forecast(by: str, *, needed: int = 81_234, gate: str = "errors") -> Scene:
    """A rollout under way, first weight at 12:00, that will be decided then; maxDuration is two hours."""
    ahead = Forecast(requests_needed=needed, decision_by=by, gate=gate)
    return scene().shifting().status(forecast=ahead)


def test_a_rollout_that_cannot_finish_in_time_says_so_with_the_numbers() -> None:
    """A condition of its own: the trio does not depend on an outlook."""
    late = _with_forecast("2026-01-01T18:45:00Z")
    told = next(c for c in late.report().conditions if c.type == "OnTime")
    assert (told.status, told.reason) == ("False", "TooSlow")
    assert told.message == (
        "gate errors needs about 82,000 more requests, at the present traffic until 2026-01-01T18:45:00Z, but "
        "maxDuration 2h ends at 2026-01-01T14:00:00Z; what would halve it: kubectl chaffinch plan web"
    )
    assert late.condition("Reconciling") == ("True", "Analyzing")
    assert late.condition("Stalled")[0] == "False"


def test_a_sentence_without_a_date_or_a_gate_is_still_a_sentence() -> None:
    """More than a month away; or only the steps are left."""
    never = _with_forecast("").report()
    steps = _with_forecast("2026-01-01T18:45:00Z", gate="").report()
    told = [next(c.message for c in each.conditions if c.type == "OnTime") for each in (never, steps)]
    assert "at the present traffic for more than a month, but" in told[0]
    assert told[1].startswith("the steps last until 2026-01-01T18:45:00Z, but")


def test_being_in_time_is_said_without_numbers() -> None:
    """So the condition does not change while it stays true."""
    one = _with_forecast("2026-01-01T12:20:00Z").report()
    other = _with_forecast("2026-01-01T12:21:00Z", needed=5).report()
    assert [c for c in one.conditions if c.type == "OnTime"] == [c for c in other.conditions if c.type == "OnTime"]
    assert _with_forecast("2026-01-01T12:20:00Z").condition("OnTime") == ("True", "WithinMaxDuration")


def test_the_outlook_stays_between_two_steps_and_goes_with_the_rollout() -> None:
    """For an interval after a new weight nothing is known; after the end there is nothing to be in time for."""
    late = _with_forecast("2026-01-01T18:45:00Z")
    between = late.status(conditions=late.report().conditions, forecast=None)
    assert between.condition("OnTime") == ("False", "TooSlow")
    over = between.decision(Action.ROLL_BACK, Reason.GATE_FAILED)
    assert "OnTime" not in {c.type for c in over.report().conditions}


def test_a_pass_without_a_new_interval_writes_nothing() -> None:
    """The forecast counts from the last interval's end, so the time of day does not move it."""
    ripe = scene().shifting().at(100).interval(30, canary=(1, 1000), baseline=(3, 3000)).decide()
    first = ripe.status(conditions=ripe.report().conditions)
    assert first.state.forecast is not None
    later = [first.world(intervals=()).at(101 + second).decide().report() for second in range(0, 19, 6)]
    assert all(report.forecast == first.state.forecast for report in later)
    assert len({report.model_dump_json() for report in later}) == 1
