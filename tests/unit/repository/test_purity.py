"""Pure modules take the time as an argument: the contract forbids clocks that are modules, this one their methods."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.repository import checkout

CLOCKS = {"now", "utcnow", "today"}
CLASSES = {"datetime", "date"}


def clock_reads(text: str) -> Iterator[str]:
    """Where a text reads the wall clock, such as `datetime.now` or `datetime.datetime.now`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and node.attr in CLOCKS:
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if owner in CLASSES:
                yield f"line {node.lineno}: {owner}.{node.attr}"


def pure_files() -> list[str]:
    """The files of the modules that the contract calls pure."""
    found = []
    for module in checkout.contract("Pure modules")["source_modules"]:
        path = Path("services" if module == "chaffinch_stats" else "operator", *module.split("."))
        if (checkout.ROOT / path).is_dir():
            found += list(checkout.python_files(f"{path}/"))
        else:
            found.append(f"{path}.py")
    return found


def test_pure_modules_read_no_clock() -> None:
    """No pure module asks for the present time."""
    assert {name: reads for name in pure_files() if (reads := list(clock_reads(checkout.text(name))))} == {}


@pytest.mark.parametrize("text", ["datetime.now(UTC)", "datetime.datetime.utcnow()", "x = date.today"])
def test_a_clock_read_is_found(text: str) -> None:
    """The guard sees the ways to ask for the time."""
    assert list(clock_reads(text))


def test_a_field_called_now_is_no_clock_read() -> None:
    """`context.now` is the time that was brought."""
    assert list(clock_reads("c.now; context.datetime; snapshot.today")) == []
