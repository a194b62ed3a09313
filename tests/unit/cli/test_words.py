"""Numbers and times in words."""

import math

import pytest

from chaffinch_operator.cli import words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (42, "42s"),
        (250, "4m10s"),
        (300, "5m"),
        (7500, "2h5m"),
        (3661, "1h1m"),
        (7201, "2h"),
        (273600, "3d4h"),
        (-5, "0s"),
    ],
)
def test_a_duration_shows_its_two_largest_units(seconds: float, text: str) -> None:
    """Two units are enough to know, and a zero between them ends the text."""
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.032, "3.2 %"),
        (0.05, "5 %"),
        (0.00797, "0.80 %"),
        (0.00012, "0.012 %"),
        (1e-7, "<0.001 %"),
    ],
)
def test_a_share_keeps_the_digits_that_mean_something(share: float, text: str) -> None:
    """Large shares have one digit after the point, small ones two that are not zero."""
    assert words.percent(share) == text


@pytest.mark.parametrize(
    ("log_e", "text"),
    [
        (-math.inf, "0"),
        (-30.0, "0"),
        (-0.4, "0.67"),
        (0.0, "1.0"),
        (math.log(60), "60"),
        (math.log(1234), "1,234"),
        (math.log(5e6), "5e6"),
        (2000.0, "1e868"),
        (math.inf, "inf"),
    ],
)
def test_evidence_of_any_size_fits_in_a_few_characters(log_e: float, text: str) -> None:
    """From nothing to more than a float can hold."""
    assert words.e_value(log_e) == text


@pytest.mark.parametrize(
    ("probability", "text"),
    [(1.0, "100 %"), (0.4, "40 %"), (0.0004, "0.040 %"), (1 / 23456, "1 in 23,000"), (0.0, "1 in a billion")],
)
def test_a_chance_is_never_said_to_be_smaller_than_it_is(probability: float, text: str) -> None:
    """Rare things are told as one in so many, and the many is rounded down."""
    assert words.chance(probability) == text


@pytest.mark.parametrize(
    ("ratio", "text"), [(0.62, "0.62x"), (1.5, "1.5x"), (4.02, "4.0x"), (250.0, "250x"), (math.inf, "inf")]
)
def test_a_ratio_is_told_in_times(ratio: float, text: str) -> None:
    """Near one the second digit matters, far away none does."""
    assert words.times(ratio) == text


@pytest.mark.parametrize("text", ["", "nan", "x"])
def test_a_damaged_number_is_no_number(text: str) -> None:
    """What cannot be read is unknown, not zero."""
    assert words.number(text) is None


def test_names_are_listed_as_a_person_would() -> None:
    """Commas, and a word before the last."""
    assert words.listing(["a", "b", "c"], "or") == "a, b or c"
