"""A Redis server of a test's own, on a Unix socket: started, killed, started again."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cluster.deadline import wait_until

_SECONDS = 20.0


class RedisServer:
    """A running server, without anything on disk."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """How clients reach it."""
        return f"unix://{self._socket}"

    def start(self) -> None:
        """Start it, empty, and wait until it listens. LookupError names the Debian package when there is none."""
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            raise LookupError("there is no Redis server: apt-get install redis-server")
        settings = ["--port", "0", "--unixsocket", str(self._socket), "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen([program, *settings], stdout=subprocess.DEVNULL)
        wait_until(self._listens, "Redis to listen", seconds=_SECONDS, poll=0.02)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_SECONDS)
            self._process = None
            self._socket.unlink(missing_ok=True)

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self._socket))
            return True
        return False


@contextlib.contextmanager
def running() -> Iterator[RedisServer]:
    """A server for the length of the block."""
    folder = Path(tempfile.mkdtemp(prefix="chaffinch-redis-"))
    server = RedisServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)
