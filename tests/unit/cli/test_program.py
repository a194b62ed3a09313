"""The program as the shell starts it: quick help, completion, exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_SOURCES = Path(__file__).parents[3]
_PATH = os.pathsep.join(str(_SOURCES / root) for root in ("operator", "services"))
_HELP = """
import sys
from chaffinch_operator.cli.__main__ import main
sys.argv = ["kubectl-chaffinch", "--help"]
try:
    main()
except SystemExit:
    pass
slow = {"kubernetes", "aiohttp", "rich", "yaml", "chaffinch_stats", "chaffinch_operator.canary.status"}
slow &= set(sys.modules)
sys.exit(str(slow) if slow else 0)
"""
_KUBECTL = """#!/bin/sh
echo "$*" >> "$(dirname "$0")/calls"
echo canaryrollout.chaffinch.dev/checkout
echo canaryrollout.chaffinch.dev/cart
"""


def _program(*args: str, path: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    search = os.pathsep.join(filter(None, [str(path) if path else "", os.environ["PATH"]]))
    return subprocess.run(
        [sys.executable, "-m", "chaffinch_operator.cli", *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": search, "PYTHONPATH": _PATH, "HOME": "/nonexistent", **environ},
    )


def _complete(words: str, index: int, path: Path) -> list[str]:
    done = _program(path=path, COMP_WORDS=words, COMP_CWORD=str(index), _KUBECTL_CHAFFINCH_COMPLETE="complete_bash")
    return done.stdout.split()


@pytest.fixture
def kubectl(tmp_path: Path) -> Path:
    """A folder with a kubectl that knows two CanaryRollouts and notes how it was called."""
    program = tmp_path / "kubectl"
    program.write_text(_KUBECTL)
    program.chmod(0o755)
    return tmp_path


def test_help_loads_nothing_that_is_slow() -> None:
    """Neither the Kubernetes client nor models nor rich: help must be there at once."""
    done = subprocess.run(
        [sys.executable, "-c", _HELP],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": _PATH},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: kubectl chaffinch" in done.stdout


@pytest.mark.parametrize("command", ["backtest", "report"])
def test_help_of_a_command_tells_its_options(command: str) -> None:
    """Each with what it is for."""
    done = _program(command, "--help")
    assert done.returncode == 0
    for option in {"backtest": ("--history", "--from", "--aa", "--plot"), "report": ("--from-backtest", "-o")}[command]:
        assert option in done.stdout


def test_an_expected_error_has_no_traceback() -> None:
    """Two lines and exit code 1."""
    done = _program("status")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "error: there is no kubeconfig at /nonexistent/.kube/config"


def test_an_unreachable_cluster_is_said_in_words(tmp_path: Path) -> None:
    """Through the real client: connection refused."""
    config = tmp_path / "config"
    config.write_text("""
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {}}]
""")
    done = _program("status", "--kubeconfig", str(config))
    assert (done.returncode, done.stdout) == (1, "")
    assert 'cannot reach the API server of context "c"' in done.stderr
    assert "Traceback" not in done.stderr


def test_version_names_the_program() -> None:
    """For bug reports."""
    assert _program("version").stdout.startswith("kubectl-chaffinch ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    """That asks the program itself."""
    assert "_KUBECTL_CHAFFINCH_COMPLETE=complete_" + shell in _program("completion", shell).stdout


@pytest.mark.parametrize(
    ("words", "index", "expected"),
    [
        ("kubectl-chaffinch pro", 1, ["promote"]),
        ("kubectl-chaffinch status --unt", 2, ["--until-done"]),
        ("kubectl-chaffinch backt", 1, ["backtest"]),
        ("kubectl-chaffinch backtest --ig", 2, ["--ignore-steps"]),
        ("kubectl-chaffinch report ch", 2, ["checkout"]),
        ("kubectl-chaffinch status ", 2, ["checkout", "cart"]),
        ("kubectl-chaffinch abort ch", 2, ["checkout"]),
    ],
)
def test_commands_options_and_names_are_completed(kubectl: Path, words: str, index: int, expected: list[str]) -> None:
    """Names come from the cluster, by kubectl."""
    assert _complete(words, index, kubectl) == expected


def test_names_are_those_of_the_namespace_that_was_given(kubectl: Path) -> None:
    """Before the command's name, too."""
    _complete("kubectl-chaffinch -n find status ", 4, kubectl)
    assert "--namespace find" in (kubectl / "calls").read_text()


def test_without_kubectl_there_are_no_names_and_no_error(tmp_path: Path) -> None:
    """Completion never breaks a command line."""
    done = _program(
        PATH=str(tmp_path),
        COMP_WORDS="kubectl-chaffinch status ",
        COMP_CWORD="2",
        _KUBECTL_CHAFFINCH_COMPLETE="complete_bash",
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_kubectl_itself_can_complete(kubectl: Path) -> None:
    """The script for kubectl_complete-chaffinch speaks kubectl's protocol: lines, then a directive."""
    program = kubectl / "kubectl-chaffinch"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m chaffinch_operator.cli "$@"\n')
    program.chmod(0o755)
    script = kubectl / "kubectl_complete-chaffinch"
    script.write_text(_program("completion", "kubectl").stdout)
    script.chmod(0o755)
    done = subprocess.run(
        [script, "abort", "ca"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": f"{kubectl}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": _PATH},
    )
    assert done.stdout.split() == ["cart", ":4"]
