"""All simulations, by name, in the order of the report."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from perf.simulations import delays, false_alarms, noise, plans, promotion
from perf.simulations.cells import Cell


@dataclass(frozen=True, slots=True)
class Scenario:
    """One table of the report.

    Attributes:
        name: for `--only`.
        title: heading.
        goal: goal it belongs to, or the item of the reference note.
        run: runs -> cells.
        quick: runs in the ordinary tests: enough for the bounds to hold; 0 where a run takes too long.

    """

    name: str
    title: str
    goal: str
    run: Callable[[int], Iterator[Cell]]
    quick: int = 2000

    @property
    def explanation(self) -> str:
        """The first line of the function's docstring."""
        return (self.run.__doc__ or "").strip().splitlines()[0]


SCENARIOS = (
    Scenario("peeking", "Looking again and again", "G1", false_alarms.peeking, quick=5000),
    Scenario("day", "A day of looks at ten metrics", "G1", false_alarms.day_of_ten_metrics, quick=0),
    Scenario("metrics", "Ten metrics", "G1", false_alarms.many_metrics),
    Scenario("ramps", "Weight ramps under a moving base rate", "G2", false_alarms.ramps, quick=5000),
    Scenario("margin", "False promotions", "G3", promotion.at_the_margin, quick=5000),
    Scenario("good", "Good canaries", "G3", promotion.good_canaries),
    Scenario("delays", "Delay of detection", "G4", delays.detection),
    Scenario("noise", "Over-dispersed counts", "G5", noise.noisy_arms),
    Scenario("onearm", "Dispersion from one arm", "G5", noise.one_arm, quick=2000),
    Scenario("broken", "Gaps, resets, idle arms", "G11", promotion.broken_data, quick=5000),
    Scenario("high", "High base rates", "method Fisher", false_alarms.high_rates),
    Scenario("group", "Group sequential false alarms", "GroupSequential", delays.group_false_alarms),
    Scenario("thresholds", "Absolute thresholds", "reference 3.4", false_alarms.thresholds, quick=5000),
    Scenario("ranks", "Rank judges", "reference 3.4", false_alarms.rank_judge),
    Scenario("latency", "Latency through one bucket", "reference 3.4", delays.latency),
    Scenario("splits", "Traffic splits", "reference 3.5", delays.splits),
    Scenario("plans", "Forecasts of `plan`", "planner", plans.forecasts, quick=200),
)
