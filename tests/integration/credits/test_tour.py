"""The tour of a ledger on a service of this machine: its figures, proofs and tampering, without a cluster."""

import asyncio
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from demo.ledger import Tour
from integration.credits.process import Process, command, process


@dataclass(frozen=True, slots=True)
class LocalLedger:
    """What the tour asks of a ledger, over a process and a PostgreSQL here."""

    service: Process
    dsn: str
    key: str
    name: str = "shop"

    def status(self) -> dict[str, Any]:
        """The part of the resource's status that the tour reads."""
        return {"verifierKey": self.key}

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One request."""
        url = f"http://127.0.0.1:{self.service.api}/v1/ledgers/{self.name}/{path}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        try:
            answer = urllib.request.urlopen(request, timeout=10)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            text = answer.read().decode()
            return answer.status, json.loads(text) if "json" in answer.headers["Content-Type"] else text

    def verify(self, key: str) -> tuple[int, str]:
        """The verifier's exit status and words."""
        done = command(self.dsn, "verify", self.name, "--key", key)
        return done.returncode, done.stdout + done.stderr

    def as_superuser(self, statement: str) -> str:
        """SQL past every trigger."""

        async def run() -> str:
            connection = await asyncpg.connect(self.dsn)
            try:
                if statement.startswith("SELECT"):
                    return str(await connection.fetchval(statement))
                return str(await connection.execute(statement))
            finally:
                await connection.close()

        return asyncio.run(run())


def test_the_tour_holds_and_names_the_entry_that_was_changed(dsn: str, tmp_path: Path) -> None:
    """Each line of it is checked against the ledger; after the change is undone the history is sound again."""
    made = command(dsn, "keygen", "--key-file", str(tmp_path / "key.pem"))
    told: list[str] = []
    with process(tmp_path, dsn) as service:
        ledger = LocalLedger(service, dsn, made.stdout.strip())
        tour = Tour(ledger, told.append)
        tour.use()
        tour.prove()
        assert tour.tamper() == tour.refund_seq
        tour.undo()
        assert ledger.verify(ledger.key)[0] == 0
    assert [line for line in told if "NOT SOUND" in line]
