"""requirements.lock answers pyproject.toml, and pip can be held to it."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement

from support.repository import checkout

ENTRY = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


LOCKS = ("requirements.lock", "requirements-bench.lock")


def locked(file: str = "requirements.lock") -> dict[str, tuple[str, str]]:
    """Each locked project with its version and the rest of its entry."""
    return {found[1].lower(): (found[2], found[3]) for found in ENTRY.finditer(checkout.text(file))}


def wanted() -> dict[str, list[Requirement]]:
    """Every requirement in pyproject.toml, by the lock file that answers it; what benches compare with has its own."""
    project = checkout.project()
    groups = dict(project["dependency-groups"])
    bench = groups.pop("bench")
    others = [
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        *groups.values(),
    ]
    return {
        "requirements.lock": [Requirement(line) for group in others for line in group],
        "requirements-bench.lock": [Requirement(line) for line in bench],
    }


@pytest.mark.parametrize("file", LOCKS)
def test_every_requirement_is_locked_at_a_version_it_allows(file: str) -> None:
    """`make lock` was run after the last change of a dependency."""
    lock = locked(file)
    stale = [
        str(one)
        for one in wanted()[file]
        if one.name.lower() not in lock or not one.specifier.contains(lock[one.name.lower()][0], prereleases=True)
    ]
    assert wanted()[file]
    assert stale == []


@pytest.mark.parametrize("file", LOCKS)
def test_every_locked_project_has_hashes(file: str) -> None:
    """What is installed is what was resolved, file by file."""
    assert locked(file)
    assert [name for name, (_, rest) in locked(file).items() if not HASH.search(rest)] == []


def test_benches_run_on_what_is_tested() -> None:
    """A project that is in both lock files has one version."""
    bench = locked("requirements-bench.lock")
    assert {name for name, (version, _) in locked().items() if name in bench and bench[name][0] != version} == set()


def test_what_builds_the_project_is_locked() -> None:
    """The editable install needs no package that is not in the lock file."""
    assert [name for name in ("hatchling", "editables") if name not in locked()] == []


@pytest.mark.parametrize("file", LOCKS)
def test_the_lock_file_names_no_address(file: str) -> None:
    """Where packages come from is the machine's business."""
    text = checkout.text(file)
    assert [word for word in ("http://", "https://", "--index-url", "--extra-index-url", "file:") if word in text] == []
