"""The forecast in status: what the slowest gate still needs through the steps to come, and whether that is in time."""

from datetime import UTC, datetime

import pytest

from chaffinch_operator.canary.forecast import forecast, too_slow
from chaffinch_operator.canary.gates import Kind, ResolvedGate
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import Verdict
from chaffinch_operator.canary.status import CanaryRolloutStatus, Counts, Forecast, GateStatus, StepStatus
from chaffinch_stats import CountGate, RateGate, planning, requests_to_pass
from unit.canary.builders import SPEC, merged

GATE = ResolvedGate("errors", Kind.RATIO, dry_run=False, design="d", count=CountGate(safe_below=0.01))
BETA = 0.05


def spec(*weights: int, minutes: int = 1, **promotion: str) -> CanaryRolloutSpec:
    """Steps of a minute each; default: one of 50 %."""
    steps = [{"setWeight": weight, "minDuration": f"{minutes}m"} for weight in weights or (50,)]
    return CanaryRolloutSpec.model_validate(merged(SPEC, {"steps": steps, "promotion": promotion}))


def ahead_of(
    gates: list[ResolvedGate], seen: CanaryRolloutStatus, of: CanaryRolloutSpec | None = None
) -> Forecast | None:
    """The forecast; beta is 0.05."""
    return forecast(of or spec(), gates, seen)


def status(
    *,
    requests: int = 6_000,
    canary: int = 3_000,
    log_e_safe: str = "0",
    verdict: Verdict = Verdict.INCONCLUSIVE,
    bad: int = 0,
) -> CanaryRolloutStatus:
    """Sixty seconds of a step."""
    gate = GateStatus(
        name="errors",
        verdict=verdict,
        canary=Counts(bad=bad, total=canary),
        log_e_safe=log_e_safe,
        baseline=Counts(bad=bad, total=requests - canary),
    )
    return CanaryRolloutStatus(
        gates=[gate],
        interval_end="2026-01-01T12:01:00Z",
        step=StepStatus(started_at="2026-01-01T12:00:00Z", canary_requests=canary, total_requests=requests),
    )


def test_a_gate_without_evidence_needs_what_the_planner_says() -> None:
    """Nothing is proven yet, so the whole number of requests is still needed."""
    ahead = ahead_of([GATE], status())
    assert ahead is not None
    assert ahead.requests_needed == round(requests_to_pass(GATE.count or CountGate(), 0.0, 0.5, BETA) + 0.5)
    assert ahead.gate == "errors"


def test_evidence_at_hand_shortens_the_way() -> None:
    """Half of log(1/beta) gathered leaves half of the requests."""
    whole = ahead_of([GATE], status())
    half = ahead_of([GATE], status(log_e_safe="1.4978661"))
    assert whole is not None
    assert half is not None
    assert abs(half.requests_needed - whole.requests_needed / 2) <= 1


def test_the_time_follows_from_the_traffic_of_the_step() -> None:
    """One hundred requests a second bring about a thousand requests in ten seconds: within the next full minute."""
    ahead = ahead_of([GATE], status())
    assert ahead is not None
    assert datetime.fromisoformat(ahead.decision_by) == datetime(2026, 1, 1, 12, 2, tzinfo=UTC)


def test_a_gate_that_passes_needs_nothing() -> None:
    """Its requests are there already."""
    ahead = ahead_of([GATE], status(verdict=Verdict.PASS))
    assert ahead is not None
    assert ahead.requests_needed == 0


def test_without_traffic_of_both_arms_there_is_no_forecast() -> None:
    """A rate cannot be extrapolated from nothing."""
    assert ahead_of([GATE], status(requests=0, canary=0)) is None
    assert ahead_of([GATE], status(canary=0)) is None


OBJECTIVE = ResolvedGate("slo", Kind.OBJECTIVE, dry_run=False, design="d", rate=RateGate(max_ratio=0.01))


def test_an_objective_needs_requests_of_the_canary_alone() -> None:
    """At half of the traffic, twice as many of both arms."""
    seen = status().model_copy(update={"gates": [GateStatus(name="slo", canary=Counts(bad=0, total=3_000))]})
    ahead = ahead_of([OBJECTIVE], seen)
    assert ahead is not None
    assert abs(ahead.requests_needed - 2 * planning.rate_requests_to_pass(RateGate(max_ratio=0.01), 0.0, BETA)) <= 2


def test_a_gate_without_any_request_has_no_forecast() -> None:
    """Nothing is known of its rate."""
    assert ahead_of([GATE], status(canary=3_000).model_copy(update={"gates": [GateStatus(name="errors")]})) is None


def test_a_day_beyond_a_month_is_not_told() -> None:
    """The requests are; the date would be a guess."""
    slow = status().model_copy(
        update={"step": StepStatus(started_at="2025-12-01T12:00:00Z", canary_requests=3, total_requests=6)}
    )
    ahead = ahead_of([GATE], slow)
    assert ahead is not None
    assert ahead.decision_by == ""


def test_larger_weights_to_come_shorten_the_way() -> None:
    """At 5 % now and 50 % in a minute, the rest of the evidence comes ten times as fast."""
    seen = status(requests=6_000, canary=300, bad=10)
    small = ahead_of([GATE], seen, spec(5, minutes=2))
    rising = ahead_of([GATE], seen, spec(5, 50, minutes=2))
    assert small is not None
    assert rising is not None
    assert datetime.fromisoformat(rising.decision_by) < datetime.fromisoformat(small.decision_by)
    assert rising.requests_needed < small.requests_needed / 3


def test_the_steps_left_count() -> None:
    """A gate that passes already does not end a rollout whose steps take nine minutes more."""
    ahead = ahead_of([GATE], status(verdict=Verdict.PASS), spec(50, 50, minutes=5))
    assert ahead is not None
    assert ahead.gate == ""
    assert datetime.fromisoformat(ahead.decision_by) == datetime(2026, 1, 1, 12, 11, tzinfo=UTC)


def test_a_pause_for_a_person_counts_as_nothing() -> None:
    """Nobody knows how long it lasts."""
    held = spec().model_copy(update={"steps": [*spec(50, minutes=2).steps, *spec_with_pause().steps]})
    assert ahead_of([GATE], status(), held) == ahead_of([GATE], status(), spec(50, minutes=2))


def spec_with_pause() -> CanaryRolloutSpec:
    """Such a pause, and a step before it."""
    steps = [{"setWeight": 50, "minDuration": "0s"}, {"pause": {}}]
    return CanaryRolloutSpec.model_validate(merged(SPEC, {"steps": steps}))


def test_a_dedicated_baseline_gets_what_the_canary_gets() -> None:
    """Its share stays one half at every weight, and twice the weight brings twice the requests."""
    dedicated = merged(SPEC, {"canary": {"baseline": "Dedicated"}})
    steps = [{"setWeight": w, "minDuration": "1m"} for w in (10, 20)]
    model = CanaryRolloutSpec.model_validate(merged(dedicated, {"steps": steps}))
    ahead = ahead_of([GATE], status(requests=120, canary=60), model)
    needed = requests_to_pass(CountGate(safe_below=0.01), 0.0, 0.5, BETA)
    assert ahead is not None
    assert ahead.requests_needed == pytest.approx(needed, abs=1)
    slow = ahead_of([GATE], status(requests=120, canary=60), spec(10))
    assert slow is not None
    assert datetime.fromisoformat(ahead.decision_by) < datetime.fromisoformat(slow.decision_by)


@pytest.mark.parametrize(
    ("decision_by", "slow"),
    [("2026-01-01T14:00:00Z", False), ("2026-01-01T14:01:00Z", True), ("", True)],
)
def test_it_is_held_against_max_duration(decision_by: str, slow: bool) -> None:
    """From the first weight on; what is more than a month away is late too."""
    seen = CanaryRolloutStatus(
        analysis_started_at="2026-01-01T12:00:00Z", forecast=Forecast(requests_needed=9, decision_by=decision_by)
    )
    assert too_slow(spec(maxDuration="2h"), seen) is slow
    assert too_slow(spec(maxDuration="2h", require="Duration"), seen) is None
    assert too_slow(spec(), seen.model_copy(update={"forecast": None})) is None
    assert too_slow(spec(), seen.model_copy(update={"analysis_started_at": ""})) is None
