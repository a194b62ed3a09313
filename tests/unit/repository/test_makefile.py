"""`make` is the list of commands, and the documents name only commands that are on it."""

from __future__ import annotations

import re
import subprocess

from support.repository import checkout

TARGET = re.compile(r"^([a-z][a-z0-9-]*):.*?(?:## (.*))?$", re.MULTILINE)
PHONY = re.compile(r"^\.PHONY: (.*)$", re.MULTILINE)
COMMAND = re.compile(r"(?:`|^\s*|&& )make ([a-z][a-z0-9-]*)\b", re.MULTILINE)


def targets() -> dict[str, str]:
    """Each target with its line of help, empty where there is none."""
    return {found[1]: found[2] or "" for found in TARGET.finditer(checkout.text("Makefile"))}


def documents() -> list[str]:
    """The Markdown files of the repository."""
    return [name for name in checkout.files() if name.endswith(".md")]


def test_every_target_is_explained() -> None:
    """Each target has a `##` comment, so `make` lists it."""
    assert [name for name, text in targets().items() if not text] == []


def test_help_lists_every_target() -> None:
    """`make` without a target prints them all."""
    shown = subprocess.run(["make"], cwd=checkout.ROOT, capture_output=True, check=True, text=True).stdout
    assert [name for name in targets() if f"  make {name} " not in shown] == []


def test_no_target_is_taken_for_a_file() -> None:
    """Each target is declared phony: a file of its name would hide it."""
    phony = {name for found in PHONY.finditer(checkout.text("Makefile")) for name in found[1].split()}
    assert sorted(set(targets()) - phony) == []


def test_documents_name_targets_that_exist() -> None:
    """Every `make x` in a document can be typed."""
    known = targets()
    named = {(name, found[1]) for name in documents() for found in COMMAND.finditer(checkout.text(name))}
    assert sorted((name, target) for name, target in named if target not in known) == []
    assert ("README.md", "demo") in named
