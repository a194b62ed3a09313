"""Verifications that were recorded: when somebody looked last, and whether all was sound."""

from dataclasses import dataclass

from chaffinch_credits.store.connection import Connection

_NEWEST = """
SELECT extract(epoch FROM now() - at)::float8 AS age, sound FROM verification
WHERE ledger = $1 ORDER BY number DESC LIMIT 1"""


@dataclass(frozen=True, slots=True)
class Verified:
    """The newest one. age: in seconds."""

    age: float
    sound: bool


async def record(connection: Connection, ledger: int, *, sound: bool, entries: int) -> None:
    """Append a verification."""
    await connection.execute(
        "INSERT INTO verification (ledger, sound, entries) VALUES ($1, $2, $3)", ledger, sound, entries
    )


async def newest(connection: Connection, ledger: int) -> Verified | None:
    """The newest verification; None when there is none."""
    row = await connection.fetchrow(_NEWEST, ledger)
    return Verified(row["age"], row["sound"]) if row else None
