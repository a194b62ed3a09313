"""The real process: `chaffinch-credits serve`, configured by its environment."""

import contextlib
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cluster.deadline import wait_until

_COMMAND = [sys.executable, "-m", "chaffinch_credits"]
_SECONDS = 30.0


def command(dsn: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    environ = {**os.environ, "CHAFFINCH_CREDITS_DSN": dsn}
    return subprocess.run([*_COMMAND, *arguments], check=False, capture_output=True, text=True, env=environ)


@dataclass(slots=True)
class Process:
    """A service with its settings; `start`, `end` and `kill` may be repeated."""

    environ: dict[str, str]
    api: int
    admin: int
    _running: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self._running is not None
        return self._running.pid

    def start(self, *, ready: bool = True) -> None:
        """Start it, and wait until it is ready."""
        self._running = subprocess.Popen([*_COMMAND, "serve"], env=self.environ)
        if ready:
            wait_until(
                lambda: self.admin_says("readyz")[0] == 200, "the service to be ready", seconds=_SECONDS, poll=0.02
            )

    def end(self) -> int:
        """SIGTERM; its exit status."""
        assert self._running is not None
        self._running.terminate()
        return self._running.wait(_SECONDS)

    def kill(self) -> None:
        """SIGKILL."""
        assert self._running is not None
        self._running.kill()
        self._running.wait(_SECONDS)

    def admin_says(self, path: str) -> tuple[int, str]:
        """Status and text of the admin port; 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""


@contextlib.contextmanager
def process(folder: Path, dsn: str, **settings: str) -> Iterator[Process]:
    """A service that is ready, over a ledger `shop`; it ends with the block."""
    key, dsn_file = folder / "key.pem", folder / "dsn"
    if not key.exists():
        assert command(dsn, "keygen", "--key-file", str(key)).returncode == 0
    dsn_file.write_text(f"{dsn}\n")
    assert command(dsn, "ensure", "shop", "--asset", "CREDIT=0").returncode == 0
    api, admin = _free_port(), _free_port()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CHAFFINCH_CREDITS_")}
    found = {"DSN_FILE": str(dsn_file), "KEY_FILE": str(key), "PORT": str(api), "ADMIN_PORT": str(admin), **settings}
    service = Process({**environ, **{f"CHAFFINCH_CREDITS_{name}": value for name, value in found.items()}}, api, admin)
    service.start()
    try:
        yield service
    finally:
        service.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
