"""Webhooks of ledgers: cursors over blocks, claimed by one process at a time, and what was given up."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from chaffinch_credits.ledger.entries import Entry
from chaffinch_credits.store.connection import Connection
from chaffinch_credits.store.reads import entries_between

OVERLAP_HOURS = 24
"""As long as the secret before signs, too."""
MOST = 20
"""Webhooks of one ledger."""
_FIELDS = """
SELECT w.id, w.url, w.delivered, w.attempts, w.disabled, w.last_error,
       (SELECT count(*) FROM webhook_dead d WHERE d.webhook = w.id) AS dead, h.block_number - w.delivered AS waiting
FROM webhook w JOIN ledger_head h ON h.ledger = w.ledger"""
_LIST = _FIELDS + " WHERE w.ledger = $1 ORDER BY w.made_at, w.id"
_ONE = _FIELDS + " WHERE w.ledger = $1 AND w.id = $2"
_ADD = """
INSERT INTO webhook (id, ledger, url, secret, delivered)
SELECT $1, $2, $3, $4, block_number FROM ledger_head
WHERE ledger = $2 AND (SELECT count(*) FROM webhook WHERE ledger = $2) < $5"""
_ROTATE = """
UPDATE webhook SET previous_secret = secret, previous_until = now() + $4 * interval '1 hour', secret = $3
WHERE ledger = $1 AND id = $2"""
_REPLAY = """
UPDATE webhook SET delivered = $3 - 1, attempts = 0, due_at = now(), disabled = false, last_error = ''
WHERE ledger = $1 AND id = $2"""
_CLAIM = """
UPDATE webhook SET claimed_by = $1, claimed_until = now() + $2 * interval '1 second'
WHERE id = (SELECT w.id FROM webhook w JOIN ledger_head h ON h.ledger = w.ledger
            WHERE NOT w.disabled AND w.due_at <= now() AND h.block_number > w.delivered
              AND (w.claimed_until IS NULL OR w.claimed_until < now())
            ORDER BY w.due_at LIMIT 1 FOR UPDATE OF w SKIP LOCKED)
RETURNING id, ledger, url, secret, delivered, attempts,
          CASE WHEN previous_until > now() THEN previous_secret END AS previous"""
_DELIVERED = """
UPDATE webhook SET delivered = $3, attempts = 0, last_error = '', claimed_until = now() + $4 * interval '1 second'
WHERE id = $1 AND claimed_by = $2 AND delivered = $3 - 1"""
_FAILED = """
UPDATE webhook SET attempts = attempts + 1, last_error = $3, due_at = now() + $4 * interval '1 second',
                   claimed_until = NULL
WHERE id = $1 AND claimed_by = $2"""
_GIVEN_UP = """
WITH gone AS (UPDATE webhook SET delivered = $3, attempts = 0, last_error = $4, due_at = now(), claimed_until = NULL
              WHERE id = $1 AND claimed_by = $2 AND delivered = $3 - 1 RETURNING id)
INSERT INTO webhook_dead (webhook, block, error) SELECT id, $3, $4 FROM gone ON CONFLICT DO NOTHING"""
_BLOCK = "SELECT first, last, hash FROM block WHERE ledger = $1 AND number = $2"


@dataclass(frozen=True, slots=True)
class WebhookView:
    """A webhook. delivered: the last block; waiting: blocks after it; dead: blocks that were given up."""

    id: UUID
    url: str
    delivered: int
    attempts: int
    disabled: bool
    last_error: str
    dead: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A webhook that this process delivers to for a while. secrets: as they are kept, the newest first."""

    id: UUID
    ledger: int
    url: str
    secrets: tuple[bytes, ...]
    delivered: int
    attempts: int


@dataclass(frozen=True, slots=True)
class BlockView:
    """What one event is about."""

    number: int
    first: int
    last: int
    hash: bytes
    entries: Sequence[Entry]


async def every(connection: Connection, ledger: int) -> list[WebhookView]:
    """All of a ledger."""
    return [WebhookView(*row.values()) for row in await connection.fetch(_LIST, ledger)]


async def one(connection: Connection, ledger: int, webhook: UUID) -> WebhookView | None:
    """The webhook of an id."""
    row = await connection.fetchrow(_ONE, ledger, webhook)
    return WebhookView(*row.values()) if row else None


async def add(connection: Connection, ledger: int, webhook: UUID, url: str, secret: bytes) -> bool:
    """Register; it is told of blocks from now on. False when the ledger has too many."""
    return str(await connection.execute(_ADD, webhook, ledger, url, secret, MOST)).endswith(" 1")


async def remove(connection: Connection, ledger: int, webhook: UUID) -> None:
    """Remove, with what was given up."""
    await connection.execute("DELETE FROM webhook WHERE ledger = $1 AND id = $2", ledger, webhook)


async def rotate(connection: Connection, ledger: int, webhook: UUID, secret: bytes) -> None:
    """Another secret; the one before signs, too, for OVERLAP_HOURS."""
    await connection.execute(_ROTATE, ledger, webhook, secret, OVERLAP_HOURS)


async def replay(connection: Connection, ledger: int, webhook: UUID, block: int) -> None:
    """Deliver again from a block on; what was given up from there on is forgotten."""
    async with connection.transaction():
        await connection.execute(_REPLAY, ledger, webhook, block)
        await connection.execute("DELETE FROM webhook_dead WHERE webhook = $1 AND block >= $2", webhook, block)


async def claim(connection: Connection, process: UUID, seconds: float) -> Claim | None:
    """A webhook with something to deliver, for this process alone; None when there is none."""
    row = await connection.fetchrow(_CLAIM, process, seconds)
    if row is None:
        return None
    secrets = tuple(secret for secret in (row["secret"], row["previous"]) if secret is not None)
    return Claim(row["id"], row["ledger"], row["url"], secrets, row["delivered"], row["attempts"])


async def block(connection: Connection, ledger: int, number: int) -> BlockView | None:
    """A block with its entries; None when it is not written yet."""
    row: asyncpg.Record | None = await connection.fetchrow(_BLOCK, ledger, number)
    if row is None:
        return None
    entries = await entries_between(connection, ledger, row["first"], row["last"])
    return BlockView(number, row["first"], row["last"], row["hash"], entries)


async def delivered(connection: Connection, found: Claim, process: UUID, number: int, seconds: float) -> bool:
    """Go on to the next block; False when the webhook is not this process's any more."""
    return str(await connection.execute(_DELIVERED, found.id, process, number, seconds)).endswith(" 1")


async def failed(connection: Connection, found: Claim, process: UUID, error: str, pause: float) -> None:
    """Try again after a pause, in seconds."""
    await connection.execute(_FAILED, found.id, process, error, pause)


async def give_up(connection: Connection, found: Claim, process: UUID, number: int, error: str) -> None:
    """Leave a block out, and remember that."""
    await connection.execute(_GIVEN_UP, found.id, process, number, error)


async def release(connection: Connection, found: Claim, process: UUID) -> None:
    """Let others deliver."""
    await connection.execute(
        "UPDATE webhook SET claimed_until = NULL WHERE id = $1 AND claimed_by = $2", found.id, process
    )


async def disable(connection: Connection, found: Claim, error: str) -> None:
    """Deliver nothing more until somebody replays."""
    await connection.execute(
        "UPDATE webhook SET disabled = true, last_error = $2, claimed_until = NULL WHERE id = $1", found.id, error
    )
