"""The forecast in status: what the slowest gate still needs, at the traffic of the present step."""

from datetime import UTC, datetime

from chaffinch_operator.canary.forecast import forecast
from chaffinch_operator.canary.gates import Kind, ResolvedGate
from chaffinch_operator.canary.reasons import Verdict
from chaffinch_operator.canary.status import CanaryRolloutStatus, Counts, GateStatus, StepStatus
from chaffinch_stats import CountGate, RateGate, planning, requests_to_pass

GATE = ResolvedGate("errors", Kind.RATIO, dry_run=False, design="d", count=CountGate(safe_below=0.01))
BETA = 0.05


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
    ahead = forecast([GATE], status(), BETA)
    assert ahead is not None
    assert ahead.requests_needed == round(requests_to_pass(GATE.count or CountGate(), 0.0, 0.5, BETA) + 0.5)


def test_evidence_at_hand_shortens_the_way() -> None:
    """Half of log(1/beta) gathered leaves half of the requests."""
    whole = forecast([GATE], status(), BETA)
    half = forecast([GATE], status(log_e_safe="1.4978661"), BETA)
    assert whole is not None
    assert half is not None
    assert abs(half.requests_needed - whole.requests_needed / 2) <= 1


def test_the_time_follows_from_the_traffic_of_the_step() -> None:
    """One hundred requests a second bring about a thousand requests in ten seconds: within the next full minute."""
    ahead = forecast([GATE], status(), BETA)
    assert ahead is not None
    assert datetime.fromisoformat(ahead.decision_by) == datetime(2026, 1, 1, 12, 2, tzinfo=UTC)


def test_a_gate_that_passes_needs_nothing() -> None:
    """Its requests are there already."""
    ahead = forecast([GATE], status(verdict=Verdict.PASS), BETA)
    assert ahead is not None
    assert ahead.requests_needed == 0


def test_without_traffic_of_both_arms_there_is_no_forecast() -> None:
    """A rate cannot be extrapolated from nothing."""
    assert forecast([GATE], status(requests=0, canary=0), BETA) is None
    assert forecast([GATE], status(canary=0), BETA) is None


OBJECTIVE = ResolvedGate("slo", Kind.OBJECTIVE, dry_run=False, design="d", rate=RateGate(max_ratio=0.01))


def test_an_objective_needs_requests_of_the_canary_alone() -> None:
    """At half of the traffic, twice as many of both arms."""
    seen = status().model_copy(update={"gates": [GateStatus(name="slo", canary=Counts(bad=0, total=3_000))]})
    ahead = forecast([OBJECTIVE], seen, BETA)
    assert ahead is not None
    assert abs(ahead.requests_needed - 2 * planning.rate_requests_to_pass(RateGate(max_ratio=0.01), 0.0, BETA)) <= 2


def test_a_gate_without_any_request_has_no_forecast() -> None:
    """Nothing is known of its rate."""
    assert (
        forecast([GATE], status(canary=3_000).model_copy(update={"gates": [GateStatus(name="errors")]}), BETA) is None
    )


def test_a_day_beyond_a_month_is_not_told() -> None:
    """The requests are; the date would be a guess."""
    slow = status().model_copy(
        update={"step": StepStatus(started_at="2025-12-01T12:00:00Z", canary_requests=3, total_requests=6)}
    )
    ahead = forecast([GATE], slow, BETA)
    assert ahead is not None
    assert ahead.decision_by == ""
