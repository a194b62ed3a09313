"""Other ways to keep a ledger on the same server, written for this comparison: one transaction a transfer.

`for_update`: six round trips with SELECT FOR UPDATE, as an application writes it. The functions do all in one call:
`advisory` under advisory locks, `row_locks` under ordered row locks, `conditional` by an UPDATE that finds nothing when
funds are missing. `row_chain` is row_locks with a hash over the row before, for which each waits for the one before.
All keep a balance per account and one row a transfer under a unique id; none has sequences, holds or as-of balances.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID

import asyncpg

from perf.credits import rig
from perf.credits.load import Plan, pairs, uuid7
from support.postgres import Postgres

CLIENTS = 16
_TABLES = """
CREATE TABLE balance (id integer PRIMARY KEY, amount bigint NOT NULL CHECK (amount >= 0)) WITH (fillfactor = 70);
CREATE TABLE moved (number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id uuid NOT NULL UNIQUE,
                    debit integer NOT NULL, credit integer NOT NULL, amount bigint NOT NULL, hash bytea);
CREATE TABLE chain (one boolean PRIMARY KEY DEFAULT true, hash bytea NOT NULL) WITH (fillfactor = 10);
INSERT INTO chain (hash) VALUES ('\\x00');
"""
_CHECKED = """
    UPDATE balance SET amount = amount - 1 WHERE id = $2 AND amount >= 1;
    IF NOT FOUND THEN RETURN false; END IF;
    UPDATE balance SET amount = amount + 1 WHERE id = $3;"""
_LOCK_ROWS = "PERFORM FROM balance WHERE id IN ($2, $3) ORDER BY id FOR UPDATE;"
_LOCK_ADVISORY = "PERFORM pg_advisory_xact_lock(least($2, $3)); PERFORM pg_advisory_xact_lock(greatest($2, $3));"
_MOVED = "INSERT INTO moved (id, debit, credit, amount) VALUES ($1, $2, $3, 1);"
_CHAINED = """
    SELECT sha256(c.hash || uuid_send($1) || int4send($2) || int4send($3)) INTO own FROM chain c FOR UPDATE;
    UPDATE chain SET hash = own;
    INSERT INTO moved (id, debit, credit, amount, hash) VALUES ($1, $2, $3, 1, own);"""
_IN_ORDER = """
    IF $2 < $3 THEN
        UPDATE balance SET amount = amount - 1 WHERE id = $2 AND amount >= 1;
        IF NOT FOUND THEN RETURN false; END IF;
        UPDATE balance SET amount = amount + 1 WHERE id = $3;
    ELSE
        UPDATE balance SET amount = amount + 1 WHERE id = $3;
        UPDATE balance SET amount = amount - 1 WHERE id = $2 AND amount >= 1;
        IF NOT FOUND THEN RAISE 'no funds'; END IF;
    END IF;"""
_BODIES = {
    "advisory": _LOCK_ADVISORY + _CHECKED + _MOVED,
    "row_locks": _LOCK_ROWS + _CHECKED + _MOVED,
    "conditional": _IN_ORDER + _MOVED,
    "row_chain": _LOCK_ROWS + _CHECKED + _CHAINED,
}
Transfer = Callable[[asyncpg.Connection, int, int], Awaitable[None]]


async def prepare(server: Postgres) -> str:
    """A database with the tables and functions; its DSN."""
    server.run("createdb", "--host", str(server.folder), "rivals")
    dsn = server.dsn.replace("/postgres?", "/rivals?")
    connection = await asyncpg.connect(dsn)
    await connection.execute(_TABLES)
    await connection.execute("INSERT INTO balance SELECT n, $1 FROM generate_series(1, $2) n", rig.FUNDS, rig.ACCOUNTS)
    for name, body in _BODIES.items():
        await connection.execute(
            f"CREATE FUNCTION {name}(uuid, integer, integer) RETURNS boolean LANGUAGE plpgsql AS "
            f"$body$ DECLARE own bytea; BEGIN {body} RETURN true; END $body$"
        )
    await connection.execute("ANALYZE")
    await connection.close()
    return dsn


async def for_update(connection: asyncpg.Connection, debit: int, credit: int) -> None:
    """BEGIN, lock and read both, two updates, insert, COMMIT."""
    async with connection.transaction():
        held = await connection.fetch(
            "SELECT id, amount FROM balance WHERE id IN ($1, $2) ORDER BY id FOR UPDATE", debit, credit
        )
        assert next(row["amount"] for row in held if row["id"] == debit) >= 1
        await connection.execute("UPDATE balance SET amount = amount - 1 WHERE id = $1", debit)
        await connection.execute("UPDATE balance SET amount = amount + 1 WHERE id = $1", credit)
        await connection.execute(
            "INSERT INTO moved (id, debit, credit, amount) VALUES ($1, $2, $3, 1)", UUID(uuid7()), debit, credit
        )


def function(name: str) -> Transfer:
    """One call of a function of the database."""

    async def call(connection: asyncpg.Connection, debit: int, credit: int) -> None:
        assert await connection.fetchval(f"SELECT {name}($1, $2, $3)", UUID(uuid7()), debit, credit)

    return call


WAYS: dict[str, Transfer] = {"for_update": for_update, **{name: function(name) for name in _BODIES}}


async def measure(dsn: str, way: str, plan: Plan) -> dict[str, Any]:
    """Transfers a second of one way, by CLIENTS connections; the first second is not counted."""
    connections = [await asyncpg.connect(dsn) for _ in range(CLIENTS)]
    begin = time.perf_counter() + plan.warm
    taken = list[float]()

    async def client(connection: asyncpg.Connection, drawn: Iterator[tuple[int, int]]) -> None:
        while (started := time.perf_counter()) < begin + plan.seconds:
            await WAYS[way](connection, *next(drawn))
            if started >= begin:
                taken.append(time.perf_counter() - started)

    drawn = pairs(plan)
    await asyncio.gather(*(client(connection, drawn) for connection in connections))
    for connection in connections:
        await connection.close()
    ordered = sorted(taken)
    return {
        "perSecond": round(len(taken) / plan.seconds, 1),
        "milliseconds": {
            "p50": round(ordered[len(ordered) // 2] * 1e3, 3),
            "p99": round(ordered[int(len(ordered) * 0.99)] * 1e3, 3),
        },
    }
