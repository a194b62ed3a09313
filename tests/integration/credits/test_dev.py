"""The service on its embedded PostgreSQL: one command, what it says works, and it leaves nothing running."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaffinch_credits import embedded
from cluster.deadline import wait_until

COMMAND = [sys.executable, "-m", "chaffinch_credits", "dev"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the user of the embedded PostgreSQL reaches."""
    made = Path(tempfile.mkdtemp(prefix="chaffinch-dev-"))
    made.chmod(0o755)
    yield made / "own"
    shutil.rmtree(made)


def free() -> int:
    """A port."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextlib.contextmanager
def started(folder: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str], list[str]]]:
    """The command, the facts that it says, and its requests."""
    ports = ["--port", str(free()), "--admin-port", str(free())]
    with subprocess.Popen([*COMMAND, "--folder", str(folder), *ports], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines: list[str] = []
        try:
            while not lines or not lines[-1].startswith("Ctrl-C"):
                line = process.stdout.readline()
                assert line, lines
                lines.append(line.strip())
            words = [line.split() for line in lines if line]
            yield process, {w[0]: w[1] for w in words}, [line for line in lines if line.startswith("curl")]
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def curl(line: str) -> object:
    """Do what a line says, as curl would."""
    words = shlex.split(line)[1:]
    given = {flag: [words[n + 1] for n, w in enumerate(words) if w == flag] for flag in ("-H", "-d")}
    headers = dict(one.split(": ", 1) for one in given["-H"])
    data = given["-d"][0].encode() if given["-d"] else None

    def ask() -> bytes:
        with urllib.request.urlopen(urllib.request.Request(words[0], data, headers), timeout=10) as answer:
            return bytes(answer.read())

    wait_until(lambda: reached(words[0]), "the service to listen", seconds=20)
    return json.loads(ask())


def reached(url: str) -> bool:
    """Whether somebody listens."""
    host, port = url.split("/")[2].split(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


def test_what_it_says_works_and_is_kept(folder: Path) -> None:
    """Its requests make a transfer; after Ctrl-C nothing runs; the next start has the balance and the same key."""
    with started(folder) as (process, facts, requests):
        assert len(requests) == 2
        curl(requests[0])
        balance = curl(requests[1])
        assert isinstance(balance, dict)
        assert balance["balance"] == "100"
        pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])
    assert process.returncode == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with started(folder) as (_, again, requests):
        assert again["key"] == facts["key"]
        kept = curl(requests[1])
        assert isinstance(kept, dict)
        assert kept["balance"] == "100"
        second = subprocess.run([*COMMAND, "--folder", str(folder)], capture_output=True, text=True, check=False)
        assert (second.returncode, "is in use by another" in second.stderr) == (1, True)


def test_it_goes_on_after_it_was_killed(folder: Path) -> None:
    """The PostgreSQL that was left behind is ended first, and nothing is lost."""
    with started(folder) as (process, _, requests):
        curl(requests[0])
        process.kill()
        process.wait(20)
    with started(folder) as (_, _, requests):
        kept = curl(requests[1])
        assert isinstance(kept, dict)
        assert kept["balance"] == "100"


def test_help_says_what_it_is_for() -> None:
    """And that it is not for real credits."""
    said = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True).stdout
    assert "not for real credits" in " ".join(said.replace("│", " ").split())


def test_the_embedded_server_is_new_enough() -> None:
    """15 and later."""
    said = subprocess.run([embedded.binaries() / "postgres", "--version"], capture_output=True, text=True, check=True)
    assert int(said.stdout.rpartition(" ")[2].split(".")[0]) >= 15
