"""A/A trials: the realised rate of false alarms, from a history in which both arms were equal."""

from __future__ import annotations

import random

import pytest

from chaffinch_operator.canary import trials
from chaffinch_operator.canary.trials import Pairs, Rate
from chaffinch_stats import ArmCounts, Interval, harm_threshold
from unit.canary.histories import ERRORS, SLO, SPLIT, gates_of, spec

HARM = harm_threshold(1, 0.05)


def noise(seed: int, sigma: float, intervals: int = 300) -> list[Interval]:
    """Equal arms whose bad share moves by itself in each arm, about 20 bad requests an interval."""
    chance = random.Random(seed)

    def arm() -> ArmCounts:
        share = min(0.5, 0.01 * chance.lognormvariate(-0.5 * sigma * sigma, sigma))
        return ArmCounts(
            chance.binomialvariate(2000, share)
            if hasattr(chance, "binomialvariate")
            else sum(chance.random() < share for _ in range(2000)),
            2000,
        )

    return [Interval(arm(), arm()) for _ in range(intervals)]


def run(pairs: Pairs, dispersion: str = "1", **changes: int) -> trials.Trials:
    """Trials of one gate."""
    gates = gates_of(spec({**ERRORS, "dispersion": dispersion}))
    asked = {"rollouts": 400, "length": 60, "block": 5, **changes}
    return trials.run(gates, {"errors": pairs}, HARM, chance=random.Random(1), **asked)  # type: ignore[arg-type]


def test_equal_arms_without_noise_keep_to_alpha() -> None:
    """Their rate of false alarms is below alpha, by its upper limit."""
    rate = run(noise(1, 0.0)).any_gate
    assert rate.limits[1] <= 0.05


def test_noise_of_one_arm_shows_as_false_alarms_and_the_advised_dispersion_cures_it() -> None:
    """What the advice is for: with it the rate is in keeping with alpha again."""
    pairs = noise(2, 0.6)
    assert run(pairs).any_gate.limits[0] > 0.05
    advised = trials.noise(pairs, "Poisson")
    assert advised.phi > 2.0
    assert run(pairs, f"{advised.phi:.3f}").any_gate.limits[0] <= 0.05


def test_the_same_seed_gives_the_same_trials() -> None:
    """So that a rate can be shown again."""
    pairs = noise(3, 0.4)
    assert run(pairs) == run(pairs)


def test_gates_see_the_same_blocks() -> None:
    """Two gates with the same counts alarm together: dependence between gates is kept."""
    pairs = noise(4, 0.6)
    gates = gates_of(spec(ERRORS, {**ERRORS, "name": "slow"}))
    ran = trials.run(
        gates, {"errors": pairs, "slow": pairs}, HARM, rollouts=200, length=60, block=5, chance=random.Random(1)
    )
    assert ran.by_gate["errors"] == ran.by_gate["slow"] == ran.any_gate


def test_a_bias_that_holds_for_all_of_the_history_is_no_harm_of_the_canary() -> None:
    """Arms are swapped block by block: in A/A data neither arm is the canary."""
    pairs = [Interval(ArmCounts(20, 2000), ArmCounts(22, 2000))] * 200
    assert run(pairs).any_gate.alarms == 0


def test_intervals_without_data_are_passed_over() -> None:
    """They belong to the time, not to the evidence."""
    pairs: list[Interval | None] = [*noise(5, 0.0, 100), *([None] * 100)]
    assert run(pairs).history == 200


def test_the_history_tells_how_many_windows_it_holds() -> None:
    """A short history is said to be short; a block is never longer than it."""
    ran = run(noise(6, 0.0, 50), length=120, block=80)
    assert (ran.windows, ran.block) == (0, 50)


def test_only_ratios_with_data_are_tried() -> None:
    """An objective has no second arm, a dry run never acts."""
    gates = gates_of(spec(ERRORS, SLO, SPLIT, {**ERRORS, "name": "dry", "dryRun": True}, {**ERRORS, "name": "empty"}))
    pairs: dict[str, Pairs] = {"errors": noise(7, 0.0, 5), "dry": noise(7, 0.0, 5), "empty": [None]}
    assert [g.name for g in trials.judged(gates, pairs)] == ["errors"]


def test_the_block_outlasts_the_memory_of_the_noise() -> None:
    """Of the gate that needs the longest one."""
    slow = [pair for pair in noise(8, 0.5, 60) for _ in range(6)]
    gates = gates_of(spec(ERRORS, {**ERRORS, "name": "slow"}))
    block = trials.block_of({"errors": noise(9, 0.0), "slow": slow}, gates)
    assert block >= 6


@pytest.mark.parametrize(("alarms", "count", "share"), [(0, 0, 0.0), (3, 12, 0.25)])
def test_a_rate_is_a_share_with_exact_limits(alarms: int, count: int, share: float) -> None:
    """Clopper and Pearson's."""
    rate = Rate(alarms, count)
    assert rate.share == share
    assert rate.limits[0] <= share <= rate.limits[1]
