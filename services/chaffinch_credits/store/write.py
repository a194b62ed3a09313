"""Write what a batch decided, in one statement: entries, accounts, holds, lots, block and head."""

from collections.abc import Mapping, Sequence

from chaffinch_credits.audit.canonical import Block
from chaffinch_credits.ledger.book import Account, Book, HoldState, Lot
from chaffinch_credits.ledger.entries import Entry
from chaffinch_credits.ledger.words import OUTCOME_NUMBERS
from chaffinch_credits.store.connection import Connection

_WRITE = """
WITH entries AS (
    INSERT INTO entry (ledger, seq, id, kind, outcome, target, debit, credit, amount, debit_balance, debit_held,
                       credit_balance, credit_held, code, priority, effective_at, created_at, expires_at, body_hash,
                       leaf)
    SELECT $1, * FROM unnest($2::bigint[], $3::uuid[], $4::smallint[], $5::smallint[], $6::uuid[], $7::bigint[],
                             $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
                             $14::integer[], $15::integer[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bytea[],
                             $20::bytea[])
), changed AS (
    SELECT * FROM unnest($21::bigint[], $22::text[], $23::text[], $24::boolean[], $25::boolean[], $26::bigint[],
                         $27::bigint[], $28::bigint[], $29::bigint[], $30::bigint[])
        AS a (number, name, asset, allow_negative, closed, debits, credits, held, expected, version)
), opened AS (
    INSERT INTO account (ledger, number, name, asset, allow_negative, closed, debits, credits, held, expected, version)
    SELECT $1, * FROM changed WHERE number >= $31
), accounts AS (
    UPDATE account a SET closed = c.closed, debits = c.debits, credits = c.credits, held = c.held,
                         expected = c.expected, version = c.version
    FROM changed c WHERE a.ledger = $1 AND a.number = c.number AND c.number < $31
), blocks AS (
    INSERT INTO block (ledger, number, first, last, previous, hash) VALUES ($1, $32, $33, $34, $35, $36)
)
UPDATE ledger_head SET next_seq = $34 + 1, next_number = $37, block_number = $32, block_hash = $36 WHERE ledger = $1"""
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
    """Write a page, as it lies over the book that was read. One round trip, or more when there are holds or lots."""
    below = page.below
    assert below is not None
    changed = [a for a in page.accounts.values() if a.version >= block.first]
    await connection.execute(
        _WRITE,
        ledger,
        *_entry_columns(entries, leaves),
        *_account_columns(changed),
        below.next_number,
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


def _entry_columns(entries: Sequence[Entry], leaves: Sequence[bytes]) -> tuple[list[object], ...]:
    return (
        [e.seq for e in entries],
        [e.id for e in entries],
        [e.kind for e in entries],
        [OUTCOME_NUMBERS[e.outcome] for e in entries],
        [e.target for e in entries],
        [e.debit for e in entries],
        [e.credit for e in entries],
        [e.amount for e in entries],
        [e.debit_balance for e in entries],
        [e.debit_held for e in entries],
        [e.credit_balance for e in entries],
        [e.credit_held for e in entries],
        [e.code for e in entries],
        [e.priority for e in entries],
        [e.effective_at for e in entries],
        [e.created_at for e in entries],
        [e.expires_at for e in entries],
        [e.body_hash for e in entries],
        list(leaves),
    )


def _account_columns(accounts: Sequence[Account]) -> tuple[list[object], ...]:
    return (
        [a.number for a in accounts],
        [a.name for a in accounts],
        [a.asset for a in accounts],
        [a.allow_negative for a in accounts],
        [a.closed for a in accounts],
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
