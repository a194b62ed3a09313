"""A replay is the operator's own evidence and rules on a history: same numbers, same decisions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_operator.canary import csv_history, evidence
from chaffinch_operator.canary.backtest import Verdict, describe, until_decided
from chaffinch_operator.canary.judgement import Thresholds
from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.status import GateStatus
from chaffinch_operator.cli.replay_document import gate_document
from chaffinch_stats.mixtures import log_mean_exp
from unit.canary.histories import (
    BAD,
    ERRORS,
    GOOD,
    MINUTE,
    RESTARTS,
    SLO,
    SPLIT,
    START,
    Row,
    csv,
    gates_of,
    interval,
    minutes,
    replay,
    spec,
)

ARM = st.integers(0, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
COUNTS = st.lists(st.tuples(ARM, ARM), min_size=1, max_size=8)
HARM_GRID, SAFE_GRID = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0), (1.0, 0.8, 0.5)
STEPS = [{"setWeight": 10, "minDuration": "3m"}, {"setWeight": 50, "minDuration": "4m"}]


def rows_of(counts: Sequence[tuple[tuple[int, int], tuple[int, int]]]) -> list[Row]:
    """An interval for each pair of arms."""
    return [row for minute, (canary, baseline) in enumerate(counts, 1) for row in interval(minute, canary, baseline)]


def by_the_book(
    counts: Sequence[tuple[tuple[int, int], tuple[int, int]]], null: float, alternatives: Sequence[float]
) -> float:
    """Log of the mixture of likelihood ratios, written down once more from its definition."""
    logs = []
    for psi in alternatives:
        total = 0.0
        for (x_c, n_c), (x_b, n_b) in counts:
            if n_c and n_b:
                rho, m = n_c / (n_c + n_b), x_c + x_b
                total += x_c * math.log(psi / null) - m * math.log((1 - rho + rho * psi) / (1 - rho + rho * null))
        logs.append(total)
    return log_mean_exp(logs)


@given(COUNTS)
def test_the_evidence_is_the_mixture_of_likelihood_ratios(
    counts: list[tuple[tuple[int, int], tuple[int, int]]],
) -> None:
    """What is printed equals the definition to 1e-9, not to the six digits of status."""
    of = spec({**ERRORS, "safeBelow": "0.000000001"})
    last = replay(of, rows_of(counts))[-1]
    told = gate_document(gates_of(of)[0], last.gates[0], 0.05)
    assert told["logEHarm"] == pytest.approx(by_the_book(counts, 1.0, HARM_GRID), rel=1e-9, abs=1e-9)
    peak = max(by_the_book(counts[: k + 1], 1.0, HARM_GRID) for k in range(len(counts)))
    assert told["pValue"] == pytest.approx(math.exp(-max(0.0, peak)), rel=1e-9)
    assert told["canary"]["total"] == sum(canary[1] for canary, _ in counts)


@given(COUNTS, st.randoms(use_true_random=False))
def test_evidence_and_decision_do_not_depend_on_the_order_of_rows(
    counts: list[tuple[tuple[int, int], tuple[int, int]]], chance: object
) -> None:
    """To the last bit."""
    rows = rows_of(counts)
    shuffled = list(rows)
    chance.shuffle(shuffled)  # type: ignore[attr-defined] # random.Random
    assert replay(spec(), shuffled) == replay(spec(), rows)


@given(COUNTS)
def test_a_replay_is_the_operators_fold(counts: list[tuple[tuple[int, int], tuple[int, int]]]) -> None:
    """The same statuses, interval by interval, as `evidence.fold` makes of the same readings."""
    of = spec(ERRORS, SLO)
    rows = [*rows_of(counts), *(Row(row.minute, row.arm, "slo", row.bad, row.total) for row in rows_of(counts))]
    gates = gates_of(of)
    found = csv_history.readings(csv_history.parse(csv(rows), ["errors", "slo"]), gates, MINUTE)
    statuses: tuple[GateStatus, ...] = ()
    for point, reading in zip(replay(of, rows), found, strict=True):
        statuses = evidence.fold(gates, statuses, reading, None, Thresholds.of(of, gates))
        assert point.gates == statuses


@given(st.integers(1, 40), st.integers(1, 40), st.integers(2, 6))
def test_intervals_of_one_share_may_be_merged(canary_bad: int, baseline_bad: int, parts: int) -> None:
    """Two minutes of the same traffic share are worth what they are worth together."""
    of = spec()
    split = replay(of, minutes(parts, (canary_bad, 500), (baseline_bad, 1500)))[-1]
    merged = replay(of, interval(1, (parts * canary_bad, parts * 500), (parts * baseline_bad, parts * 1500)))[-1]
    gate = gates_of(of)[0]
    one, other = (gate_document(gate, point.gates[0], 0.05) for point in (split, merged))
    for name in ("logEHarm", "logESafe", "ratio"):
        assert one[name] == pytest.approx(other[name], rel=1e-9, abs=1e-9)


def test_harm_rolls_back_at_once_and_for_good() -> None:
    """At the end of the interval that proves it, whatever the steps say; later intervals change nothing."""
    points = replay(spec(steps=STEPS), minutes(10, *BAD) + [r for m in range(11, 40) for r in interval(m, *GOOD)])
    first = next(k for k, p in enumerate(points) if p.decision.final)
    assert points[first].decision.verdict is Verdict.ROLLBACK
    assert points[first].decision.reason is Reason.GATE_FAILED
    assert points[first].decision.at == points[first].end
    assert all(p.decision == points[first].decision for p in points[first:])
    assert not any(p.decision.final for p in points[:first])
    assert describe(points[-1].decision).startswith("Rollback at 2026-01-01T12:0")
    assert list(until_decided(points)) == points[: first + 1]


def test_steps_are_kept_as_long_as_they_say() -> None:
    """A canary that passes at once is promoted when the last step is over, not before."""
    points = replay(spec(steps=STEPS), minutes(20, *GOOD))
    decided = next(p for p in points if p.decision.final)
    assert (decided.decision.verdict, decided.decision.reason) == (Verdict.PROMOTE, Reason.GATES_PASSED)
    assert decided.end == START + timedelta(minutes=7)
    assert [p.weight for p in points[:8]] == [10, 10, 10, 50, 50, 50, 50, None]


def test_without_steps_a_canary_is_promoted_as_soon_as_it_passes() -> None:
    """With --ignore-steps, or where the spec writes none."""
    for points in (
        replay(spec(steps=STEPS), minutes(20, *GOOD), ignore_steps=True),
        replay(spec(), minutes(20, *GOOD)),
    ):
        decided = next(p for p in points if p.decision.final)
        assert decided.end < START + timedelta(minutes=7)
        assert decided.decision.verdict is Verdict.PROMOTE


def test_an_interval_longer_than_a_step_is_one_step() -> None:
    """Every weight is judged in at least one interval."""
    steps = [{"setWeight": weight, "minDuration": "1s"} for weight in (10, 20, 30)]
    points = replay(spec(steps=steps), minutes(6, *GOOD))
    assert [p.weight for p in points[:3]] == [10, 20, 30]


def test_pauses_are_waited_out_and_approvals_taken_as_given() -> None:
    """A pause with a duration lasts that long; one that waits for a person is over at once."""
    steps: list[dict[str, Any]] = [
        {"setWeight": 10, "minDuration": "1m"},
        {"pause": {"duration": "5m"}},
        {"pause": {}},
        {"setWeight": 50, "minDuration": "2m"},
    ]
    points = replay(spec(steps=steps), minutes(20, *GOOD))
    assert points[2].decision.reason is Reason.PAUSED
    assert next(p for p in points if p.decision.final).end == START + timedelta(minutes=8)


def test_without_data_nothing_is_promoted() -> None:
    """Neither by evidence nor by time: the last word of a gate without data is Hold."""
    rows = [*minutes(20, *GOOD), Row(21, "canary", "errors", 0, 100)]
    later = replay(spec(steps=[{"setWeight": 10, "minDuration": "21m"}]), rows)[-1]
    assert (later.decision.verdict, later.decision.reason) == (Verdict.HOLD, Reason.NO_DATA)
    other = replay(spec(ERRORS, {**ERRORS, "name": "slow"}), minutes(200, *GOOD))[-1]
    assert (other.decision.verdict, other.decision.reason) == (Verdict.HOLD, Reason.NO_DATA)


@pytest.mark.parametrize(
    ("promotion", "verdict", "reason"),
    [
        ({}, Verdict.HOLD, Reason.INCONCLUSIVE),
        ({"onInconclusive": "Promote"}, Verdict.PROMOTE, Reason.INCONCLUSIVE),
        ({"onInconclusive": "Rollback"}, Verdict.ROLLBACK, Reason.INCONCLUSIVE),
        ({"require": "Duration"}, Verdict.PROMOTE, Reason.DURATION_ELAPSED),
    ],
)
def test_the_end_of_max_duration_is_the_operators(promotion: dict[str, str], verdict: Verdict, reason: Reason) -> None:
    """With too little traffic to say anything, promotion.onInconclusive decides after maxDuration."""
    of = spec(steps=STEPS, promotion={"maxDuration": "10m", **promotion})
    decision = replay(of, minutes(12, (1, 20), (1, 20)))[-1].decision
    assert (decision.verdict, decision.reason) == (verdict, reason)


def test_after_max_duration_without_data_it_holds() -> None:
    """Whatever onInconclusive says."""
    of = spec(promotion={"maxDuration": "3m", "onInconclusive": "Promote"})
    rows = [Row(minute, "canary", "errors", 0, 10) for minute in range(1, 6)]
    decision = replay(of, rows)[-1].decision
    assert (decision.verdict, decision.reason) == (Verdict.HOLD, Reason.NO_DATA)


def test_the_split_is_held_against_the_weights_of_the_steps() -> None:
    """By time, or by the weight that was given; unknown, the gate has no data."""
    of = spec(ERRORS, SPLIT, steps=STEPS)
    as_planned = minutes(3, (2, 200), (18, 1800)) + [
        r for m in range(4, 8) for r in interval(m, (10, 1000), (10, 1000))
    ]
    assert replay(of, as_planned)[-1].gates[1].verdict == "Pass"
    skewed = minutes(7, (10, 1000), (10, 1000))
    assert replay(of, skewed)[-1].gates[1].verdict == "Inconclusive"
    assert replay(of, skewed, weight=50.0)[-1].gates[1].verdict == "Pass"
    unknown = replay(of, skewed, ignore_steps=True)[-1]
    assert (unknown.gates[1].verdict, unknown.decision.verdict) == ("NoData", Verdict.HOLD)


def test_restarts_count_up_where_the_history_tells_of_them() -> None:
    """One row a restart; without rows the gate is left out of the decision."""
    rows = minutes(9, *GOOD)
    assert replay(spec(ERRORS, RESTARTS), rows)[-1].decision.verdict is Verdict.PROMOTE
    told = [*rows, Row(1, "canary", "restarts", 1, 1), Row(3, "canary", "restarts", 1, 1)]
    failed = replay(spec(ERRORS, RESTARTS), told)[-1].decision
    assert (failed.verdict, failed.at) == (Verdict.ROLLBACK, START + 3 * MINUTE)


def test_a_gate_in_dry_run_never_decides() -> None:
    """It is judged and reported."""
    last = replay(spec({**ERRORS, "dryRun": True}), minutes(20, *BAD))[-1]
    assert (last.gates[0].verdict, last.decision.verdict) == ("Fail", Verdict.HOLD)


@given(COUNTS)
def test_every_interval_has_a_point(counts: list[tuple[tuple[int, int], tuple[int, int]]]) -> None:
    """In time order, each with all gates and a decision."""
    points = replay(spec(), rows_of(counts))
    assert [p.end for p in points] == [START + k * MINUTE for k in range(1, len(counts) + 1)]
    assert all(p.decision.at <= p.end and len(p.gates) == 1 for p in points)
