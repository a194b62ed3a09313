"""CHAFFINCH_NO_SKIPS: what could not run fails the run. Seen with pytest itself, on small suites."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.repository import checkout

SKIPPED = "import pytest\n\ndef test_it():\n    pytest.skip('no cluster')\n"
MODULE = "import pytest\n\npytest.skip('no cluster', allow_module_level=True)\n"
EXPECTED_FAILURE = "import pytest\n\n@pytest.mark.xfail(reason='known')\ndef test_it():\n    assert False\n"
PASSING = "def test_it():\n    pass\n"


def run(folder: Path, text: str, *, strict: bool) -> subprocess.CompletedProcess[str]:
    """Run one e2e test file as `make e2e` would, or without the setting."""
    shutil.copy(checkout.ROOT / "tests" / "conftest.py", folder)
    (folder / "e2e").mkdir()
    (folder / "e2e" / "test_it.py").write_text(text)
    environ = {name: value for name, value in os.environ.items() if name != "CHAFFINCH_NO_SKIPS"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        os.devnull,
        "--rootdir",
        str(folder),
        "-p",
        "no:cacheprovider",
        "-p",
        "no:asyncio",
        "-p",
        "no:hypothesispytest",
        str(folder / "e2e"),
    ]
    return subprocess.run(
        command,
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        env={**environ, **({"CHAFFINCH_NO_SKIPS": "1"} if strict else {})},
    )


@pytest.mark.parametrize("text", [SKIPPED, MODULE], ids=["a test", "a module"])
def test_a_skip_fails(tmp_path: Path, text: str) -> None:
    """A skipped test and a skipped module end the run with a failure that repeats the reason."""
    done = run(tmp_path, text, strict=True)
    assert done.returncode != 0
    assert "no cluster" in done.stdout


def test_an_empty_suite_fails(tmp_path: Path) -> None:
    """A run of tests/e2e that finds nothing to run is no success."""
    assert run(tmp_path, "", strict=True).returncode != 0


@pytest.mark.parametrize("text", [PASSING, EXPECTED_FAILURE], ids=["a pass", "an expected failure"])
def test_what_ran_stays_what_it_is(tmp_path: Path, text: str) -> None:
    """Passes and expected failures are left alone."""
    done = run(tmp_path, text, strict=True)
    assert done.returncode == 0, done.stdout


def test_a_skip_is_a_skip_without_the_setting(tmp_path: Path) -> None:
    """At a desk, a test whose cluster is not there is skipped."""
    done = run(tmp_path, SKIPPED, strict=False)
    assert done.returncode == 0
    assert "1 skipped" in done.stdout
