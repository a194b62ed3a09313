"""One client of HTTP/1.1: a connection that is kept, or a new one for each request."""

import asyncio
from dataclasses import dataclass

from support.load.outcome import Outcome, answered, broken

CONNECT_SECONDS = 5.0
MAX_BODY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Goal:
    """Where requests go."""

    address: str
    port: int
    host: str
    path: str = "/"
    timeout_seconds: float = 10.0

    def request(self, *, keep: bool) -> bytes:
        """The request; without `keep` the other side is asked to close."""
        connection = "keep-alive" if keep else "close"
        return (
            f"GET {self.path} HTTP/1.1\r\nhost: {self.host}\r\nuser-agent: chaffinch-load\r\n"
            f"connection: {connection}\r\n\r\n"
        ).encode()


class Client:
    """Sends one request at a time."""

    def __init__(self, goal: Goal) -> None:
        self._goal = goal
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, *, keep: bool) -> Outcome:
        """Send a request and judge what comes; never raises for what the network does."""
        try:
            async with asyncio.timeout(self._goal.timeout_seconds):
                return await self._exchange(keep=keep)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            self.close()
            return broken(error)

    def close(self) -> None:
        """End the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _exchange(self, *, keep: bool) -> Outcome:
        reader, writer = self._streams = self._streams or await self._connect()
        writer.write(self._goal.request(keep=keep))
        head = await reader.readuntil(b"\r\n\r\n")
        status, headers = parse_head(head)
        length = int(headers.get("content-length", "-1"))
        if not 0 <= length <= MAX_BODY_BYTES:
            raise ValueError("an answer without a usable length")
        body = await reader.readexactly(length)
        if not keep or headers.get("connection", "").lower() == "close":
            self.close()
        return answered(status, headers, body)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await asyncio.open_connection(self._goal.address, self._goal.port)


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer; ValueError when it is none."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1."):
        raise ValueError(f"no answer of HTTP/1.1: {lines[0][:80]!r}")
    pairs = (line.partition(":") for line in lines[1:] if line)
    return int(words[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}
