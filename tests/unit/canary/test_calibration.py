"""What a gate takes from the time before the candidate: dispersion and factor, written once, then fixed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from chaffinch_operator.canary import calibration, evidence
from chaffinch_operator.canary.calibration import calibrate, fixed, record, settled, unfixed
from chaffinch_operator.canary.gates import ResolvedGate, resolve
from chaffinch_operator.canary.judgement import Thresholds
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.past import History
from chaffinch_operator.canary.snapshot import ArmReading, Calibration, GateReading, IntervalReading
from chaffinch_operator.canary.status import GateStatus
from chaffinch_stats import ArmCounts, Interval, dispersion
from unit.canary.builders import ERRORS, NAMING, RESTARTS, SPEC, merged, moment
from unit.stats.noise import history as noisy
from unit.stats.noise import lognormal

OBJECTIVE = {"name": "slo", "objective": {"bad": "b", "total": "t", "maxRatio": "0.01"}}
STEPS, STEP = 240, 30.0


def gate(fields: dict[str, Any] = ERRORS, **more: Any) -> ResolvedGate:
    """A gate of a spec."""
    return resolved(merged(fields, more))[1][0]


def resolved(*listed: dict[str, Any], **fields: Any) -> tuple[CanaryRolloutSpec, tuple[ResolvedGate, ...]]:
    """A spec and its gates."""
    spec = CanaryRolloutSpec.model_validate(merged(SPEC, {"analysis": {"gates": list(listed), **fields}}))
    return spec, resolve(spec, NAMING)


def two_halves(sigma: float = 0.3, rate: float = 0.01, steps: int = STEPS, seed: int = 1) -> History:
    """Two hours of two halves of stable's pods, each with noise of its own."""
    halves = tuple(noisy(np.random.default_rng(seed), steps, sigma, 0.0, rate=rate))
    return History(STEP, tuple(h.canary + h.baseline for h in halves), halves)


def one_pod(bad: int = 10, total: int = 1000, steps: int = STEPS) -> History:
    """Stable alone, as regular as can be."""
    return History(STEP, tuple(ArmCounts(bad + k % 3, total) for k in range(steps)))


def test_two_halves_are_measured_by_the_library() -> None:
    """The dispersion of the statistics, rounded up to what status holds, with where it is from."""
    past = two_halves()
    found = calibrate(gate(), past)
    assert float(found.dispersion) == pytest.approx(dispersion.estimate(past.halves).phi, abs=0.001)
    assert float(found.dispersion) >= dispersion.estimate(past.halves).phi
    assert found.source.startswith("History: 2h, two halves of stable's pods, blocks of ")
    assert found.method == "Poisson"


def test_a_single_arm_is_measured_against_itself() -> None:
    """With one pod, or at a gateway, each block of time is held against those around it."""
    past = History(STEP, two_halves(0.5).whole)
    found = calibrate(gate(), past)
    assert float(found.dispersion) == pytest.approx(dispersion.from_one_arm(past.whole).phi, abs=0.001)
    assert found.source.startswith("History: 2h, stable, each block of time against those around it")


def test_an_objective_is_measured_on_the_single_arm() -> None:
    """It judges one arm, so halves have nothing to say; its variance is that of a table."""
    past = two_halves(0.5)
    found = calibrate(gate(OBJECTIVE), past)
    assert float(found.dispersion) == pytest.approx(dispersion.from_one_arm(past.whole, "Fisher").phi, abs=0.001)
    assert found.method == ""


def test_a_given_dispersion_is_not_measured() -> None:
    """Spec, whatever the history; the factor is still chosen from it."""
    found = calibrate(gate(dispersion="1.8"), two_halves(0.5, rate=0.2))
    assert found == Calibration("errors", "1.8", "Spec", "Fisher")
    assert calibrate(gate({**OBJECTIVE, "dispersion": "2"}), one_pod()) == Calibration("slo", "2", "Spec", "")


ASSUMED = {
    "no history": (History(STEP), "0s of stable's history where minBaselineHistory wants 2h; wait, lower it, or set"),
    "minutes": (one_pod(steps=10), "5m of stable's history where minBaselineHistory wants 2h"),
    "few errors in one arm": (
        History(STEP, (ArmCounts(0, 1000),) * 239 + (ArmCounts(1, 1000),)),
        "bad requests in too few steps",
    ),
    "few errors in halves": (
        History(STEP, (ArmCounts(1, 20),) * STEPS, (Interval(ArmCounts(0, 10), ArmCounts(1, 10)),) * 59),
        "bad requests in 59 steps of stable's history, 60 are needed; raise minBaselineHistory, or set dispersion",
    ),
    "unequal halves": (
        History(STEP, (ArmCounts(10, 200),) * STEPS, (Interval(ArmCounts(9, 100), ArmCounts(1, 100)),) * STEPS),
        "differ for longer than its history can tell",
    ),
    "an answer that is too large": (History(STEP, problem="stable's history cannot be read: too large"), "too large"),
}


@pytest.mark.parametrize("why", ASSUMED)
def test_without_enough_history_one_is_assumed_and_said(why: str) -> None:
    """The source names the reason and the way out, within what status holds."""
    past, words = ASSUMED[why]
    found = calibrate(gate(), past)
    assert (found.dispersion, found.method) == ("1", "Poisson")
    assert found.source.startswith("Assumed: ")
    assert words in found.source
    assert found.source.endswith("set dispersion")
    assert len(found.source) <= 253


@pytest.mark.parametrize(
    ("rate", "harm_ratio", "expected"), [(0.05, "1", "Poisson"), (0.2, "1", "Fisher"), (0.2, "1.1", "Poisson")]
)
def test_the_factor_follows_the_rate(rate: float, harm_ratio: str, expected: str) -> None:
    """A tenth of bad requests and more is judged by Fisher's factor, but for a harm ratio that it cannot have."""
    assert calibrate(gate(harmRatio=harm_ratio), two_halves(0.0, rate)).method == expected


def test_a_high_rate_without_noise_is_not_tempered_for_its_height() -> None:
    """Counting explains less variance at high rates; the noise is held against that."""
    assert float(calibrate(gate(), two_halves(0.0, 0.4)).dispersion) < 1.3


def test_the_settled_gate_judges_by_what_is_written() -> None:
    """Dispersion and factor of status, in the design that evidence is bound to."""
    (status,) = record([gate()], (), [Calibration("errors", "2.5", "History: 2h", "Fisher")])
    judged = settled(gate(), status).count
    assert judged is not None
    assert (judged.dispersion, judged.method) == (2.5, "Fisher")
    slo = settled(gate(OBJECTIVE), GateStatus(name="slo", dispersion="3", dispersion_source="History")).rate
    assert slo is not None
    assert slo.dispersion == 3


def test_what_was_fixed_is_not_measured_again() -> None:
    """A second measurement, of a restarted operator say, changes nothing; another design is another gate."""
    gates = [gate(), gate(RESTARTS)]
    assert [g.name for g in unfixed(gates, ())] == ["errors"]
    first = record(gates, (), [Calibration("errors", "2", "History: a", "Poisson")])
    assert record(gates, first, [Calibration("errors", "9", "History: b", "Fisher")]) == first
    assert unfixed(gates, first) == ()
    assert [g.name for g in unfixed([gate(marginRatio="3")], first)] == ["errors"]


@pytest.mark.parametrize("damage", [{"dispersion": "0.5"}, {"dispersion": "many"}, {"dispersion_source": ""}])
def test_a_damaged_calibration_is_none(damage: dict[str, str]) -> None:
    """It is made anew, and evidence of another starts anew."""
    (status,) = record([gate()], (), [Calibration("errors", "2", "History: a", "Poisson")])
    assert unfixed([gate()], [status.model_copy(update=damage)]) != ()


def test_folding_without_a_calibration_fixes_one() -> None:
    """A caller without history gets dispersion 1, said to be assumed, for good."""
    (status,) = folded([gate()], (), (1, 100), (1, 300))
    assert (status.dispersion, status.method) == ("1", "Poisson")
    assert status.dispersion_source == "Assumed: no history was read; set dispersion"
    assert record([gate()], [status], [Calibration("errors", "9", "History: b", "Fisher")]) == (status,)
    assert fixed(gate(RESTARTS), GateStatus(name="restarts")).dispersion_source == ""


def folded(
    gates: list[ResolvedGate],
    old: tuple[GateStatus, ...],
    canary: tuple[int, int],
    stable: tuple[int, int],
    thresholds: Thresholds | None = None,
) -> tuple[GateStatus, ...]:
    """One more interval of every gate."""
    values = tuple(GateReading(g.name, ArmReading(*canary), ArmReading(*stable)) for g in gates)
    limit = thresholds or Thresholds.of(resolved(ERRORS)[0], gates)
    return evidence.fold(gates, old, IntervalReading(moment(0), moment(30), values), 0.25, limit)


COUNTS = st.tuples(st.integers(0, 30), st.integers(30, 500))


@given(
    phi=st.integers(1000, 9000).map(lambda n: f"{n / 1000:g}"),
    factor=st.sampled_from(["Poisson", "Fisher"]),
    seen=st.lists(st.tuples(COUNTS, COUNTS), min_size=1, max_size=6),
)
def test_whatever_comes_a_fixed_dispersion_stays(phi: str, factor: str, seen: list[tuple[Any, Any]]) -> None:
    """Through intervals, restarts from JSON and new measurements it is what it was before the first look."""
    gates = [gate()]
    statuses = record(gates, (), [Calibration("errors", phi, "History: 2h", factor)])
    for canary, stable in seen:
        statuses = folded(gates, statuses, canary, stable)
        statuses = tuple(GateStatus.model_validate_json(s.model_dump_json()) for s in statuses)
        statuses = record(gates, statuses, [Calibration("errors", "7", "History: other", "Poisson")])
        (status,) = statuses
        assert (status.dispersion, status.dispersion_source, status.method) == (phi, "History: 2h", factor)
    assert status.canary.total == sum(canary[1] for canary, _ in seen)


LOOKS, ALPHA = 30, 0.05


def alarms(runs: int, *, measured: bool) -> int:
    """Harmless rollouts that are rolled back: half an hour of minutes, noise of sigma 0.3 in each arm."""
    spec, gates = resolved(ERRORS, alpha=str(ALPHA))
    thresholds, hits = Thresholds.of(spec, gates), 0
    for run in range(runs):
        rng = np.random.default_rng((11, run))
        found = calibrate(gates[0], two_halves(seed=1000 + run)) if measured else calibrate(gates[0], History(STEP))
        statuses = record(gates, (), [found])
        for canary, stable in rng.binomial(1000, 0.01 * lognormal(rng, (2, LOOKS), 0.3, 0.0)).T.tolist():
            statuses = folded(list(gates), statuses, (canary, 1000), (stable, 1000), thresholds)
        hits += evidence.failed(statuses) is not None
    return hits


def test_noise_of_equal_arms_alarms_no_more_often_than_stated() -> None:
    """With two hours of history at most alpha, by an exact bound of 99 %; without, far more often."""
    runs = 250
    hits = alarms(runs, measured=True)
    assert beta.ppf(0.99, hits + 1, runs - hits) <= ALPHA, hits
    assert alarms(60, measured=False) > 60 * ALPHA


def test_needs_history() -> None:
    """Only a gate on which the past has a bearing asks for it."""
    assert calibration.needs_history(gate())
    assert calibration.needs_history(gate(dispersion="2"))
    assert not calibration.needs_history(gate(dispersion="2", harmRatio="1.2"))
    assert not calibration.needs_history(gate({**OBJECTIVE, "dispersion": "2"}))
    assert not calibration.needs_history(gate(RESTARTS))
