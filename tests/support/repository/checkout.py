"""The repository as files: where it is, what belongs to it, and what its configuration says. Reads only."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ("operator/", "services/")


@cache
def files() -> tuple[str, ...]:
    """Paths of all files that are, or would be, committed; relative to the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return tuple(sorted(name for name in listed.split("\0") if name and (ROOT / name).is_file()))


def python_files(*below: str) -> Iterator[str]:
    """Paths of Python files, all or those below the given folders."""
    return (name for name in files() if name.endswith(".py") and (not below or name.startswith(below)))


def text(name: str) -> str:
    """The content of a file; bytes that are no UTF-8 are replaced."""
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")


def project() -> dict[str, Any]:
    """The content of pyproject.toml."""
    return tomllib.loads(text("pyproject.toml"))


def contract(name_begins: str) -> dict[str, Any]:
    """The import-linter contract whose name begins so."""
    contracts: list[dict[str, Any]] = project()["tool"]["importlinter"]["contracts"]
    return next(one for one in contracts if one["name"].startswith(name_begins))
