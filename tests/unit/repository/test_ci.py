""".ci/run, with a `make` that only pretends: which stages run, how it ends, and what the last line is."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.repository import checkout

Run = Callable[[str], subprocess.CompletedProcess[str]]
SUMMARY = "===== 3 passed in 1.00s ====="
FAILED = "===== 1 failed, 2 passed in 1.00s ====="
MAKE = f"""#!/bin/bash
target=${{@: -1}}; [[ $target == PURGE=1 ]] && target=cluster-down
echo "$target $CI $CLUSTER $CHAFFINCH_CLUSTER" >>"$LOG"
if [[ $target == "$FAILING" ]]; then
    [[ $target == test ]] && echo "{FAILED}"
    echo "make: *** [Makefile:1: $target] Error 1" >&2
    exit 2
fi
[[ $target == test ]] && echo "{SUMMARY}"
exit 0
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A function that runs the script with one target failing, or none; stdout and stderr as one, as on a screen."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(checkout.ROOT / ".ci" / "run", tmp_path / ".ci")
    make = tmp_path / "bin" / "make"
    make.parent.mkdir()
    make.write_text(MAKE)
    make.chmod(0o755)
    environ = {name: value for name, value in os.environ.items() if name not in {"CHAFFINCH_CLUSTER", "CLUSTER"}}
    environ |= {"PATH": f"{make.parent}:{os.environ['PATH']}", "LOG": str(tmp_path / "log")}

    def started(failing: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(tmp_path / ".ci" / "run")],
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**environ, "FAILING": failing},
        )

    return started


def targets(folder: Path) -> list[str]:
    """The targets that were made."""
    return [line.split()[0] for line in (folder / "log").read_text().splitlines()]


def test_all_stages_run_in_order(run: Run, tmp_path: Path) -> None:
    """Environment, check, cluster, tests, and the cluster's end."""
    assert run("").returncode == 0
    assert targets(tmp_path) == ["venv", "check", "cluster-up", "test", "cluster-down"]


@pytest.mark.parametrize("failing", ["venv", "check", "cluster-up", "test", "cluster-down"])
def test_a_stage_that_fails_fails_the_run(run: Run, failing: str) -> None:
    """No failure is lost, not even that of clearing up."""
    assert run(failing).returncode != 0


@pytest.mark.parametrize("failing", ["check", "cluster-up", "test"])
def test_the_cluster_ends_whatever_happened(run: Run, tmp_path: Path, failing: str) -> None:
    """Nothing is left running after a failure."""
    run(failing)
    assert targets(tmp_path)[-1] == "cluster-down"


@pytest.mark.parametrize(("failing", "last"), [("", SUMMARY), ("test", FAILED)], ids=["passed", "failed"])
def test_the_last_line_is_that_of_pytest(run: Run, failing: str, last: str) -> None:
    """Whoever judges the run by its last line reads the tests' own summary."""
    assert run(failing).stdout.splitlines()[-1] == last


def test_stages_tell_how_long_they_took(run: Run) -> None:
    """Each stage before the tests, which tell it themselves, is timed."""
    shown = run("").stdout
    assert [stage for stage in ("environment", "check", "cluster") if f"== {stage}: ok after " not in shown] == []


def test_the_run_has_a_cluster_of_its_own(run: Run, tmp_path: Path) -> None:
    """A cluster that somebody works with is neither used nor ended."""
    run("")
    assert {tuple(line.split()[1:]) for line in (tmp_path / "log").read_text().splitlines()} == {
        ("true", "local", "chaffinch-ci")
    }
