"""The layout holds what tools rely on."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.repository import checkout


@pytest.mark.parametrize("folder", ["operator", "services"])
def test_source_roots_are_no_packages(folder: str) -> None:
    """An `__init__.py` there would hide the standard library's `operator`: no Python would start from the root."""
    assert not (checkout.ROOT / folder / "__init__.py").exists()


def test_python_starts_from_the_root() -> None:
    """The folder `operator` does not hide the standard library's module from a Python started beside it."""
    done = subprocess.run(
        [sys.executable, "-c", "import collections, operator; print(operator.eq(1, 1))"],
        cwd=checkout.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "True"


def test_every_package_of_the_distribution_exists() -> None:
    """What pyproject.toml puts into the wheel is there."""
    packages = checkout.project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert [package for package in packages if not (checkout.ROOT / package / "__init__.py").is_file()] == []


def test_the_ci_script_can_be_started() -> None:
    """.ci/run and the scripts it needs are executable."""
    scripts = (".ci/run", "tests/support/repository/venv.sh")
    assert [name for name in scripts if not (checkout.ROOT / name).stat().st_mode & 0o100] == []


def test_no_link_is_committed() -> None:
    """A link to somewhere on one machine, such as .venv in a second worktree, would replace what others have there."""
    listed = subprocess.run(
        ["git", "ls-files", "--stage"], cwd=checkout.ROOT, capture_output=True, check=True, text=True
    ).stdout
    assert [line for line in listed.splitlines() if line.startswith("120000")] == []
