"""The credits service on a durable PostgreSQL of this machine: rates as multiples of P, its TPC-B rate in the same run.

Goals have the numbers of the design. That every answer is right, and that what was written verifies, is asserted; how
fast it is is written down. CHAFFINCH_BENCH_SECONDS, _SCALE, _REQUESTS and _LEAVES make it shorter, or longer.
"""

import os
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import uvloop

from chaffinch_credits.store.engine import Engine
from integration.credits.process import Process
from perf import figures
from perf.credits import inside, proofs, repeats, rig, rivals
from perf.credits.goals import Goal
from perf.credits.load import Plan
from support.postgres import Postgres

ROUNDS = 3
SIZES = (1, 10, 50, 100, 200, 500)
BATCH = 200
"""The size of batches without HTTP that goals speak of."""
REQUESTS = int(os.environ.get("CHAFFINCH_BENCH_REQUESTS", "50000"))
"""Of the run with repetitions; the long one has a million."""
IDLE = 1


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """One for all parts."""
    with rig.server() as found:
        yield found


@dataclass(slots=True)
class Run:
    """One part of the bench: what was measured, and P each time that it was asked for."""

    server: Postgres
    before: dict[str, Any] = field(default_factory=figures.machine)
    rates: list[float] = field(default_factory=list)

    def pace(self) -> None:
        """Measure P."""
        self.rates.append(rig.tpcb(self.server))

    @property
    def p(self) -> float:
        """P of this part."""
        return statistics.mean(self.rates)

    def write(self, part: str, what: str, goals: list[Goal], **raw: Any) -> None:
        """Add the part to build/bench/credits.json."""
        settings = {"seconds": rig.SECONDS, "accounts": rig.ACCOUNTS, "pgbenchScale": rig.SCALE, "rounds": ROUNDS}
        content = {
            "what": what,
            "settings": settings | {"postgres": list(rig.SETTINGS)},
            "P": round(self.p, 1),
            "pgbench": self.rates,
            "goals": [goal.as_json() for goal in goals],
        }
        figures.add("credits", part, self.before, content | raw)


def again(work: Callable[[], dict[str, Any]], run: Run) -> list[dict[str, Any]]:
    """ROUNDS rounds, with P measured after each."""
    found = []
    for _ in range(ROUNDS):
        found.append(work())
        run.pace()
    return found


def loaded(service: Process, plan: Plan) -> dict[str, Any]:
    """One run of the client, with what it cost the service; every request must have been answered well."""
    before = rig.Used.by(service.pid)
    found = rig.load(plan)
    after = rig.Used.by(service.pid)
    assert found["statuses"], "nothing was answered"
    assert all(status in {"200", "201"} for status in found["statuses"]), found["statuses"]
    seconds = after.seconds - before.seconds
    return found | {
        "serviceCores": round(seconds / (plan.seconds + plan.warm), 3),
        "serviceMegabytes": after.resident >> 20,
    }


def test_requests(server: Postgres, tmp_path: Path) -> None:
    """Transfers over HTTP, one process: single, in batches, on a hot account, skewed, at half load, idle; and reads."""
    run = Run(server)
    dsn, _ = uvloop.run(rig.ledger(server, "requests"))
    seconds = rig.SECONDS
    with rig.service(tmp_path, dsn) as service:
        port = service.api
        run.pace()
        single = again(lambda: loaded(service, Plan(port, seconds)), run)
        batched = again(lambda: loaded(service, Plan(port, seconds, connections=8, each=50)), run)
        skewed = again(lambda: loaded(service, Plan(port, seconds, zipf=2.0)), run)
        hot = loaded(service, Plan(port, seconds, hot=True))
        many = loaded(service, Plan(port, seconds, connections=256))
        half = Plan(port, seconds * 2, rate=rig.median(single) / 2, connections=256)
        opened = loaded(service, half)
        idle = loaded(service, Plan(port, seconds, connections=IDLE))
        read = loaded(service, Plan(port, seconds, connections=IDLE, reads=True))
        reads = loaded(service, Plan(port, seconds, connections=16, reads=True))
        run.pace()
    verified = proofs.verification(tmp_path, dsn)
    per_core = reads["perSecond"] / max(reads["serviceCores"], 0.01)
    goals = [
        Goal("G1", "transfers/s, single POST, 64 connections", "P", 3.5, 5, rig.median(single) / run.p),
        Goal("G2", "transfers/s, 50 in a POST, 8 connections", "P", 6, 9, rig.median(batched) / run.p),
        Goal("G4", "Zipf s=2 to uniform", "times", 0.9, 1.2, rig.median(skewed) / rig.median(single)),
        Goal("G5", "p99 at half of G1's rate, open loop", "ms", 15, 8, opened["milliseconds"]["p99"], less=True),
        Goal(
            "G6", "p50 of single POSTs, idle, seen by the client", "ms", 3, 1.5, idle["milliseconds"]["p50"], less=True
        ),
        Goal("G9", "p50 of a balance read, seen by the client", "ms", 0.5, 0.3, read["milliseconds"]["p50"], less=True),
        Goal("G9 rate", "balance reads a second per core of the service", "1/s", 5000, 8000, per_core),
    ]
    run.write(
        "requests",
        "one service process over HTTP; client, service and PostgreSQL share the machine's cores",
        goals,
        single=single,
        batches=batched,
        zipf=skewed,
        hotAccount=hot,
        connections256=many,
        openLoopAtHalf=opened,
        idle=idle,
        balanceRead=read,
        balanceReads16=reads,
        verifiedAfterwards=verified,
    )


def test_batches(server: Postgres, tmp_path: Path) -> None:
    """The writer alone by size of batch, without the audit for comparison, its bytes a transfer, and verification."""
    run = Run(server)
    dsn, view = uvloop.run(rig.ledger(server, "batches"))
    bare_dsn, bare_view = uvloop.run(rig.ledger(server, "unaudited"))
    plan = Plan(0, rig.SECONDS)
    run.pace()
    curve = [uvloop.run(inside.batches(dsn, view, size, plan)) for size in SIZES]
    run.pace()
    audited, bare = list[dict[str, Any]](), list[dict[str, Any]]()
    for _ in range(ROUNDS):
        audited.append(uvloop.run(inside.batches(dsn, view, BATCH, plan)))
        bare.append(uvloop.run(inside.batches(bare_dsn, bare_view, BATCH, plan, inside.Unaudited)))
        run.pace()
    size = uvloop.run(_bytes(dsn))
    zipf = uvloop.run(inside.batches(dsn, view, BATCH, Plan(0, rig.SECONDS, zipf=2.0)))
    hot = uvloop.run(inside.batches(dsn, view, BATCH, Plan(0, rig.SECONDS, hot=True)))
    verified = [proofs.verification(tmp_path, dsn) for _ in range(2)]
    each = size[0] / size[1]
    speed = max(one["perCoreSecondOfVerifier"] for one in verified)
    goals = [
        Goal("G3", f"transfers/s, batches of {BATCH}, no HTTP", "P", 6, 9, rig.median(audited) / run.p),
        Goal("G7", "audit on to audit off, same indexes", "times", 0.6, 0.8, rig.median(audited) / rig.median(bare)),
        Goal("G10", "entries verified a second and core of the verifier", "1/s", 200_000, 500_000, speed),
        Goal("G15", "bytes a transfer, with audit and all indexes", "bytes", 400, 300, each, less=True),
    ]
    run.write(
        "batches",
        "one writer on one connection, batches one after the other, no HTTP",
        goals,
        bySize=curve,
        audited=audited,
        unaudited=bare,
        zipf=zipf,
        hotAccount=hot,
        verification=verified,
    )


async def _bytes(dsn: str) -> tuple[int, int]:
    """Bytes of entries and blocks with their indexes, and the number of entries."""
    connection = await asyncpg.connect(dsn)
    found = await connection.fetchrow(
        "SELECT pg_total_relation_size('entry') + pg_total_relation_size('block') AS bytes, count(*) AS n FROM entry"
    )
    await connection.close()
    assert found is not None
    return found["bytes"], found["n"]


def test_rivals(server: Postgres) -> None:
    """Other ways on the same server, and how many times faster ours is, through HTTP and without."""
    run = Run(server)
    dsn, view = uvloop.run(rig.ledger(server, "beside"))
    other = uvloop.run(rivals.prepare(server))
    uniform, hot, zipf = (Plan(0, rig.SECONDS, **kind) for kind in ({}, {"hot": True}, {"zipf": 2.0}))
    ways = dict[str, dict[str, Any]]()
    run.pace()
    for way in rivals.WAYS:
        ways[way] = {"uniform": uvloop.run(rivals.measure(other, way, uniform))}
    for way in ("for_update", "advisory", "row_locks"):
        ways[way]["hotAccount"] = uvloop.run(rivals.measure(other, way, hot))
    ways["for_update"]["zipf"] = uvloop.run(rivals.measure(other, "for_update", zipf))
    run.pace()
    ours = uvloop.run(inside.batches(dsn, view, BATCH, uniform, Engine))
    run.pace()
    rate = {way: found["uniform"]["perSecond"] for way, found in ways.items()}
    goals = [
        Goal("G8", "our batches to a per-row global chain", "times", 5, 8, ours["perSecond"] / rate["row_chain"]),
        Goal(
            "G16 without HTTP",
            "our batches to FOR UPDATE over six round trips, our own faithful baseline",
            "times",
            8,
            12,
            ours["perSecond"] / rate["for_update"],
        ),
    ]
    run.write(
        "rivals",
        f"one transaction a transfer, {rivals.CLIENTS} connections; written for this comparison",
        goals,
        ways=ways,
        ours=ours,
        advisoryToRowLocks={
            load: round(ways["advisory"][load]["perSecond"] / ways["row_locks"][load]["perSecond"], 3)
            for load in ("uniform", "hotAccount")
        },
        zipfToUniformOfForUpdate=round(ways["for_update"]["zipf"]["perSecond"] / rate["for_update"], 3),
    )


def test_repetitions(server: Postgres, tmp_path: Path) -> None:
    """Requests of which 30 % repeat an id, some with another body, at once: each id is done once, for good (G14)."""
    run = Run(server)
    dsn, _ = uvloop.run(rig.ledger(server, "repeats"))
    with rig.service(tmp_path, dsn) as service:
        answers = uvloop.run(repeats.send(service.api, REQUESTS, 64, rig.ACCOUNTS))
    run.pace()
    wrong = answers.wrong()
    assert not wrong, (len(wrong), answers.by_id[wrong[0]])
    assert uvloop.run(_transfers(dsn)) == len(answers.by_id)
    verified = proofs.verification(tmp_path, dsn)
    run.write(
        "repetitions",
        "each id was done by one body, once; all other bodies were refused; the database has an entry for each id",
        [Goal("G14", "ids done twice, or answered wrongly", "ids", 0, 0, len(wrong), less=True)],
        answers=answers.summary(),
        verifiedAfterwards=verified,
    )


async def _transfers(dsn: str) -> int:
    """Transfers that were done, but those that funded the accounts."""
    connection = await asyncpg.connect(dsn)
    found: int = await connection.fetchval("SELECT count(*) FROM entry WHERE kind = 3 AND outcome = 0")
    await connection.close()
    return found - rig.ACCOUNTS


def test_proofs(server: Postgres, tmp_path: Path) -> None:
    """Inclusion proofs out of a tree of ten million leaves."""
    run = Run(server)
    dsn, _ = uvloop.run(rig.ledger(server, "proofs"))
    uvloop.run(proofs.grow_tree(dsn))
    with rig.service(tmp_path, dsn) as service:
        found = proofs.inclusion(service.api)
    run.pace()
    goals = [
        Goal("G11", "p50 of an inclusion proof over HTTP", "ms", 5, 2, found["milliseconds"]["p50"], less=True),
        Goal("G11 size", "bytes of the hashes of a proof", "bytes", 1024, 1024, found["mostBytes"], less=True),
    ]
    run.write("proofs", "proofs of random entries, one request after the other", goals, inclusion=found)
