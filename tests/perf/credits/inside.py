"""The writer without HTTP: batches of transfers as fast as one connection takes them, with and without the audit."""

import itertools
import time
from typing import Any

import asyncpg

from chaffinch_credits.audit.canonical import GENESIS, Block
from chaffinch_credits.ledger.book import Book
from chaffinch_credits.ledger.decide import Decisions, Group
from chaffinch_credits.store.engine import Engine
from chaffinch_credits.store.ledgers import LedgerView
from chaffinch_credits.store.write import write
from perf.credits import rig
from perf.credits.load import Plan, pairs

WARM = 0.2
"""Share of the time that is not counted: the book is filled in it."""


class Unaudited(Engine):
    """The same writer without hashes and chain; tables, columns and indexes are the same.

    For the comparison alone: nothing that it writes can be verified.
    """

    async def _close(self, head: asyncpg.Record, page: Book, made: Decisions) -> None:
        first, last = made.entries[0].seq, made.entries[-1].seq
        block = Block(head["block_number"] + 1, first, last, GENESIS, GENESIS)
        await write(self.connection, self.key, page, made.entries, [GENESIS] * len(made.entries), block)


async def batches(dsn: str, view: LedgerView, size: int, plan: Plan, kind: type[Engine] = Engine) -> dict[str, Any]:
    """Batches of one size, one after the other on one connection; requests are made while the clock stands."""
    connection = await asyncpg.connect(dsn)
    engine, drawn = kind(connection, view.key, view.id), pairs(plan)
    taken = list[float]()
    spent, warm = 0.0, plan.seconds * WARM
    while spent < plan.seconds + warm:
        ready = [Group((rig.transfer(f"a{d}", f"a{c}"),)) for d, c in itertools.islice(drawn, size)]
        started = time.perf_counter()
        done = await engine.run(ready)
        took = time.perf_counter() - started
        assert len(done.entries) == size
        if spent >= warm:
            taken.append(took)
        spent += took
    await connection.close()
    ordered = sorted(taken)
    return {
        "size": size,
        "perSecond": round(size * len(taken) / sum(taken), 1),
        "milliseconds": {
            "p50": round(ordered[len(ordered) // 2] * 1e3, 3),
            "p99": round(ordered[int(len(ordered) * 0.99)] * 1e3, 3),
        },
    }
