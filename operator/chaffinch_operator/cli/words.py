"""Numbers and times in the words a person reads. Pure; no sentence about rollouts belongs here."""

import math
from collections.abc import Sequence

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_BILLION = 1e9


def number(text: str) -> float | None:
    """The number a status field holds, infinite ones included; None where it is empty or damaged."""
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else value


def duration(seconds: float) -> str:
    """The two largest units: 42s, 4m10s, 2h5m, 3d4h."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for unit, size in _UNITS:
        amount, left = divmod(left, size)
        if amount:
            parts.append(f"{amount}{unit}")
        if len(parts) == 2 or (parts and not amount):
            break
    return "".join(parts) or "0s"


def percent(share: float) -> str:
    """A share such as 0.032 as "3.2 %"; small ones keep two digits that mean something."""
    value = 100.0 * share
    if value >= 1.0:
        return f"{_short(value, 1)} %"
    if value == 0.0:
        return "0 %"
    if value < 0.001:
        return "<0.001 %"
    digits = 1 - math.floor(math.log10(value))
    return f"{value:.{digits}f} %"


def share(bad: int, total: int) -> str:
    """How many of how many, and the share: "42 of 1,310 (3.2 %)"; "none yet" before there is one."""
    if total <= 0:
        return "none yet"
    return f"{bad:,} of {total:,} ({percent(bad / total)})"


def times(ratio: float) -> str:
    """A ratio as "4.0x"."""
    if math.isinf(ratio):
        return "inf"
    if ratio >= 100.0:
        return f"{ratio:,.0f}x"
    return f"{ratio:.1f}x" if ratio >= 1.95 else f"{_short(ratio, 2)}x"


def times_range(low: float, high: float) -> str:
    """A range of ratios as "2.1x to 7.0x", open where it has no upper end."""
    if math.isinf(high):
        return f"{times(low)} or more"
    return f"{times(low)} to {times(high)}"


def e_value(log_e: float) -> str:
    """Evidence, given as its logarithm, as a multiple: "0.40", "2.5", "93", "1,200", "2e9"."""
    if log_e > 700.0:
        return "inf" if math.isinf(log_e) else f"1e{math.floor(log_e / math.log(10.0))}"
    value = math.exp(log_e)
    if value < 0.005:
        return "0"
    if value < 1.0:
        return f"{value:.2f}"
    if value < 10.0:
        return f"{value:.1f}"
    return f"{value:,.0f}" if value < 1e6 else f"{value:.0e}".replace("e+0", "e").replace("e+", "e")


def chance(probability: float) -> str:
    """A small probability as a person says it: "40 %", "0.04 %", "1 in 23,000"; rounded up."""
    if probability >= 1e-4:
        return percent(min(1.0, probability))
    if probability < 1.0 / _BILLION:
        return "1 in a billion"
    odds = 1.0 / probability
    rounding = 10 ** (math.floor(math.log10(odds)) - 1)
    return f"1 in {math.floor(odds / rounding) * rounding:,}"


def _short(value: float, digits: int) -> str:
    """Without zeros at the end."""
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


def listing(names: Sequence[str], conjunction: str = "and") -> str:
    """Join names as "a, b and c"."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {conjunction} {names[-1]}"
