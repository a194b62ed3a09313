"""Group sequential boundaries: error spending over looks, by recursive numerical integration.

The z statistics of a growing sample are the values of a Brownian motion B at the information t, divided by its root
(Jennison and Turnbull, Group Sequential Methods, 2000, chapters 3 and 19). The density of B(t_k) on the paths that have
not been stopped yet is carried from look to look (Armitage, McPherson and Rowe 1969) on Gauss-Legendre panels between
the boundaries; a boundary is where the probability of crossing there is what is to be spent (Lan and DeMets 1983).
Published constants come out in every digit given (tested).
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from chaffinch_stats.checks import require_open_unit
from chaffinch_stats.quadrature import panels, upper_quantile, upper_tail

Spending = Literal["OBrienFleming", "Pocock"]
Sides = Literal[1, 2]

FAR = 8.0
"""Standard deviations beyond which nothing is integrated: 6e-16 of the probability."""

_PANEL = 2.0  # panel width in standard deviations of the narrower of the steps before and after
_NOTHING = 1e-15
_REACH = 8.5  # standard deviations of a step beyond which it carries nothing: 1e-17
_STEPS = 60
_Z_TOLERANCE = 1e-13
_SECANTS = 12
_DRIFT_TOLERANCE = 1e-7


def spent(spending: Spending, alpha: float, fraction: float) -> float:
    """Return the error to have spent at an information fraction; all of `alpha` from 1 on (Lan and DeMets 1983).

    OBrienFleming: 2*(1 - Phi(z_(1-alpha/2)/sqrt(t))); Pocock: alpha*log(1 + (e-1)*t).

    Raises:
        ValueError: alpha outside (0, 1), or a fraction not above 0.

    """
    require_open_unit(alpha, "alpha")
    if not fraction > 0.0:
        raise ValueError(f"fraction must be above 0, got {fraction!r}")
    if fraction >= 1.0:
        return alpha
    if spending == "Pocock":
        return alpha * math.log1p((math.e - 1.0) * fraction)
    return 2.0 * upper_tail(upper_quantile(0.5 * alpha) / math.sqrt(fraction))


def boundaries(alpha: float, fractions: Sequence[float], spending: Spending, sides: Sides = 1) -> tuple[float, ...]:
    """Return the z boundary of every look: reject where z (two-sided: its absolute value) reaches it.

    Two-sided, each side spends half of `alpha`, by the spending function of that half, as is usual.

    Args:
        alpha: error of both sides together.
        fractions: information fractions of the looks, rising, above 0.
        spending: how alpha is spent.
        sides: 1 or 2.

    """
    targets = [sides * spent(spending, alpha / sides, t) for t in fractions]
    return boundaries_of(tuple(targets), tuple(fractions), sides)


def boundaries_of(targets: tuple[float, ...], information: tuple[float, ...], sides: Sides = 1) -> tuple[float, ...]:
    """Return the z boundaries at which the error crossed by each look is that look's target; inf where none is left.

    Args:
        targets: shape (k,), error spent up to each look, not falling.
        information: shape (k,), information at each look in any unit, rising.
        sides: 1 or 2.

    """
    found: tuple[float, ...] = ()
    for k, target in enumerate(targets):
        before = targets[k - 1] if k else 0.0
        lower = tuple(-b if sides == 2 else -math.inf for b in found)
        paths = _paths(information[: k + 1], found, lower, 0.0)
        found = (*found, paths.boundary(information[k], (target - before) / sides))
    return found


def next_boundary(information: tuple[float, ...], passed: tuple[float, ...], error: float) -> float:
    """Return the one-sided z boundary of the last look that spends `error` there, given those of the looks before.

    Args:
        information: shape (k,), of all looks, the last included.
        passed: shape (k-1,), boundaries of the looks before.
        error: to spend at this look.

    """
    return _paths(information, passed, (-math.inf,) * len(passed), 0.0).boundary(information[-1], error)


def crossing(
    information: Sequence[float], upper: Sequence[float], lower: Sequence[float] | None = None, drift: float = 0.0
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return, per look, the probability of first leaving there above `upper`, and below `lower`.

    Args:
        information: shape (k,), rising.
        upper: shape (k,), z boundaries, inf for none.
        lower: shape (k,), z boundaries, or None for none at all.
        drift: mean of B(t) per unit of information; mean of z is drift*sqrt(t).

    """
    floor = tuple(lower) if lower is not None else (-math.inf,) * len(upper)
    above, below = [], []
    for k, now in enumerate(information):
        paths = _paths(tuple(information[: k + 1]), tuple(upper[:k]), floor[:k], drift)
        root = math.sqrt(now)
        above.append(paths.beyond(now, upper[k] * root))
        below.append(paths.mass() - paths.beyond(now, floor[k] * root) if floor[k] > -math.inf else 0.0)
    return tuple(above), tuple(below)


def futility(
    information: Sequence[float], upper: Sequence[float], drift: float, spend: Callable[[float], float]
) -> tuple[float, ...]:
    """Return lower z boundaries at which, under `drift`, spend(information) is lost: power that stopping there costs.

    Non-binding: `upper` was found without them, so going on below one does not raise the false alarms. Never above
    `upper`.
    """
    found: tuple[float, ...] = ()
    before = 0.0
    for k, now in enumerate(information):
        target = spend(now)
        paths = _paths(tuple(information[: k + 1]), tuple(upper[:k]), found, drift)
        mirrored = paths.mirrored().boundary(now, target - before)
        found = (*found, min(-mirrored, upper[k]))
        before = target
    return found


@lru_cache(maxsize=64)
def drift_needed(alpha: float, beta: float, looks: int, spending: Spending) -> float:
    """Return the drift at information 1 that equal looks find with probability 1-beta: the root of the information.

    A test of one look would need z_alpha + z_beta; the square of the ratio is what looking costs at most.
    """
    fractions = [k / looks for k in range(1, looks + 1)]
    upper = boundaries(alpha, fractions, spending)
    low = upper_quantile(alpha) + upper_quantile(beta)
    high = 1.3 * low
    missing = _shortfall(fractions, upper, low, beta)
    for _ in range(_SECANTS):  # pragma: no branch (it converges; the range is a net)
        excess = _shortfall(fractions, upper, high, beta)
        if abs(excess - missing) < _NOTHING or abs(high - low) < _DRIFT_TOLERANCE:
            break
        low, high, missing = high, high - excess * (high - low) / (excess - missing), excess
    return high


def _shortfall(fractions: Sequence[float], upper: Sequence[float], drift: float, beta: float) -> float:
    return math.fsum(crossing(fractions, upper, None, drift)[0]) - (1.0 - beta)


@dataclass(frozen=True, slots=True)
class _Paths:
    """Where B is at a look on the paths not stopped by then: points, their probability masses, and the drift."""

    at: float
    points: tuple[float, ...]
    masses: tuple[float, ...]
    drift: float

    def mass(self) -> float:
        """Probability of not having stopped."""
        return math.fsum(self.masses)

    def beyond(self, now: float, value: float) -> float:
        """Probability of not having stopped and B(now) being at least `value`."""
        scale, target = math.sqrt(now - self.at), value - self.drift * (now - self.at)
        return math.fsum(m * upper_tail((target - x) / scale) for x, m in zip(self.points, self.masses, strict=True))

    def boundary(self, now: float, error: float) -> float:
        """The z at `now` beyond which lies a probability of `error`; inf for none, -inf for more than there is."""
        if error < _NOTHING:
            return math.inf
        root = math.sqrt(now)
        low, high = -2.0 * FAR, 2.0 * FAR
        if self.beyond(now, low * root) < error:
            return -math.inf
        # Newton's steps in the logarithm, nearly straight in the tail; halves of the bracket where one leaves it.
        z = min(upper_quantile(error / self.mass()), high) if error < self.mass() else 0.0
        for _ in range(_STEPS):
            found, density = self._tail(now, z * root)
            if found > error:
                low = z
            else:
                high = z
            step = found / (density * root) * math.log(found / error) if found > 0.0 and density > 0.0 else math.inf
            after = z + step
            if abs(step) < _Z_TOLERANCE or high - low < _Z_TOLERANCE:
                return after if low <= after <= high else z
            z = after if low < after < high else 0.5 * (low + high)
        return z

    def _tail(self, now: float, value: float) -> tuple[float, float]:
        """Return `beyond`, and how fast it falls with `value`."""
        step = now - self.at
        scale, target, sharp = math.sqrt(2.0 * step), value - self.drift * step, -0.5 / step
        erfc, exp = math.erfc, math.exp
        gaps = [target - x for x in self.points]
        found = math.fsum([m * erfc(gap / scale) for gap, m in zip(gaps, self.masses, strict=True)])
        density = math.fsum([m * exp(sharp * gap * gap) for gap, m in zip(gaps, self.masses, strict=True)])
        return 0.5 * found, density / math.sqrt(2.0 * math.pi * step)

    def mirrored(self) -> "_Paths":
        """The same paths upside down."""
        return _Paths(self.at, tuple(-x for x in self.points), self.masses, -self.drift)


@lru_cache(maxsize=1024)
def _paths(information: tuple[float, ...], upper: tuple[float, ...], lower: tuple[float, ...], drift: float) -> _Paths:
    """Return the paths after the looks with boundaries, ready for the look at the last information.

    Args:
        information: shape (k+1,), the next look included: the points must be close enough for its step as well.
        upper: shape (k,), z boundaries.
        lower: shape (k,), z boundaries.
        drift: of B.

    """
    if not upper:
        return _Paths(0.0, (0.0,), (1.0,), drift)
    before = _paths(information[:-1], upper[:-1], lower[:-1], drift)
    now, ahead = information[-2:]
    if not before.at < now < ahead:
        raise ValueError(f"information must rise, got {before.at!r}, {now!r}, {ahead!r}")
    step, root = now - before.at, math.sqrt(now)
    low = max(lower[-1] * root, drift * now - FAR * root)
    high = min(upper[-1] * root, drift * now + FAR * root)
    points, weights = panels(low, high, _PANEL * math.sqrt(min(step, ahead - now)))
    norm, sharp = 1.0 / math.sqrt(2.0 * math.pi * step), -0.5 / step
    starts = [x + drift * step for x in before.points]
    cells = [(x, norm * m) for x, m in zip(starts, before.masses, strict=True)]
    exp, reach = math.exp, _REACH * math.sqrt(step)
    masses = []
    for y, w in zip(points, weights, strict=True):
        near = cells[bisect_left(starts, y - reach) : bisect_right(starts, y + reach)]
        masses.append(w * math.fsum([m * exp(sharp * (y - x) * (y - x)) for x, m in near]))
    return _Paths(now, points, tuple(masses), drift)
