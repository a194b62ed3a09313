"""What is measured on: a durable PostgreSQL, its TPC-B rate P, and the service as a process of its own."""

import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from chaffinch_credits.ledger.body import hashed
from chaffinch_credits.ledger.decide import Group
from chaffinch_credits.ledger.requests import AnyRequest, Open, Transfer
from chaffinch_credits.store import ledgers
from chaffinch_credits.store.engine import Engine
from chaffinch_credits.store.ledgers import LedgerView
from chaffinch_credits.store.schema import SCHEMA
from integration.credits.process import Process, command, process
from perf.credits.load import Plan, uuid7
from support import postgres
from support.postgres import Postgres

SECONDS = float(os.environ.get("CHAFFINCH_BENCH_SECONDS", "5"))
"""How long each figure is measured."""
SCALE = int(os.environ.get("CHAFFINCH_BENCH_SCALE", "50"))
"""Of pgbench."""
ACCOUNTS = 10_000
FUNDS = 1_000_000_000
SETTINGS = ("shared_buffers=1GB", "max_wal_size=4GB", "max_connections=100")
"""Beside PostgreSQL's own defaults; fsync, synchronous_commit and full_page_writes stay on."""
_TPS = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_BATCH = 500


@contextlib.contextmanager
def server() -> Iterator[Postgres]:
    """A durable server with a pgbench database."""
    with postgres.running(settings=SETTINGS) as found:
        found.run("createdb", "--host", str(found.folder), "tpcb")
        found.run("pgbench", "--host", str(found.folder), "-i", "-q", "-s", str(SCALE), "tpcb")
        yield found


def tpcb(server: Postgres, seconds: float = SECONDS) -> float:
    """P: transactions a second of TPC-B, 16 clients, simple protocol."""
    said = server.run(
        "pgbench", "--host", str(server.folder), "-n", "-c16", "-j2", f"-T{max(1, round(seconds))}", "tpcb"
    )
    found = _TPS.search(said)
    assert found is not None, said
    return round(float(found[1]), 1)


async def ledger(server: Postgres, name: str) -> tuple[str, LedgerView]:
    """A new database with a ledger `shop`, whose accounts a1 to aN have more than they will spend; its DSN."""
    server.run("createdb", "--host", str(server.folder), name)
    dsn = server.dsn.replace("/postgres?", f"/{name}?")
    connection = await asyncpg.connect(dsn)
    await SCHEMA.migrate(connection)
    view = await ledgers.ensure(connection, "shop", {"CREDIT": 0})
    engine = Engine(connection, view.key, view.id)
    await fund(engine)
    await connection.execute("ANALYZE")
    await connection.close()
    return dsn, view


async def fund(engine: Engine) -> None:
    """Open a source and the accounts, and give each its funds."""
    wanted: list[AnyRequest] = [_open("source", allow_negative=True)]
    wanted += [_open(f"a{n}") for n in range(1, ACCOUNTS + 1)]
    wanted += [transfer("source", f"a{n}", FUNDS) for n in range(1, ACCOUNTS + 1)]
    for first in range(0, len(wanted), _BATCH):
        made = await engine.run([Group(tuple(wanted[first : first + _BATCH]))])
        assert all(reply.outcome == "ok" for reply in made.replies)


def _open(name: str, *, allow_negative: bool = False) -> AnyRequest:
    return hashed(Open(id=uuid4(), body_hash=b"", account=name, asset="CREDIT", allow_negative=allow_negative))


def transfer(debit: str, credit: str, amount: int = 1) -> AnyRequest:
    """A transfer of a new id, in order of time, as clients should choose them."""
    return hashed(Transfer(id=UUID(uuid7()), body_hash=b"", debit=debit, credit=credit, amount=amount))


def verifier_key(folder: Path, dsn: str) -> str:
    """The key that checks checkpoints; made with the service's own when there is none."""
    kept = folder / "verifier"
    if not kept.exists():
        kept.write_text(command(dsn, "keygen", "--key-file", str(folder / "key.pem")).stdout.strip())
    return kept.read_text()


@contextlib.contextmanager
def service(folder: Path, dsn: str) -> Iterator[Process]:
    """`chaffinch-credits serve`, one process, as it is deployed."""
    verifier_key(folder, dsn)
    with process(folder, dsn) as found:
        yield found


def load(plan: Plan) -> dict[str, Any]:
    """One run of the client in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "perf.credits.load"],
        input=json.dumps(asdict(plan)),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@dataclass(frozen=True, slots=True)
class Used:
    """What a process has used: seconds of processor, bytes of resident memory."""

    seconds: float
    resident: int

    @classmethod
    def by(cls, pid: int) -> "Used":
        """Of a process, now."""
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return cls(seconds, int(fields[21]) * os.sysconf("SC_PAGE_SIZE"))


def mean(rates: list[float]) -> float:
    """P of a part: the mean of what was measured before, between and after."""
    return round(statistics.mean(rates), 1)


def median(runs: list[dict[str, Any]]) -> float:
    """The median rate."""
    return float(statistics.median(run["perSecond"] for run in runs))
