"""Rules for the package's own files."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

import cluster

PACKAGE = Path(cluster.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
MODULES = [path for path in FILES if path.suffix == ".py"]
# a word, a dot, a known ending: hosts, but not file names or modules
ADDRESS = re.compile(r"https?://(?!127\.0\.0\.1|kubernetes\.default|chaffinch-|\{)[a-z]", re.IGNORECASE)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_only_the_standard_library_is_imported(path: Path) -> None:
    """The tool runs before there is a virtual environment."""
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported <= {*sys.stdlib_module_names, "cluster"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_names_a_remote_address(path: Path) -> None:
    """Packages come by their ordinary clients, configured by the machine."""
    assert not ADDRESS.search(path.read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_images_are_local(path: Path) -> None:
    """Nothing in the cluster could be pulled."""
    images = re.findall(r"^\s*(?:- )?image: (\S+)", path.read_text(), re.MULTILINE)
    assert all(image.startswith(("localhost/", "${PYTHON}")) for image in images)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_files_are_short(path: Path) -> None:
    """A file has one verb or one noun."""
    assert len(path.read_text().splitlines()) < 400
