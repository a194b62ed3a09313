"""A PostgreSQL server of a test's own: a new data folder, a Unix socket; durable, or fast."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from cluster.deadline import wait_until

_VERSIONS = Path("/usr/lib/postgresql")
_USER = "postgres"
_SECONDS = 30.0


def binaries() -> Path:
    """Where the newest installed server is. LookupError names the Debian package when there is none."""
    found = sorted(_VERSIONS.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise LookupError("there is no PostgreSQL server: apt-get install postgresql")
    return found[-1].parent


class Postgres:
    """A running server; `kill` and `start` may be repeated on the same data, if it is durable."""

    def __init__(self, folder: Path, *, durable: bool = True, settings: Sequence[str] = ()) -> None:
        self.folder = folder
        self._settings = [f"unix_socket_directories={folder}", "listen_addresses=", *settings]
        if not durable:
            self._settings += ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """How the superuser reaches it."""
        return f"postgresql://{_USER}@/postgres?host={self.folder}"

    def create(self) -> None:
        """Make the data folder."""
        self.run("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", f"--pgdata={self.folder / 'data'}")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = [part for setting in self._settings for part in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(binaries() / "postgres"), "-D", str(self.folder / "data"), *options],
                user=_USER,
                group=_USER,
                extra_groups=[],
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=self.folder,
            )
        wait_until(self._answers, "PostgreSQL to answer", seconds=_SECONDS, poll=0.05)

    def kill(self) -> None:
        """End it at once, without a checkpoint: what was committed must be there when it starts again."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(_SECONDS)
            self._process = None

    def _answers(self) -> bool:
        asked = [str(binaries() / "pg_isready"), "--quiet", f"--host={self.folder}"]
        return subprocess.run(asked, check=False).returncode == 0

    def run(self, program: str, *arguments: str) -> str:
        """Run one of PostgreSQL's programs as its user; what it says."""
        return subprocess.run(
            [str(binaries() / program), *arguments],
            check=True,
            user=_USER,
            group=_USER,
            extra_groups=[],
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        ).stdout


@contextlib.contextmanager
def running(*, durable: bool = True, settings: Sequence[str] = ()) -> Iterator[Postgres]:
    """A server for the length of the block. settings: more of them, as NAME=VALUE."""
    folder = Path(tempfile.mkdtemp(prefix="chaffinch-postgres-"))
    shutil.chown(folder, _USER, _USER)
    os.chmod(folder, 0o700)  # noqa: PTH101 - before anything is in it
    server = Postgres(folder, durable=durable, settings=settings)
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)
