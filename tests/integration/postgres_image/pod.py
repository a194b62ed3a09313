"""The scripts of the PostgreSQL image with the settings and the user that they have in pods, in folders of a test."""

import os
import shutil
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.deadline import wait_until
from support.postgres import binaries

SCRIPTS = Path(__file__).parents[3] / "containers" / "postgres"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Instance:
    """A volume with a database that archives to a repository, and what a pod would set for the image's scripts."""

    folder: Path
    repository: Path
    passphrase: str = "word"
    settings: dict[str, str] = field(default_factory=dict)
    """Of pgBackRest, instead of those for a repository in a folder."""
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def environ(self) -> dict[str, str]:
        """Of every container."""
        settings = {
            "STANZA": "ledger",
            "PG1_PATH": f"{self.folder}/data/pgdata",
            "PG1_SOCKET_PATH": f"{self.folder}/data/run",
            "PG1_PORT": str(self.port),
            "PG1_USER": "postgres",
            "LOCK_PATH": f"{self.folder}/data/lock",
            "LOG_LEVEL_FILE": "off",
            "COMPRESS_TYPE": "zst",
            "REPO1_PATH": str(self.repository),
            "REPO1_CIPHER_TYPE": "aes-256-cbc",
            "REPO1_CIPHER_PASS": self.passphrase,
            "REPO1_RETENTION_FULL_TYPE": "time",
            "REPO1_RETENTION_FULL": "30",
        }
        return {f"PGBACKREST_{key}": value for key, value in settings.items()} | {
            "PATH": f"{binaries()}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            **self.settings,
            "TMPDIR": str(self.folder),
            "PGDATA": f"{self.folder}/data/pgdata",
            "PGPORT": str(self.port),
            "POSTGRES_USER": "credits",
            "POSTGRES_DB": "credits",
            "POSTGRES_PASSWORD_FILE": f"{self.folder}/password",
            "TERMINATION_LOG": f"{self.folder}/last-words",
        }

    def _as_postgres(self, environ: dict[str, str] | None = None) -> dict[str, Any]:
        """Options of a process."""
        environ = {**self.environ, **(environ or {})}
        return {"env": environ, "cwd": self.folder, "user": "postgres", "group": "postgres", "extra_groups": []}

    def start(self, password: str = "first") -> None:
        """The database's container."""
        (self.folder / "password").write_text(password)
        self._process = subprocess.Popen(
            ["/bin/sh", str(self.folder / "scripts/entrypoint.sh"), "postgres"], **self._as_postgres()
        )
        wait_until(lambda: self._ask("SELECT 1") == "1", "PostgreSQL to answer", seconds=60)

    def end(self) -> None:
        """As kubelet ends it: what was written is archived."""
        if self._process is not None:
            self._process.send_signal(2)
            self._process.wait(60)
            self._process = None

    def run(self, script: str, **environ: str) -> str:
        """One of the image's scripts to its end; empty, or its last words when it failed."""
        ended = subprocess.run(
            ["/bin/bash", str(self.folder / "scripts" / script)], **self._as_postgres(environ), timeout=120, check=False
        )
        return (self.folder / "last-words").read_text() if ended.returncode else ""

    def restore(self, moment: str, request: str = "shop") -> str:
        """Fill the volume anew, as of a moment."""
        return self.run("restore.sh", RESTORE_TIME=moment, RESTORE_REQUEST=request)

    def lose(self) -> None:
        """The volume is empty."""
        self.end()
        shutil.rmtree(self.folder / "data")
        self.make("data")

    def make(self, *names: str) -> None:
        """Folders that belong to the database's user."""
        for name in names:
            (self.folder / name).mkdir()
            shutil.chown(self.folder / name, "postgres", "postgres")

    def pay(self, amount: int) -> str:
        """Write; the time afterwards, as PostgreSQL has it."""
        self.sql(f"INSERT INTO paid VALUES ({amount})")
        return self.sql("SELECT clock_timestamp()")

    def paid(self, password: str) -> str:
        """All that was written, as the service reads it, by password."""
        dsn = f"postgresql://credits:{password}@127.0.0.1:{self.port}/credits"
        self.sql("GRANT SELECT ON paid TO credits")
        return subprocess.run(
            [binaries() / "psql", dsn, "-qAtc", "SELECT string_agg(amount::text, ' ') FROM paid"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    def sql(self, statement: str) -> str:
        """As the superuser."""
        answer = self._psql(statement)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.strip()

    def _ask(self, statement: str) -> str:
        return self._psql(statement).stdout.strip()

    def _psql(self, statement: str) -> subprocess.CompletedProcess[str]:
        socket_folder = f"--host={self.folder}/data/run"
        command = ["psql", socket_folder, "--username=postgres", "--dbname=credits", "-qAtc", statement]
        return subprocess.run(command, **self._as_postgres(), capture_output=True, text=True, check=False)
