"""Files and functions stay short enough to be read at once, or say why not."""

from __future__ import annotations

from support.repository import checkout
from support.repository.sizes import FUNCTION_LINES, SOURCE_LINES, TEST_LINES, too_long

REASONS: dict[str, str] = {
    "tests/integration/canary/cases.py:query_cases": "A table of cases, one entry each; nothing in it to take apart.",
}
"""What may be longer, as `path` or `path:qualified.name`, and one sentence that says why."""


def findings() -> dict[str, str]:
    """What is too long now, and the message for it."""
    return {found.what: str(found) for name in checkout.python_files() for found in too_long(name, checkout.text(name))}


def test_nothing_is_too_long_without_a_reason() -> None:
    """No file and no function is over its limit unless the table says why."""
    assert [message for what, message in findings().items() if what not in REASONS] == []


def test_no_reason_is_left_over() -> None:
    """A reason goes when what it excused is short again."""
    assert sorted(set(REASONS) - set(findings())) == []


def test_every_reason_is_a_sentence() -> None:
    """A reason says something: at least five words and a full stop."""
    assert [what for what, why in REASONS.items() if len(why.split()) < 5 or not why.endswith(".")] == []


def test_a_long_function_is_found_inside_a_class() -> None:
    """The guard sees methods, by their qualified names."""
    body = "        pass\n" * FUNCTION_LINES
    (found,) = too_long("operator/x.py", f"class A:\n    async def long(self):\n{body}")
    assert (found.what, found.lines) == ("operator/x.py:A.long", FUNCTION_LINES + 1)


def test_tests_may_be_longer_than_source() -> None:
    """A file of 500 lines is too long as source and fine as a test."""
    text = "x = 1\n" * 500
    assert SOURCE_LINES < 500 < TEST_LINES
    assert [len(list(too_long(name, text))) for name in ("operator/x.py", "tests/x.py")] == [1, 0]
