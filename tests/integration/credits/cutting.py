"""A proxy before PostgreSQL that breaks a connection at the COMMIT of a chosen batch, before or after it is done."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MARK = b"cut-here"
"""A batch that carries this, such as in its metadata, is the one whose COMMIT is cut."""
_SOCKET = ".s.PGSQL.5432"
_CHUNK = 65536


@dataclass
class Cutting:
    """How to cut, and how often it was done."""

    when: Literal["before", "after"]
    times: int = 1
    cuts: int = 0


@contextlib.asynccontextmanager
async def cutting(dsn: str, how: Cutting) -> AsyncIterator[str]:
    """The DSN that leads through the proxy."""
    folder = Path(dsn.partition("host=")[2].partition("&")[0])
    with tempfile.TemporaryDirectory(prefix="cut-") as own:

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_unix_connection(str(folder / _SOCKET))
            both = {
                asyncio.create_task(_forth(reader, back, writer, how)),
                asyncio.create_task(_copy(there, writer)),
            }
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            for each in (writer, back):
                each.close()

        server = await asyncio.start_unix_server(connected, f"{own}/{_SOCKET}")
        try:
            yield dsn.replace(str(folder), own)
        finally:
            server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


async def _forth(
    reader: asyncio.StreamReader,
    back: asyncio.StreamWriter,
    writer: asyncio.StreamWriter,
    how: Cutting,
) -> None:
    """From the client to the server; ends where it is cut. The answer to a COMMIT that is cut never arrives."""
    marked = False
    while data := await reader.read(_CHUNK):
        marked = marked or MARK in data
        cut = marked and b"COMMIT" in data and how.cuts < how.times
        if cut:
            how.cuts += 1
            if how.when == "before":
                return
            writer.transport.abort()
        back.write(data)
        await back.drain()
        if cut:
            await asyncio.sleep(0.2)  # let the server finish what it was told
            return
