"""How long files and functions are. Pure: text in, findings out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

FUNCTION_LINES = 60
SOURCE_LINES = 400
TEST_LINES = 600


@dataclass(frozen=True, slots=True)
class TooLong:
    """A file, or a function as `file:qualified.name`, over its limit."""

    what: str
    lines: int
    limit: int

    def __str__(self) -> str:
        return f"{self.what} has {self.lines} lines, {self.limit} allowed"


def too_long(name: str, text: str) -> Iterator[TooLong]:
    """What is too long in a Python file."""
    limit = TEST_LINES if name.startswith("tests/") else SOURCE_LINES
    lines = len(text.splitlines())
    if lines > limit:
        yield TooLong(name, lines, limit)
    for function, length in functions(ast.parse(text)):
        if length > FUNCTION_LINES:
            yield TooLong(f"{name}:{function}", length, FUNCTION_LINES)


def functions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Each function's qualified name and its number of lines, docstring included, decorators not."""
    for child in ast.iter_child_nodes(node):
        inner = prefix
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{prefix}{child.name}."
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + child.name, (child.end_lineno or child.lineno) - child.lineno + 1
        yield from functions(child, inner)
