"""The ledger in a real PostgreSQL says and holds what the ledger in memory does."""

import asyncio
import uuid
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaffinch_credits.audit import canonical
from chaffinch_credits.ledger.decide import Group
from chaffinch_credits.ledger.entries import Entry, Reply
from chaffinch_credits.ledger.words import OUTCOME_NUMBERS, OUTCOMES, Kind, Outcome
from chaffinch_credits.store.engine import Engine
from unit.credits.builders import World, request
from unit.credits.strategies import Batches, batches

SOON = st.one_of(st.none(), st.just(1), st.just(2**62))
"""Never, long ago, or in the far future: the database's clock is its own."""
FIRST = [
    request("open", 901, account="source", asset="CREDIT", allow_negative=True),
    request("open", 902, account="alice", asset="CREDIT"),
    request("open", 903, account="bob", asset="CREDIT"),
    request("transfer", 904, debit="source", credit="alice", amount=100),
]


async def opened(connection: asyncpg.Connection) -> Engine:
    """An engine on a new ledger."""
    ledger = uuid.uuid4()
    key = await connection.fetchval(
        "INSERT INTO ledger (id, name) VALUES ($1, $2) RETURNING key", ledger, f"l{ledger.hex[:12]}"
    )
    await connection.execute("INSERT INTO ledger_head (ledger) VALUES ($1)", key)
    return Engine(connection, key, ledger)


async def ask(engine: Engine, what: str, number: int, **fields: Any) -> Outcome:
    """One request."""
    made = await engine.run([Group((request(what, number, **fields),))])
    return made.replies[0].outcome


async def run(engine: Engine, given_batches: Batches, *, forget: bool = False) -> tuple[list[Entry], list[Reply]]:
    """All batches; with `forget` every one by a writer that remembers nothing."""
    entries, replies = [], []
    for asked, atomic, _ in [(FIRST, False, 0), *given_batches]:
        writer = Engine(engine.connection, engine.key, engine.ledger) if forget else engine
        made = await writer.run([Group(tuple(asked), atomic)])
        entries += made.entries
        replies += made.replies
    return entries, replies


def in_memory(given_batches: Batches, entries: list[Entry]) -> World:
    """The same batches in memory, at the times that the database gave."""
    world, times = World(), {e.id: e.created_at for e in entries}
    for asked, atomic, _ in [(FIRST, False, 0), *given_batches]:
        world.now = next((times[r.id] for r in asked if r.id in times and world.book.known(r.id) is None), world.now)
        world.batch(*asked, atomic=atomic)
    return world


async def stored(connection: asyncpg.Connection, key: int) -> list[Entry]:
    """All entries as they lie in the database."""
    rows = await connection.fetch(
        "SELECT seq, id, kind, outcome, target, debit, credit, amount, debit_balance, debit_held, credit_balance, "
        "credit_held, code, priority, effective_at, created_at, expires_at, body_hash FROM entry "
        "WHERE ledger = $1 ORDER BY seq",
        key,
    )
    return [Entry(r[0], r[1], Kind(r[2]), OUTCOMES[r[3]], *tuple(r)[4:]) for r in rows]


@pytest.mark.asyncio
async def test_a_transfer_is_written(connection: asyncpg.Connection) -> None:
    """Entry, balances, block and head."""
    engine = await opened(connection)
    await engine.run([Group(tuple(FIRST))])
    assert await ask(engine, "transfer", 3, debit="alice", credit="bob", amount=70) is Outcome.OK
    assert await ask(engine, "transfer", 4, debit="alice", credit="bob", amount=31) is Outcome.INSUFFICIENT_FUNDS
    rows = await connection.fetch("SELECT name, credits - debits AS balance, version FROM account ORDER BY number")
    assert [tuple(r) for r in rows] == [("source", -100, 4), ("alice", 30, 5), ("bob", 70, 5)]
    assert await connection.fetchval("SELECT (next_seq, block_number) FROM ledger_head") == (7, 3)
    outcome = await connection.fetchval("SELECT outcome FROM entry WHERE seq = 6")
    assert outcome == OUTCOME_NUMBERS[Outcome.INSUFFICIENT_FUNDS]


@pytest.mark.parametrize("forget", [False, True])
def test_the_database_decides_as_the_memory_does(dsn: str, forget: bool) -> None:
    """Whatever is asked: same entries, same balances, same replies, with and without a book kept between batches."""

    @settings(max_examples=40)
    @given(batches(SOON, most=12))
    def check(given_batches: Batches) -> None:
        asyncio.run(compare(dsn, given_batches, forget=forget))

    check()


async def compare(dsn: str, given_batches: Batches, *, forget: bool) -> None:
    """Run both and look at everything."""
    connection = await asyncpg.connect(dsn)
    try:
        engine = await opened(connection)
        entries, replies = await run(engine, given_batches, forget=forget)
        world = in_memory(given_batches, entries)
        assert entries == world.entries == await stored(connection, engine.key)
        rows = await connection.fetch(
            "SELECT name, credits - debits, held, version FROM account WHERE ledger = $1", engine.key
        )
        assert {r[0]: tuple(r)[1:] for r in rows} == {
            name: (a.balance, a.held, a.version) for name, a in world.book.accounts.items()
        }
        assert len(replies) == sum(len(asked) for asked, _, _ in given_batches) + len(FIRST)
        await check_chain(connection, engine)
    finally:
        await connection.close()


async def check_chain(connection: asyncpg.Connection, engine: Engine) -> None:
    """Every leaf and block is what its entries say."""
    entries = await stored(connection, engine.key)
    leaves = [canonical.leaf_hash(engine.ledger, e) for e in entries]
    kept = await connection.fetch("SELECT leaf FROM entry WHERE ledger = $1 ORDER BY seq", engine.key)
    assert leaves == [r["leaf"] for r in kept]
    previous = canonical.GENESIS
    for row in await connection.fetch("SELECT * FROM block WHERE ledger = $1 ORDER BY number", engine.key):
        within = leaves[row["first"] - 1 : row["last"]]
        block = canonical.seal(engine.ledger, row["number"], row["first"], within, previous)
        assert (block.hash, block.last) == (row["hash"], row["last"])
        previous = block.hash


async def wait_until_swept(engine: Engine) -> None:
    """Sweep until something was due."""
    async with asyncio.timeout(20):
        while not await engine.sweep():
            await engine.connection.execute("SELECT pg_sleep(0.05)")


@pytest.mark.asyncio
async def test_what_is_due_is_swept(connection: asyncpg.Connection) -> None:
    """A hold that ends by itself gives back what it held; sweeping again finds nothing."""
    engine = await opened(connection)
    await engine.run([Group(tuple(FIRST))])
    now = await connection.fetchval("SELECT (extract(epoch FROM clock_timestamp()) * 1e6)::bigint")
    await ask(engine, "hold", 5, debit="alice", credit="bob", amount=60, expires_at=now + 300_000)
    await wait_until_swept(engine)
    assert await connection.fetchval("SELECT held FROM account WHERE name = 'alice'") == 0
    assert await engine.sweep() == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = 0", "DELETE FROM {}", "TRUNCATE {}"])
@pytest.mark.parametrize("table", ["entry", "metadata", "block", "checkpoint", "tile", "audit_logs"])
async def test_what_was_written_cannot_be_changed(connection: asyncpg.Connection, table: str, statement: str) -> None:
    """Not even by the tables' owner, without taking the trigger away first."""
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="append-only"):
        await connection.execute(statement.format(table, "times" if table == "audit_logs" else "ledger"))


@pytest.mark.asyncio
async def test_the_database_itself_refuses_a_negative_balance(connection: asyncpg.Connection) -> None:
    """Whatever the service believes."""
    engine = await opened(connection)
    await engine.run([Group(tuple(FIRST))])
    with pytest.raises(asyncpg.CheckViolationError, match="never_negative"):
        await connection.execute("UPDATE account SET debits = debits + 101 WHERE name = 'alice'")


@pytest.mark.asyncio
async def test_a_batch_that_cannot_be_written_leaves_nothing(connection: asyncpg.Connection) -> None:
    """And the writer goes on with what is in the database."""
    engine = await opened(connection)
    await engine.run([Group(tuple(FIRST))])
    await connection.execute("ALTER TABLE block ADD CONSTRAINT full_disk CHECK (number < 2) NOT VALID")
    with pytest.raises(asyncpg.CheckViolationError):
        await ask(engine, "transfer", 5, debit="alice", credit="bob", amount=1)
    await connection.execute("ALTER TABLE block DROP CONSTRAINT full_disk")
    assert await ask(engine, "transfer", 5, debit="alice", credit="bob", amount=100) is Outcome.OK
    assert await connection.fetchval("SELECT count(*) FROM entry") == 5


@pytest.mark.asyncio
async def test_two_writers_see_each_other(dsn: str, connection: asyncpg.Connection) -> None:
    """A book that another writer made stale is dropped: nobody spends the same credits twice."""
    one = await opened(connection)
    await one.run([Group(tuple(FIRST))])
    second = await asyncpg.connect(dsn)
    try:
        other = Engine(second, one.key, one.ledger)
        assert await ask(other, "transfer", 5, debit="alice", credit="bob", amount=80) is Outcome.OK
        assert await ask(one, "transfer", 6, debit="alice", credit="bob", amount=80) is Outcome.INSUFFICIENT_FUNDS
        assert await ask(one, "transfer", 7, debit="alice", credit="bob", amount=20) is Outcome.OK
    finally:
        await second.close()
