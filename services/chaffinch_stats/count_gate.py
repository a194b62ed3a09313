"""The design of a gate on counts, and the ratios that it sums evidence at. Pure."""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from chaffinch_stats import codec, ratio_curve
from chaffinch_stats.checks import require_at_least_one, require_open_unit, require_positive

Method = Literal["Poisson", "Fisher"]
_MAX_GRID = 12


@dataclass(frozen=True, slots=True)
class CountGate:
    """The design of one gate, fixed before the first look.

    Attributes:
        harm_ratio: the null of harm is "rate ratio <= harm_ratio".
        margin_ratio: the null of safety is "rate ratio >= margin_ratio" (non-inferiority margin), above `harm_ratio`.
        dispersion: phi >= 1, the variance inflation measured on A/A history; each factor is raised to 1/phi.
        safe_below: a canary rate that is harmless whatever the ratio, or None; see `counts.log_e_safe`.
        harm_grid: alternatives of harm, as multiples (> 1) of `harm_ratio`.
        safe_grid: alternatives of safety, as ratios; those not below `margin_ratio` are left out.
        method: how harm is judged. "Poisson" for rare events; "Fisher" where more than about a tenth of the requests
            are bad: exact, on the odds ratio, `harm_ratio` at most 1; see `counts.log_e_harm` and `method.choose`.
        layout: where the ratios stand in the sums of evidence; follows from the rest.
        layout: where its ratios stand in the sums of evidence; follows from the rest.

    Raises:
        ValueError: naming the field that is out of range.

    """

    harm_ratio: float = 1.0
    margin_ratio: float = 1.5
    dispersion: float = 1.0
    safe_below: float | None = None
    harm_grid: tuple[float, ...] = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
    safe_grid: tuple[float, ...] = (1.0, 0.8, 0.5)
    method: Method = "Poisson"
    layout: "GateLayout" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_positive(self.harm_ratio, "harm_ratio")
        require_positive(self.margin_ratio, "margin_ratio")
        if self.margin_ratio <= self.harm_ratio:
            raise ValueError(f"margin_ratio must exceed harm_ratio, got {self.margin_ratio} <= {self.harm_ratio}")
        require_at_least_one(self.dispersion, "dispersion")
        if self.safe_below is not None:
            require_open_unit(self.safe_below, "safe_below")
        _require_grid(self.harm_grid, "harm_grid")
        if min(self.harm_grid) <= 1.0:
            raise ValueError(f"harm_grid must hold multiples above 1, got {self.harm_grid}")
        _require_grid(self.safe_grid, "safe_grid")
        if min(self.safe_grid) >= self.margin_ratio:
            raise ValueError(f"safe_grid needs a ratio below margin_ratio {self.margin_ratio}, got {self.safe_grid}")
        if self.method not in ("Poisson", "Fisher"):
            raise ValueError(f"method must be Poisson or Fisher, got {self.method!r}")
        if self.method == "Fisher" and self.harm_ratio > 1.0:
            raise ValueError(f"method Fisher needs a harm_ratio of at most 1, got {self.harm_ratio}: use Poisson")
        object.__setattr__(self, "layout", _layout(self))


def _require_grid(grid: tuple[float, ...], field: str) -> None:
    if not 1 <= len(grid) <= _MAX_GRID:
        raise ValueError(f"{field} must hold 1 to {_MAX_GRID} ratios, got {len(grid)}")
    for value in grid:
        require_positive(value, field)


@dataclass(frozen=True, slots=True)
class GateLayout:
    """Where a gate's ratios stand in the list of sums: indices into `ratios`, whose first `rates` are ratios of rates.

    The rest, none unless the method is Fisher, are ratios of odds.
    """

    design: str
    ratios: tuple[float, ...]
    rates: int
    harm_null: int
    harm: tuple[tuple[int, float], ...]
    """Place and log(psi/psi0) of each harm alternative."""
    safe_null: int
    safe: tuple[tuple[int, float], ...]
    """Place and log(psi/psi0) of each safe ratio."""
    excesses: tuple[float, ...]
    """psi - 1 at the ratios of rates, then at `ratio_curve.NODE_RATIOS`."""


@lru_cache(maxsize=256)
def _layout(gate: CountGate) -> GateLayout:
    """Return the gate's distinct ratios with their roles, and the fingerprint of its design."""
    harm = [gate.harm_ratio * multiple for multiple in gate.harm_grid]
    safe = [ratio for ratio in gate.safe_grid if ratio < gate.margin_ratio]
    fisher = gate.method == "Fisher"
    of_safety, of_harm = [gate.margin_ratio, *safe], [gate.harm_ratio, *harm]
    rates = _distinct(of_safety if fisher else of_safety + of_harm)
    odds = _distinct(of_harm) if fisher else ()
    design = (gate.harm_ratio, gate.margin_ratio, gate.dispersion, gate.safe_below or 0.0, *harm, *safe)

    def place(ratio: float) -> int:
        return len(rates) + odds.index(ratio) if fisher else rates.index(ratio)

    return GateLayout(
        codec.fingerprint((*map(float, design), "Fisher") if fisher else tuple(map(float, design))),
        rates + odds,
        len(rates),
        place(gate.harm_ratio),
        tuple((place(ratio), math.log(ratio / gate.harm_ratio)) for ratio in harm),
        rates.index(gate.margin_ratio),
        tuple((rates.index(ratio), math.log(ratio / gate.margin_ratio)) for ratio in safe),
        tuple(psi - 1.0 for psi in rates + ratio_curve.NODE_RATIOS),
    )


def _distinct(ratios: list[float]) -> tuple[float, ...]:
    return tuple(sorted(set(map(float, ratios))))
