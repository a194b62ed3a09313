"""Write what a batch decided: entries, accounts, holds, lots, block and head."""

from collections.abc import Mapping, Sequence

from chaffinch_credits.audit.canonical import Block
from chaffinch_credits.ledger.book import Account, Book, HoldState, Lot
from chaffinch_credits.ledger.entries import Entry
from chaffinch_credits.ledger.words import OUTCOME_NUMBERS
from chaffinch_credits.store.connection import Connection

_ENTRY_COLUMNS = (
    "ledger", "seq", "id", "kind", "outcome", "target", "debit", "credit", "amount", "debit_balance", "debit_held",
    "credit_balance", "credit_held", "code", "priority", "effective_at", "created_at", "expires_at", "body_hash",
    "leaf",
)  # fmt: skip
_OPENED = """
INSERT INTO account (ledger, number, name, asset, allow_negative, closed, debits, credits, held, expected, version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"""
_WRITE = """
WITH accounts AS (
    UPDATE account a SET closed = a.closed OR a.number = ANY($2), debits = c.debits, credits = c.credits, held = c.held,
                         expected = c.expected, version = c.version
    FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
        AS c (number, debits, credits, held, expected, version)
    WHERE a.ledger = $1 AND a.number = c.number
), blocks AS (
    INSERT INTO block (ledger, number, first, last, previous, hash) VALUES ($1, $9, $10, $11, $12, $13)
)
UPDATE ledger_head SET next_seq = $11 + 1, next_number = $14, block_number = $9, block_hash = $13 WHERE ledger = $1"""
_HOLDS = """
INSERT INTO hold (ledger, id, seq, debit, credit, amount, expires_at, state, draws)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (ledger, id) DO UPDATE SET state = excluded.state"""
_LOTS = """
INSERT INTO lot (ledger, seq, id, account, source, amount, remaining, priority, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (ledger, seq) DO UPDATE SET remaining = excluded.remaining"""
_METADATA = "INSERT INTO metadata (ledger, seq, body) VALUES ($1, $2, $3)"


async def write(
    connection: Connection,
    ledger: int,
    page: Book,
    entries: Sequence[Entry],
    leaves: Sequence[bytes],
    block: Block,
) -> None:
    """Write a page, as it lies over the book that was read: entries by COPY, then what stands after them."""
    below = page.below
    assert below is not None
    await connection.copy_records_to_table(
        "entry", records=_entry_rows(ledger, entries, leaves), columns=_ENTRY_COLUMNS
    )
    changed = [a for a in page.accounts.values() if a.version >= block.first]
    opened = [a for a in changed if a.number >= below.next_number]
    if opened:
        await connection.executemany(_OPENED, [_account_row(ledger, a) for a in opened])
    stood = [a for a in changed if a.number < below.next_number]
    await connection.execute(
        _WRITE,
        ledger,
        [a.number for a in stood if a.closed],
        *_sums(stood),
        block.number,
        block.first,
        block.last,
        block.previous,
        block.hash,
        page.next_number,
    )
    holds = [_hold_row(ledger, h, page) for h in page.holds.values() if below.hold(h.id) != h]
    if holds:
        await connection.executemany(_HOLDS, holds)
    lots = [_lot_row(ledger, lot, page) for lot in page.lots.values() if below.lot(lot.seq) != lot]
    if lots:
        await connection.executemany(_LOTS, lots)


async def write_metadata(connection: Connection, ledger: int, bodies: Mapping[int, bytes]) -> None:
    """Store what clients said beside their requests, by sequence. It is bound by the entries' body hashes."""
    await connection.executemany(_METADATA, [(ledger, seq, body) for seq, body in bodies.items()])


def _entry_rows(ledger: int, entries: Sequence[Entry], leaves: Sequence[bytes]) -> list[tuple[object, ...]]:
    return [
        (
            ledger,
            e.seq,
            e.id,
            e.kind,
            OUTCOME_NUMBERS[e.outcome],
            e.target,
            e.debit,
            e.credit,
            e.amount,
            e.debit_balance,
            e.debit_held,
            e.credit_balance,
            e.credit_held,
            e.code,
            e.priority,
            e.effective_at,
            e.created_at,
            e.expires_at,
            e.body_hash,
            leaf,
        )
        for e, leaf in zip(entries, leaves, strict=True)
    ]


def _account_row(ledger: int, account: Account) -> tuple[object, ...]:
    return (
        ledger,
        account.number,
        account.name,
        account.asset,
        account.allow_negative,
        account.closed,
        account.debits,
        account.credits,
        account.held,
        account.expected,
        account.version,
    )


def _sums(accounts: Sequence[Account]) -> tuple[list[int], ...]:
    return (
        [a.number for a in accounts],
        [a.debits for a in accounts],
        [a.credits for a in accounts],
        [a.held for a in accounts],
        [a.expected for a in accounts],
        [a.version for a in accounts],
    )


def _hold_row(ledger: int, hold: HoldState, page: Book) -> tuple[object, ...]:
    return (
        ledger,
        hold.id,
        hold.seq,
        _number(page, hold.debit),
        _number(page, hold.credit),
        hold.amount,
        hold.expires_at,
        hold.state,
        [part for draw in hold.draws for part in draw],
    )


def _lot_row(ledger: int, lot: Lot, page: Book) -> tuple[object, ...]:
    return (
        ledger,
        lot.seq,
        lot.id,
        _number(page, lot.account),
        _number(page, lot.source),
        lot.amount,
        lot.left,
        lot.priority,
        lot.expires_at,
    )


def _number(page: Book, name: str) -> int:
    account = page.account(name)
    assert account is not None
    return account.number
