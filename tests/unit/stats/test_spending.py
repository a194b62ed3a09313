"""Group sequential boundaries against published and independently computed numbers."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from chaffinch_stats import spending
from chaffinch_stats.quadrature import legendre, panels, upper_quantile
from chaffinch_stats.spending import Spending


def two_sided(looks: int, boundary: Callable[[int], float]) -> float:
    """Probability that |z| ever reaches its boundary at equally spaced looks."""
    upper = [boundary(k) for k in range(1, looks + 1)]
    above, below = spending.crossing(range(1, looks + 1), upper, [-b for b in upper])
    return sum(above) + sum(below)


@pytest.mark.parametrize(
    ("nominal", "looks", "overall"),
    [
        *((0.05, looks, p) for looks, p in [(1, 0.05), (2, 0.0831), (3, 0.1073), (4, 0.1262), (5, 0.1417)]),
        *((0.05, looks, p) for looks, p in [(10, 0.1934), (20, 0.2479), (50, 0.3204)]),
        *((0.01, looks, p) for looks, p in [(5, 0.0327), (10, 0.0474), (50, 0.0880)]),
    ],
)
def test_repeated_looks_cross_as_often_as_published(nominal: float, looks: int, overall: float) -> None:
    """Armitage, McPherson and Rowe 1969: the error of looking K times at a nominal level."""
    z = upper_quantile(nominal / 2)
    assert two_sided(looks, lambda _: z) == pytest.approx(overall, abs=6e-5)


@pytest.mark.parametrize(
    ("looks", "pocock", "obrien_fleming"),
    [(2, 2.178, 1.977), (3, 2.289, 2.004), (4, 2.361, 2.024), (5, 2.413, 2.040), (10, 2.555, 2.0865)],
)
def test_published_constants_spend_five_percent(looks: int, pocock: float, obrien_fleming: float) -> None:
    """Pocock's and O'Brien and Fleming's constants give a two-sided error of 5 % within their rounding."""
    shallow, steep = 2.2 * 6e-4 * stats.norm.pdf(pocock) * looks, 6e-4 * stats.norm.pdf(obrien_fleming) * 6
    assert two_sided(looks, lambda _: pocock) == pytest.approx(0.05, abs=shallow)
    assert two_sided(looks, lambda k: obrien_fleming * math.sqrt(looks / k)) == pytest.approx(0.05, abs=steep)


@pytest.mark.parametrize(
    ("kind", "alpha", "looks", "expected", "digits"),
    [
        ("OBrienFleming", 0.05, 4, (3.7496, 2.5399, 2.0161, 1.7202), 5e-5),
        ("OBrienFleming", 0.025, 5, (4.877, 3.357, 2.680, 2.290, 2.031), 5e-4),
        ("Pocock", 0.025, 5, (2.438, 2.427, 2.410, 2.397, 2.386), 5e-4),
    ],
)
def test_lan_demets_boundaries_are_the_published(
    kind: Spending, alpha: float, looks: int, expected: tuple[float, ...], digits: float
) -> None:
    """One-sided Lan-DeMets boundaries at equal looks, to every digit given."""
    found = spending.boundaries(alpha, [k / looks for k in range(1, looks + 1)], kind)
    assert found == pytest.approx(expected, abs=digits)


def test_two_sided_boundaries_are_those_of_half_the_error() -> None:
    """Two-sided 5 % is, but for crossing both sides, one-sided 2.5 %."""
    fractions = [0.2, 0.4, 0.6, 0.8, 1.0]
    both, one = (spending.boundaries(*a, "Pocock", s) for a, s in (((0.05, fractions), 2), ((0.025, fractions), 1)))  # type: ignore[arg-type]
    assert both == pytest.approx(one, abs=1e-3)


def test_boundaries_agree_with_exact_multivariate_normal_probabilities() -> None:
    """At three uneven looks the error spent equals scipy's multivariate normal distribution function."""
    fractions = (0.15, 0.6, 1.0)
    upper = spending.boundaries(0.05, fractions, "OBrienFleming")
    cov = np.array([[math.sqrt(min(a, b) / max(a, b)) for b in fractions] for a in fractions])
    stay = stats.multivariate_normal(np.zeros(3), cov, allow_singular=True).cdf(np.array(upper), rng=1)
    assert 1 - stay == pytest.approx(0.05, abs=1e-5)


@pytest.mark.parametrize("kind", ["OBrienFleming", "Pocock"])
@pytest.mark.parametrize("fractions", [(0.01, 0.02, 0.5, 1.0), (0.3, 0.31, 0.32, 1.0), (0.9, 1.0)])
def test_uneven_looks_spend_what_was_planned(kind: Spending, fractions: tuple[float, ...]) -> None:
    """However the looks fall, the error crossed up to each is what the spending function says."""
    upper = spending.boundaries(0.05, fractions, kind)
    crossed = list(itertools.accumulate(spending.crossing(fractions, upper)[0]))
    assert crossed == pytest.approx([spending.spent(kind, 0.05, t) for t in fractions], abs=1e-9)


def test_nothing_to_spend_has_no_boundary() -> None:
    """A look that may spend nothing cannot reject; one that may spend more than there is always does."""
    assert spending.boundaries_of((0.0, 0.05), (0.5, 1.0))[0] == math.inf
    assert spending.next_boundary((1.0, 2.0), (-3.0,), 0.5) == -math.inf


def test_futility_costs_no_more_power_than_planned() -> None:
    """Futility boundaries that spend 10 % under the drift found with 90 % power leave at least 80 %."""
    fractions = [k / 5 for k in range(1, 6)]
    upper = spending.boundaries(0.05, fractions, "OBrienFleming")
    drift = spending.drift_needed(0.05, 0.1, 5, "OBrienFleming")
    lower = spending.futility(fractions, upper, drift, lambda t: spending.spent("OBrienFleming", 0.1, t))
    above, below = spending.crossing(fractions, upper, lower, drift)
    assert sum(below) <= 0.1 + 1e-9
    assert sum(above) >= 0.8
    assert all(a <= b for a, b in zip(lower, upper, strict=True))


@pytest.mark.parametrize(("kind", "cost", "mean"), [("OBrienFleming", 1.0558, 0.6841), ("Pocock", 1.2515, 0.6298)])
def test_the_price_of_twenty_looks(kind: Spending, cost: float, mean: float) -> None:
    """Maximum and mean sample of 20 looks at 90 % power, in fixed samples: what the reference simulated."""
    drift = spending.drift_needed(0.05, 0.1, 20, kind)
    inflation = (drift / (upper_quantile(0.05) + upper_quantile(0.1))) ** 2
    fractions = [k / 20 for k in range(1, 21)]
    above, _ = spending.crossing(fractions, spending.boundaries(0.05, fractions, kind), None, drift)
    assert inflation == pytest.approx(cost, abs=1e-4)
    expected = sum(t * p for t, p in zip(fractions, above, strict=True)) + 1 - sum(above)
    assert inflation * expected == pytest.approx(mean, abs=1e-4)


def test_nonsense_is_refused() -> None:
    """Levels outside (0, 1), fractions of 0 and information that falls are named."""
    with pytest.raises(ValueError, match="alpha must lie strictly"):
        spending.spent("Pocock", 1.5, 0.5)
    with pytest.raises(ValueError, match="fraction must be above 0"):
        spending.spent("Pocock", 0.05, 0.0)
    with pytest.raises(ValueError, match="information must rise"):
        spending.boundaries(0.05, [0.5, 0.4], "Pocock")


def test_the_quadrature_is_exact_for_polynomials() -> None:
    """Eight points integrate degree 15 exactly, on one panel and on several, and an empty interval is 0."""
    points, weights = legendre(8)
    assert math.fsum(w * x**14 for x, w in zip(points, weights, strict=True)) == pytest.approx(2 / 15, rel=1e-14)
    points, weights = panels(0.0, 3.0, 0.7)
    assert math.fsum(w * x**5 for x, w in zip(points, weights, strict=True)) == pytest.approx(121.5, rel=1e-14)
    assert panels(1.0, 1.0, 0.5) == ((), ())
