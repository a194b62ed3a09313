"""requirements.lock answers pyproject.toml, and pip can be held to it."""

from __future__ import annotations

import re

from packaging.requirements import Requirement

from support.repository import checkout

ENTRY = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def locked() -> dict[str, tuple[str, str]]:
    """Each locked project with its version and the rest of its entry."""
    return {found[1].lower(): (found[2], found[3]) for found in ENTRY.finditer(checkout.text("requirements.lock"))}


def wanted() -> list[Requirement]:
    """Every requirement in pyproject.toml."""
    project = checkout.project()
    groups = [
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
    ]
    return [Requirement(line) for group in groups for line in group]


def test_every_requirement_is_locked_at_a_version_it_allows() -> None:
    """`make lock` was run after the last change of a dependency."""
    lock = locked()
    stale = [
        str(one)
        for one in wanted()
        if one.name.lower() not in lock or not one.specifier.contains(lock[one.name.lower()][0], prereleases=True)
    ]
    assert stale == []


def test_every_locked_project_has_hashes() -> None:
    """What is installed is what was resolved, file by file."""
    assert [name for name, (_, rest) in locked().items() if not HASH.search(rest)] == []


def test_what_builds_the_project_is_locked() -> None:
    """The editable install needs no package that is not in the lock file."""
    assert [name for name in ("hatchling", "editables") if name not in locked()] == []


def test_the_lock_file_names_no_address() -> None:
    """Where packages come from is the machine's business."""
    text = checkout.text("requirements.lock")
    assert [word for word in ("http://", "https://", "--index-url", "--extra-index-url", "file:") if word in text] == []
