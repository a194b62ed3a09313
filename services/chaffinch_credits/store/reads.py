"""What can be read of a ledger: accounts now and at any time, entries, history for a check. By index, without locks."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from chaffinch_credits.audit.asked import Standing
from chaffinch_credits.audit.canonical import Block
from chaffinch_credits.audit.fold import Draws, LotLine, OpenHold
from chaffinch_credits.audit.tiles import Tile
from chaffinch_credits.ledger.entries import Entry
from chaffinch_credits.ledger.words import OUTCOMES, Kind
from chaffinch_credits.store.connection import Connection
from chaffinch_credits.store.sealer import Tree

MOST_ENTRIES = 500
_FIELDS = """
SELECT seq, id, kind, outcome, target, debit, credit, amount, debit_balance, debit_held, credit_balance, credit_held,
       code, priority, effective_at, created_at, expires_at, body_hash"""
_ENTRY = _FIELDS + " FROM entry WHERE ledger = $1 AND id = $2"
_OF_DEBIT = _FIELDS + " FROM entry WHERE ledger = $1 AND debit = $2 AND seq < $3 ORDER BY seq DESC LIMIT $4"
_OF_CREDIT = _FIELDS + " FROM entry WHERE ledger = $1 AND credit = $2 AND seq < $3 ORDER BY seq DESC LIMIT $4"
_OF_ACCOUNT = "(" + _OF_DEBIT + ") UNION (" + _OF_CREDIT + ") ORDER BY seq DESC LIMIT $4"
_BETWEEN = _FIELDS + " FROM entry WHERE ledger = $1 AND seq BETWEEN $2 AND $3 ORDER BY seq"
_HISTORY = _FIELDS + ", leaf FROM entry WHERE ledger = $1 ORDER BY seq"
_ACCOUNT = """
SELECT a.number, a.name, a.asset, s.scale, a.allow_negative, a.closed, a.debits, a.credits, a.held, a.version
FROM account a JOIN asset s ON s.ledger = a.ledger AND s.code = a.asset
WHERE a.ledger = $1 AND a.name = $2"""
_STANDING = """
SELECT number, name, asset, allow_negative, closed, credits - debits, held FROM account WHERE ledger = $1"""
_OPEN_HOLDS = """
SELECT id, debit, credit, amount, expires_at, draws FROM hold WHERE ledger = $1 AND state = $2"""
_LOTS = """
SELECT seq, id, account, source, amount, remaining, priority, expires_at FROM lot WHERE ledger = $1"""
_AS_OF = """
SELECT seq, balance, held FROM (
    (SELECT seq, debit_balance AS balance, debit_held AS held FROM entry
     WHERE ledger = $1 AND debit = $2 AND seq <= $3 AND outcome = 0 ORDER BY seq DESC LIMIT 1)
    UNION ALL
    (SELECT seq, credit_balance, credit_held FROM entry
     WHERE ledger = $1 AND credit = $2 AND seq <= $3 AND outcome = 0 ORDER BY seq DESC LIMIT 1)
) newest ORDER BY seq DESC LIMIT 1"""


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account as it is, or was after the entry `seq`."""

    name: str
    asset: str
    scale: int
    balance: int
    held: int
    seq: int
    closed: bool = False
    allow_negative: bool = False
    number: int = 0

    @property
    def available(self) -> int:
        """What can be, or could have been, debited."""
        return self.balance - self.held


async def account(connection: Connection, ledger: int, name: str) -> AccountView | None:
    """The account as it is now; None when there is none."""
    row = await connection.fetchrow(_ACCOUNT, ledger, name)
    if row is None:
        return None
    return AccountView(
        row["name"],
        row["asset"],
        row["scale"],
        row["credits"] - row["debits"],
        row["held"],
        row["version"],
        row["closed"],
        row["allow_negative"],
        row["number"],
    )


async def account_at(connection: Connection, ledger: int, name: str, seq: int) -> AccountView | None:
    """The account after the entry `seq`; None when it did not exist then."""
    row = await connection.fetchrow(_ACCOUNT, ledger, name)
    found = await connection.fetchrow(_AS_OF, ledger, row["number"], seq) if row else None
    if row is None or found is None:
        return None
    return AccountView(row["name"], row["asset"], row["scale"], found["balance"], found["held"], found["seq"])


async def seq_at(connection: Connection, ledger: int, at: int) -> int:
    """The last sequence decided at or before a time, microseconds since 1970; 0 before the first."""
    last = await connection.fetchval("SELECT next_seq - 1 FROM ledger_head WHERE ledger = $1", ledger)
    low, high = 0, int(last or 0)
    while low < high:
        middle = (low + high + 1) // 2
        created = await connection.fetchval(
            "SELECT created_at FROM entry WHERE ledger = $1 AND seq = $2", ledger, middle
        )
        low, high = (middle, high) if created <= at else (low, middle - 1)
    return low


async def entry(connection: Connection, ledger: int, request: UUID) -> Entry | None:
    """The entry of an id."""
    row = await connection.fetchrow(_ENTRY, ledger, request)
    return _entry(row) if row else None


async def entries(connection: Connection, ledger: int, number: int, before: int, limit: int) -> list[Entry]:
    """An account's entries, newest first, below the sequence `before`."""
    rows = await connection.fetch(
        _OF_ACCOUNT,
        ledger,
        number,
        before,
        min(limit, MOST_ENTRIES),
    )
    return [_entry(row) for row in rows]


async def entries_between(connection: Connection, ledger: int, first: int, last: int) -> list[Entry]:
    """Entries of a block, by sequence."""
    return [_entry(row) for row in await connection.fetch(_BETWEEN, ledger, first, last)]


async def history(connection: Connection, ledger: int) -> AsyncIterator[tuple[Entry, bytes]]:
    """All entries with their leaves, by sequence, in a transaction of the caller's."""
    async for row in connection.cursor(_HISTORY, ledger, prefetch=2_000):
        yield _entry(row), row["leaf"]


async def standing(connection: Connection, ledger: int) -> dict[int, Standing]:
    """All accounts, by number."""
    rows = await connection.fetch(_STANDING, ledger)
    return {row[0]: Standing(*tuple(row)[1:]) for row in rows}


async def metadata(connection: Connection, ledger: int) -> dict[int, bytes]:
    """What clients said beside their requests, by sequence."""
    rows = await connection.fetch("SELECT seq, body FROM metadata WHERE ledger = $1", ledger)
    return {row[0]: row[1] for row in rows}


async def metadata_of(connection: Connection, ledger: int, seq: int) -> bytes:
    """What the client said beside one request, perhaps sealed; nothing, if it said nothing."""
    found: bytes | None = await connection.fetchval(
        "SELECT body FROM metadata WHERE ledger = $1 AND seq = $2", ledger, seq
    )
    return found or b""


async def open_holds(connection: Connection, ledger: int) -> dict[UUID, OpenHold]:
    """Holds that are open, by id."""
    rows = await connection.fetch(_OPEN_HOLDS, ledger, Kind.HOLD)
    return {UUID(bytes=h[0].bytes): OpenHold(h[1], h[2], h[3], h[4], _draws(h[5])) for h in rows}


def _draws(flat: list[int]) -> Draws:
    return tuple(zip(flat[::2], flat[1::2], strict=True))


async def lots(connection: Connection, ledger: int) -> dict[int, LotLine]:
    """What is left of grants, by their sequence."""
    rows = await connection.fetch(_LOTS, ledger)
    return {row[0]: LotLine(UUID(bytes=row[1].bytes), *tuple(row)[2:]) for row in rows}


async def blocks(connection: Connection, ledger: int) -> list[Block]:
    """All blocks, by number."""
    rows = await connection.fetch(
        "SELECT number, first, last, previous, hash FROM block WHERE ledger = $1 ORDER BY number", ledger
    )
    return [Block(*row.values()) for row in rows]


def _entry(row: asyncpg.Record) -> Entry:
    values = tuple(row.values())
    return Entry(values[0], values[1], Kind(values[2]), OUTCOMES[values[3]], *values[4:18])


async def number(connection: Connection, ledger: int, name: str) -> int | None:
    """The number of an account."""
    found: int | None = await connection.fetchval(
        "SELECT number FROM account WHERE ledger = $1 AND name = $2", ledger, name
    )
    return found


async def names(connection: Connection, ledger: int, numbers: set[int]) -> dict[int, str]:
    """Names of accounts by number."""
    rows = await connection.fetch(
        "SELECT number, name FROM account WHERE ledger = $1 AND number = ANY($2)", ledger, list(numbers)
    )
    return {row["number"]: row["name"] for row in rows}


async def newest_note(connection: Connection, ledger: int) -> str | None:
    """The newest signed checkpoint."""
    found: str | None = await connection.fetchval(
        "SELECT note FROM checkpoint WHERE ledger = $1 ORDER BY size DESC LIMIT 1", ledger
    )
    return found


async def notes(connection: Connection, ledger: int) -> list[str]:
    """All signed checkpoints, by size."""
    rows = await connection.fetch("SELECT note FROM checkpoint WHERE ledger = $1 ORDER BY size", ledger)
    return [row["note"] for row in rows]


async def tile(connection: Connection, ledger: int, wanted: Tile) -> bytes:
    """The hashes of a tile of the published tree. LookupError when it has no such tile."""
    published = await _published(connection, ledger)
    if not wanted.within(published):
        raise LookupError(f"the tree of {published} entries has no tile {wanted.path}")
    return await Tree(connection, ledger).tile(wanted)


async def subtrees(connection: Connection, ledger: int, size: int, ranges: list[tuple[int, int]]) -> list[bytes]:
    """Hashes over ranges of leaves of a published tree. LookupError when no checkpoint has so many."""
    published = await _published(connection, ledger)
    if size > published:
        raise LookupError(f"the newest checkpoint has {published} entries, not {size}")
    tree = Tree(connection, ledger)
    return [await tree.subtree(first, last) for first, last in ranges]


async def _published(connection: Connection, ledger: int) -> int:
    found: int = await connection.fetchval("SELECT coalesce(max(size), 0) FROM checkpoint WHERE ledger = $1", ledger)
    return found
