"""The estimate of the rate ratio and its confidence sequence, against exact sums instead of tabulated ones."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import integrate, optimize

from chaffinch_stats import CountGate, Interval, confidence_sequence, ratio, ratio_and_limits, ratio_curve
from unit.stats.builders import GATE, after, interval

MIXED = [
    interval(3, 100, 30, 1900),
    interval(7, 200, 25, 1800),
    interval(16, 500, 33, 1500),
    interval(40, 1000, 31, 1000),
]


def exact_log_likelihood(seen: Sequence[Interval], u: float) -> float:
    """Conditional log likelihood of log ratio u, summed over the intervals."""
    total = 0.0
    for each in seen:
        share = each.canary.total / (each.canary.total + each.baseline.total)
        bad = each.canary.bad + each.baseline.bad
        total += each.canary.bad * u - bad * math.log1p(share * math.expm1(u))
    return total


def exact_limits(seen: Sequence[Interval], alpha: float, dispersion: float) -> tuple[float, float]:
    """Invert the log-normal mixture test with adaptive quadrature and root search."""
    span = math.log(64.0)
    grid = np.linspace(-span, span, 20001)
    curve = np.array([exact_log_likelihood(seen, u) for u in grid]) / dispersion
    top, peak = float(curve.max()), float(grid[curve.argmax()])
    width = max(0.05, float(np.ptp(grid[curve > top - 60])))
    edges = [max(-span, peak - width), peak, min(span, peak + width)]

    def mixed(u: float) -> float:
        return math.exp(exact_log_likelihood(seen, u) / dispersion - top - u * u / 2) / math.sqrt(2 * math.pi)

    area = sum(integrate.quad(mixed, a, b, epsabs=0, epsrel=1e-10, limit=200)[0] for a, b in itertools.pairwise(edges))
    cut = top + math.log(area / math.erf(span / math.sqrt(2))) + math.log(alpha)

    def above(u: float) -> float:
        return exact_log_likelihood(seen, u) / dispersion - cut

    lower = 0.0 if above(-span) >= 0 else math.exp(optimize.brentq(above, -span, peak, xtol=1e-13))
    upper = math.inf if above(span) >= 0 else math.exp(optimize.brentq(above, peak, span, xtol=1e-13))
    return lower, upper


def scaled(times: int) -> list[Interval]:
    """The mixed intervals with every count multiplied."""
    return [
        interval(
            each.canary.bad * times, each.canary.total * times, each.baseline.bad * times, each.baseline.total * times
        )
        for each in MIXED
    ]


@pytest.mark.parametrize("times", [1, 10, 100, 1000, 10_000])
@pytest.mark.parametrize("dispersion", [1.0, 4.0])
def test_limits_equal_the_exact_inversion(times: int, dispersion: float) -> None:
    """From 185 to 1.85 million bad events on four shares, the limits equal exact inversion to 1e-8."""
    gate = CountGate(dispersion=dispersion)
    found = confidence_sequence(after(scaled(times), gate), gate, 0.05)
    assert found == pytest.approx(exact_limits(scaled(times), 0.05, dispersion), rel=1e-8)


@pytest.mark.parametrize("gate", [GATE, CountGate(dispersion=3.0)])
@pytest.mark.parametrize("seen", [[], [interval(0, 9, 0, 9)], [interval(0, 90, 5, 90)], MIXED, scaled(10**6)])
def test_estimate_and_limits_together_are_those_of_their_own(seen: list[Interval], gate: CountGate) -> None:
    """The function that gives both at once gives what the two functions give."""
    evidence = after(seen, gate)
    estimate, limits = ratio_and_limits(evidence, gate, 0.05)
    assert limits == confidence_sequence(evidence, gate, 0.05)
    alone = ratio(evidence)
    assert estimate == (None if alone is None else pytest.approx(alone, rel=1e-9))


@pytest.mark.parametrize(
    "seen",
    [
        [interval(1, 100, 0, 100)],
        [interval(0, 100, 1, 100)],
        [interval(0, 100, 400, 1000)],
        [interval(9, 100, 0, 900)],
        [interval(900, 1000, 1, 1000)],
        [interval(1, 10**6, 999, 10**6)],
        [interval(5, 50, 5, 10**9)],
    ],
)
def test_limits_equal_the_exact_inversion_in_corners(seen: list[Interval]) -> None:
    """Few events, no events in an arm, ratios beyond the table: limits still equal the exact inversion."""
    assert confidence_sequence(after(seen), GATE, 0.01) == pytest.approx(exact_limits(seen, 0.01, 1.0), rel=1e-8)


def test_interpolation_error_is_as_documented() -> None:
    """The tabulated curve is within 4.2e-11 per bad event of the exact one at every ratio and share."""
    grid = np.linspace(-ratio_curve.LOG_SPAN, ratio_curve.LOG_SPAN, 4001)
    for share in (1e-6, 0.01, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        sums = [math.log1p(share * (psi - 1)) for psi in ratio_curve.NODE_RATIOS]
        curve = ratio_curve.curve(sums, 0, 1.0)
        exact = -np.log1p(share * np.expm1(grid))
        assert np.abs(np.array([curve.at(float(u)) for u in grid]) - exact).max() < 4.2e-11


@pytest.mark.parametrize("times", [1, 1000])
def test_estimate_maximises_the_stratified_likelihood(times: int) -> None:
    """The point estimate equals the maximiser of the exact conditional likelihood."""
    best = optimize.minimize_scalar(
        lambda u: -exact_log_likelihood(scaled(times), u), bounds=(-3, 3), method="bounded", options={"xatol": 1e-10}
    )
    assert ratio(after(scaled(times))) == pytest.approx(math.exp(best.x), rel=1e-6)


def test_estimate_is_not_fooled_by_a_ramp() -> None:
    """With equal rates in every interval the estimate is 1 although the pooled rates differ (Simpson's paradox)."""
    ramp = [interval(5, 1000, 45, 9000), interval(200, 5000, 200, 5000)]
    assert ratio(after(ramp)) == pytest.approx(1.0, rel=1e-8)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (interval(0, 100, 5, 100), 0.0),
        (interval(5, 100, 0, 100), math.inf),
        (interval(0, 100, 0, 100), None),
        (interval(0, 0, 5, 100), None),
        (interval(30, 100, 20, 200), 3.0),
        (interval(900, 1000, 1, 1000), 900.0),
        (interval(1, 1000, 900, 1000), 1 / 900),
    ],
)
def test_estimate_of_one_interval(seen: Interval, expected: float | None) -> None:
    """One interval gives the ratio of its rates; none in an arm gives 0, inf or None."""
    assert ratio(after([seen])) == (None if expected is None else pytest.approx(expected, rel=1e-7))


def test_a_smaller_alpha_widens_the_limits() -> None:
    """Limits at 1 % enclose limits at 10 %, and both enclose the estimate."""
    evidence = after(MIXED)
    narrow, wide = (confidence_sequence(evidence, GATE, alpha) for alpha in (0.1, 0.01))
    estimate = ratio(evidence)
    assert estimate is not None
    assert wide[0] < narrow[0] < estimate < narrow[1] < wide[1]


def test_alpha_must_be_a_probability() -> None:
    """An alpha outside (0, 1) is refused by name."""
    with pytest.raises(ValueError, match="alpha must lie strictly between 0 and 1"):
        confidence_sequence(after(MIXED), GATE, 1.0)
