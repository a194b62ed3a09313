"""Which ledgers there are, and their assets."""

from dataclasses import dataclass
from uuid import UUID, uuid4

from chaffinch_credits.store.connection import Connection


@dataclass(frozen=True, slots=True)
class LedgerView:
    """A ledger. key: its number in this database; id: what is hashed; assets: scale by code."""

    key: int
    id: UUID
    name: str
    assets: dict[str, int]


async def find(connection: Connection, name: str) -> LedgerView | None:
    """The ledger of a name."""
    row = await connection.fetchrow("SELECT key, id, name FROM ledger WHERE name = $1", name)
    if row is None:
        return None
    assets = await connection.fetch("SELECT code, scale FROM asset WHERE ledger = $1", row["key"])
    return LedgerView(row["key"], row["id"], row["name"], {a["code"]: a["scale"] for a in assets})


async def by_key(connection: Connection, key: int) -> LedgerView:
    """The ledger of a number, which must be there."""
    found = await find(connection, await connection.fetchval("SELECT name FROM ledger WHERE key = $1", key))
    assert found is not None
    return found


async def every(connection: Connection) -> list[LedgerView]:
    """All ledgers, by name."""
    rows = await connection.fetch("SELECT name FROM ledger ORDER BY name")
    found = [await find(connection, row["name"]) for row in rows]
    return [view for view in found if view is not None]


async def ensure(connection: Connection, name: str, assets: dict[str, int]) -> LedgerView:
    """Make the ledger and the assets that it lacks; ValueError when an asset has another scale already."""
    async with connection.transaction():
        await connection.execute(
            "INSERT INTO ledger (id, name) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING", uuid4(), name
        )
        key = await connection.fetchval("SELECT key FROM ledger WHERE name = $1", name)
        await connection.execute("INSERT INTO ledger_head (ledger) VALUES ($1) ON CONFLICT DO NOTHING", key)
        await connection.executemany(
            "INSERT INTO asset (ledger, code, scale) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            [(key, code, scale) for code, scale in assets.items()],
        )
    found = await find(connection, name)
    assert found is not None
    for code, scale in assets.items():
        if found.assets[code] != scale:
            raise ValueError(f"asset {code} of ledger {name} has scale {found.assets[code]}, which cannot be changed")
    return found
