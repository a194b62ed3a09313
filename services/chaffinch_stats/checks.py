"""Checks of what a caller hands to the statistics: one message per field, saying what was given and what is allowed."""

import math


def require_count(value: int, field: str) -> None:
    """Accept an integer of 0 or more.

    Raises:
        TypeError: not an int (floats and booleans are refused: a count that went through a float is no longer exact).
        ValueError: negative.

    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{field} must be an integer count, got {value!r}")
    if value < 0:
        raise ValueError(f"{field} must not be negative, got {value}")


def require_positive(value: float, field: str) -> None:
    """Accept a finite number above 0; ValueError otherwise."""
    if not (math.isfinite(value) and value > 0.0):
        raise ValueError(f"{field} must be a finite number above 0, got {value!r}")


def require_at_least_one(value: float, field: str) -> None:
    """Accept a finite number of 1 or more; ValueError otherwise."""
    if not (math.isfinite(value) and value >= 1.0):
        raise ValueError(f"{field} must be a finite number of at least 1, got {value!r}")


def require_open_unit(value: float, field: str) -> None:
    """Accept a number strictly between 0 and 1; ValueError otherwise."""
    if not 0.0 < value < 1.0:
        raise ValueError(f"{field} must lie strictly between 0 and 1, got {value!r}")


def require_closed_unit(value: float, field: str) -> None:
    """Accept a number from 0 to 1, both included; ValueError otherwise."""
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{field} must lie between 0 and 1, got {value!r}")
