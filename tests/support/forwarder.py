"""`python forwarder.py PORT HOST PORT`: a TCP forwarder on loopback, whose end is an outage of what lies behind.

A program of its own, standard library only: it runs inside the cluster's network.
"""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_CHUNK = 65536
_SECONDS = 15.0


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _serve(port: int, host: str, to: int) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(host, to)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, back), _copy(there, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


class Forwarder:
    """The program, started where `prefix` leads; `stop` and `start` again on the same port."""

    def __init__(self, goal: str, prefix: Sequence[str]) -> None:
        host, _, port = goal.rpartition(":")
        self._prefix, self._goal = list(prefix), [host, port]
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """host:port to use instead of the goal."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Forward from now on."""
        # -I: without this folder on its path, whose module `operator` would hide Python's own
        command = [*self._prefix, sys.executable, "-I", str(Path(__file__)), str(self.port), *self._goal]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if not said:
            self.stop()
            raise AssertionError("the forwarder did not start")
        self.port = int(said)

    def stop(self) -> None:
        """Refuse connections from now on, and break those there are."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_SECONDS)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
