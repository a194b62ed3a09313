"""Plans: what follows from a spec and its traffic, and whether the advice does what it says."""

from __future__ import annotations

import json
import math

import pytest

from chaffinch_operator.canary.sizing import canary_replicas
from chaffinch_operator.cli.advice import advise
from chaffinch_operator.cli.forecasts import FEW_RUNS, GOOD, WORSENINGS, Question, setting
from chaffinch_operator.cli.plan_document import plan_document
from chaffinch_operator.cli.show_plan import advice_lines, warnings
from chaffinch_stats import group_sequential
from unit.cli.plans import ERRORS, RESTARTS, SLO, body, chance, plan_of, setting_of, traffic

STEPS = [{"setWeight": 5, "minDuration": "2m"}, {"setWeight": 25, "minDuration": "5m"}]


def median(question: Question, ratio: float) -> float:
    """In half of the runs it takes at most so long."""
    return question.delays(ratio, chance(), FEW_RUNS).quantile(0.5)


def question(spec: dict[str, object], per_second: float = 100.0, bad: float = 0.02, phi: float = 1.0) -> Question:
    """About the first gate."""
    where = setting_of(spec)
    return Question(where, where.gates[0], traffic(per_second, bad, phi))


def test_a_worse_canary_is_caught_sooner() -> None:
    """The larger the worsening, the shorter every number; the late ones are later."""
    found = plan_of(body(steps=STEPS)).gates[0].estimates
    assert [e.ratio for e in found] == [*WORSENINGS, GOOD]
    times = [e.expected for e in found[:-1]]
    assert times == sorted(times, reverse=True)
    assert all(e.median <= e.p90 and e.happens > 0.9 for e in found)


def test_every_step_is_planned_by_itself() -> None:
    """As if its weight were there from the beginning: more weight, less time."""
    (gate,) = plan_of(body(steps=STEPS)).gates
    small, large = gate.steps
    assert [(s.number, s.weight) for s in gate.steps] == [(1, 5), (2, 25)]
    assert all(a.expected > b.expected for a, b in zip(small.estimates, large.estimates, strict=True))
    assert small.passed <= large.passed


def test_nothing_is_decided_before_an_interval_is_over_and_read() -> None:
    """Half an interval until the grid, a warm-up of ten seconds, an interval of thirty, five until it is read."""
    assert median(question(body(), 10_000.0), 5.0) == 15 + 10 + 30 + 5


def test_the_step_of_a_median_is_the_one_that_runs_then() -> None:
    """Minutes of the steps, in their order; the last one goes on."""
    where = setting_of(body(steps=STEPS))
    assert [where.step_at(t) for t in (0, 119, 121, 419, 10_000)] == [1, 1, 2, 2, 2]
    assert where.steps_end == 420


def test_pauses_keep_the_weight() -> None:
    """One with a duration adds its time; one for a person adds nothing and is named."""
    paused = body(steps=[*STEPS, {"pause": {"duration": "10m"}}, {"pause": {}}])
    found = plan_of(paused)
    assert found.steps_end == 420 + 600
    assert found.waits_for_person == (4,)
    assert median(question(paused), 1.25) == pytest.approx(median(question(body(steps=STEPS)), 1.25), rel=0.1)


def test_a_gate_that_gathers_no_evidence_has_no_forecast() -> None:
    """It is listed, and promotion does not wait for it."""
    gate = plan_of(body(ERRORS, RESTARTS)).gates[1]
    assert (gate.name, gate.estimates, gate.good) == ("restarts", (), None)


def test_promotion_waits_for_the_last_gate_and_for_the_steps() -> None:
    """Whichever is later."""
    slow = plan_of(body(ERRORS, SLO), errors=traffic(20.0, 0.01))
    assert slow.bottleneck == "errors"
    good = slow.gates[0].good
    assert good is not None
    assert slow.promotion.median >= good.median
    quick = plan_of(body(steps=[{"setWeight": 50, "minDuration": "1h"}]))
    assert (quick.bottleneck, quick.promotion.median) == (None, 3600)
    assert advice_lines(quick)[0].startswith("Bottleneck: the steps.")


def test_a_dry_run_is_no_bottleneck() -> None:
    """Promotion does not wait for it."""
    found = plan_of(body({**ERRORS, "dryRun": True}, SLO), errors=traffic(1.0, 0.01))
    assert found.bottleneck != "errors"
    assert found.promotion.median < 600


def test_the_advice_halves_the_time_to_pass() -> None:
    """Simulated again with the weights, and with the margin, that it names; one less is not enough."""
    asked = question(body(steps=[{"setWeight": 5, "minDuration": "2m"}]))
    now = median(asked, GOOD)
    advice = advise(asked, GOOD, now, chance)
    assert advice.weights is not None
    assert advice.margin is not None
    raised = Question(asked.setting.with_weights(advice.weights), asked.gate, asked.traffic)
    assert median(raised, GOOD) == advice.weights_seconds <= now / 2
    less = {step: weight - 1 for step, weight in advice.weights.items()}
    assert median(Question(asked.setting.with_weights(less), asked.gate, asked.traffic), GOOD) > now / 2
    assert median(asked.with_margin(advice.margin), GOOD) == advice.margin_seconds <= now / 2
    assert median(asked.with_margin(advice.margin - 0.05), GOOD) > now / 2


def test_where_nothing_halves_it_more_traffic_is_the_advice() -> None:
    """At 50 % there is no better weight, and to find harm a margin does not matter."""
    asked = question(body(steps=[{"setWeight": 50, "minDuration": "2m"}]), 5.0)
    advice = advise(asked, 2.0, median(asked, 2.0), chance)
    assert (advice.weights, advice.margin) == (None, None)
    found = plan_of(body(steps=[{"setWeight": 50, "minDuration": "2m"}]), errors=traffic(5.0))
    assert any("no weight up to 50 % does; it takes more traffic" in line for line in advice_lines(found))


def test_a_spec_that_does_not_fit_is_warned_of_with_the_numbers() -> None:
    """Half of all good canaries take longer than maxDuration; or the steps alone do."""
    tight = plan_of(body(promotion={"maxDuration": "10m"}), errors=traffic(5.0))
    assert tight.late
    assert tight.in_time < 0.5
    (line,) = warnings(tight)
    assert line.startswith(
        "warning: this does not fit into maxDuration 10m: half of all good canaries take longer than"
    )
    long = plan_of(body(steps=[{"setWeight": 50, "minDuration": "3h"}]))
    assert "the steps alone take 3h, longer than maxDuration 2h" in warnings(long)[-1]
    assert not plan_of(body()).late


def test_promotion_by_duration_does_not_wait_for_evidence() -> None:
    """The steps' end is the end, however slow a gate is."""
    found = plan_of(body(promotion={"require": "Duration"}), errors=traffic(0.1))
    assert (found.promotion.median, found.late, found.bottleneck) == (120, False, None)


def test_an_objective_that_is_broken_already_never_passes() -> None:
    """And what never happens is null in JSON."""
    found = plan_of(body(SLO), slo=traffic(100.0, 0.05))
    assert any("gate slo never passes" in line for line in warnings(found))
    document = json.loads(json.dumps(plan_document(found, "shop", "checkout"), allow_nan=False))
    assert document["gates"][0]["pass"] == {
        "expectedSeconds": None,
        "medianSeconds": None,
        "p90Seconds": None,
        "happens": 0.0,
        "step": None,
    }


def test_any_multiple_of_no_error_is_none() -> None:
    """It is said instead of a time."""
    found = plan_of(body(), errors=traffic(100.0, 0.0))
    assert [e.happens for e in found.gates[0].estimates] == [0.0, 0.0, 0.0, 0.0, 1.0]
    assert any("--bad-rate errors=" in line for line in warnings(found))


def test_high_rates_are_judged_by_fishers_factor() -> None:
    """As the operator chooses: faster than by Poisson's."""
    asked = question(body(), 5.0, 0.3)
    assert median(asked, 1.25) < 0.95 * median(question(body({**ERRORS, "harmRatio": "1.0001"}), 5.0, 0.3), 1.25)


def test_a_dedicated_baseline_is_half_of_what_is_judged() -> None:
    """At 10 % each, the two arms learn as much as at 5.3 % against all of stable: slower than against the rest."""
    rest, own = body(steps=[{"setWeight": 10}]), body(steps=[{"setWeight": 10}], canary={"baseline": "Dedicated"})
    assert median(question(own), 1.5) > 1.3 * median(question(rest), 1.5)


def test_by_replicas_the_share_is_what_pods_can_make_of_it() -> None:
    """One canary pod beside four is a fifth, though the weight says 5 %."""
    spec = setting_of(body(trafficRouting={"replicas": {}}, steps=[{"setWeight": 5}])).spec
    found = setting(spec, (), lambda weight: canary_replicas(spec, 4, weight) / (4 + canary_replicas(spec, 4, weight)))
    assert found.legs[0].share == pytest.approx(0.2)


def test_a_planned_number_of_looks_may_end_without_an_answer() -> None:
    """GroupSequential finds its detectRatio with its power, and a smaller harm more rarely."""
    plan = body(steps=[{"setWeight": 50}], analysis={"mode": "GroupSequential"})
    found = plan_of(plan, errors=traffic(20.0)).gates[0].estimates
    assert found[0].happens < 0.6
    assert found[1].happens == pytest.approx(0.9, abs=0.06)
    asked = question(plan, 20.0)
    assert asked.gate.count is not None
    planned = group_sequential.requests_planned(asked.group(asked.gate.count), 0.02, 0.5)
    assert max(t for t in asked.delays(1.5, chance()).sorted_seconds if math.isfinite(t)) <= 1.3 * planned / 20 + 90
