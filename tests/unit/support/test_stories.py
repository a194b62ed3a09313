"""Several stories at once."""

from __future__ import annotations

import threading

import pytest

from support.stories import together


def test_results_come_in_the_order_of_the_stories_which_run_at_once() -> None:
    """Each waits for the other; the results have types of their own."""
    both = threading.Barrier(2, timeout=10)

    def number() -> int:
        both.wait()
        return 1

    def text() -> str:
        both.wait()
        return "two"

    one, two = together(number, text)
    assert (one + 1, two.upper()) == (2, "TWO")


def test_all_stories_are_told_before_an_error_is_raised() -> None:
    """The first one's, in their order."""
    told = []

    def fails() -> None:
        raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        together(fails, lambda: told.append("second"))
    assert told == ["second"]
