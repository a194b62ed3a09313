"""The service's own role: it can do its work, and cannot change what was written down; audit_logs say who did what."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from chaffinch_credits.api.keys import Keys
from chaffinch_credits.store import role
from integration.credits.http import LEDGER, serving
from integration.credits.process import command
from integration.credits.test_keys import key, write

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def member(connection: asyncpg.Connection) -> AsyncIterator[str]:
    """A role that may log in, and nothing more."""
    name = f"service_{secrets.token_hex(4)}"
    await connection.execute(f"CREATE ROLE {name} LOGIN")
    yield name
    await connection.execute(f"DROP OWNED BY {name}")
    await connection.execute(f"DROP ROLE {name}")


def as_role(dsn: str, name: str) -> str:
    """The same database for another role."""
    return dsn.replace("postgres@", f"{name}@")


async def test_the_service_works_as_its_role(dsn: str, connection: asyncpg.Connection, member: str) -> None:
    """Everything that a client can ask for."""
    await role.grant(connection, member)
    async with serving(as_role(dsn, member)) as api:
        await api.shop()
        hold = (await api.post("holds", debit="alice", credit="bob", amount="60")).body["id"]
        assert (await api.post(f"holds/{hold}:post", amount="25")).status == 201
        await api.post("grants", source="source", account="bob", amount="5", metadata={"why": "test"})
        made = (await api.post("transfers", debit="bob", credit="alice", amount="3")).body["id"]
        assert (await api.post(f"transfers/{made}:reverse")).status == 201


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET amount = 1",
        "DELETE FROM entry",
        "TRUNCATE block",
        "DELETE FROM audit_logs",
        "UPDATE dek SET wrapped = NULL, destroyed_at = now()",
        "DELETE FROM dek",
        "UPDATE account SET name = 'mallory'",
        "UPDATE account SET allow_negative = true",
        "UPDATE lot SET amount = 1",
        "ALTER TABLE entry DISABLE TRIGGER append_only",
        "DROP TABLE checkpoint",
        "SET session_replication_role = replica",
    ],
)
async def test_it_may_not_change_what_was_written(
    dsn: str, connection: asyncpg.Connection, member: str, statement: str
) -> None:
    """Not for want of a trigger, but of the right."""
    await role.grant(connection, member)
    own = await asyncpg.connect(as_role(dsn, member))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await own.execute(statement)
    finally:
        await own.close()


async def test_a_role_that_could_do_everything_is_refused(dsn: str) -> None:
    """By migrate, with what to do."""
    for name, said in (("postgres", "use another role"), ("nobody_at_all", 'CREATE ROLE "nobody_at_all" LOGIN')):
        done = command(dsn, "migrate", "--service-role", name)
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr


async def test_audit_logs_say_who_did_what(dsn: str, connection: asyncpg.Connection, tmp_path: Path) -> None:
    """Administration, and each attempt that was turned away, with its origin; like ones are counted."""
    file = tmp_path / "keys.json"
    write(file, {**key("admin"), "ledgers": {"*": ["admin"]}}, key("reader", shop=["read"]))
    assert command(dsn, "migrate").returncode == 0
    async with serving(dsn, Keys(file)) as api:
        await api.send("PUT", LEDGER, {"assets": {"CREDIT": 0}}, Authorization="Bearer admin")
        for _ in range(3):
            await api.send("GET", "accounts/a", Authorization="Bearer guess")
        await api.send("POST", "accounts", b"{}", Authorization="Bearer reader")
    rows = await connection.fetch("SELECT actor, action, object, outcome, origin, times FROM audit_logs")
    events = {tuple(row)[:5]: row["times"] for row in rows}
    assert events[("postgres", "migrate", "schema 5", "done", "command")] == 1
    assert events[("ADMIN", "ensure", "shop", "done", "127.0.0.1")] == 1
    assert sum(row["times"] for row in rows if row["outcome"] == "unauthenticated") == 3
    assert events[("anybody", "open", "shop", "forbidden", "127.0.0.1")] == 1
    assert [row["action"] for row in rows if row["actor"] == "service"] == ["start", "stop"]
