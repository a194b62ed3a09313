"""Read the part of a ledger that a batch touches, into a Book."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from chaffinch_credits.ledger.book import Account, Book, Decided, HoldState, Lot
from chaffinch_credits.ledger.requests import AnyRequest, Close, Grant, Hold, Open, Post, Reverse, Transfer, Void
from chaffinch_credits.ledger.words import OUTCOMES, Kind
from chaffinch_credits.store.connection import Connection

_DECIDED = """
SELECT e.id, e.seq, e.kind, e.outcome, e.amount,
       CASE WHEN get_byte(m.body, 0) = 1 THEN substring(m.body FROM 6 FOR 32) ELSE e.body_hash END AS told_by,
       d.name AS debit, c.name AS credit,
       e.kind IN (3, 5) AND EXISTS (
           SELECT FROM entry r WHERE r.ledger = e.ledger AND r.target = e.id AND r.kind = 10 AND r.outcome = 0
       ) AS reversed
FROM entry e
LEFT JOIN account d ON d.ledger = e.ledger AND d.number = e.debit
LEFT JOIN account c ON c.ledger = e.ledger AND c.number = e.credit
LEFT JOIN metadata m ON m.ledger = e.ledger AND m.seq = e.seq
WHERE e.ledger = $1 AND e.id = ANY($2)"""
_ACCOUNTS = """
SELECT number, name, asset, allow_negative, closed, debits, credits, held, expected, version
FROM account WHERE ledger = $1 AND name = ANY($2)"""
_HOLDS = """
SELECT h.id, h.seq, d.name AS debit, c.name AS credit, h.amount, h.expires_at, h.state, h.draws
FROM hold h
JOIN account d ON d.ledger = h.ledger AND d.number = h.debit
JOIN account c ON c.ledger = h.ledger AND c.number = h.credit
WHERE h.ledger = $1 AND """
_HOLDS_NAMED = _HOLDS + "h.id = ANY($2)"
_HOLDS_DUE = _HOLDS + "h.state = 4 AND h.expires_at <= $3 AND h.debit = ANY($2)"
_LOTS = """
SELECT l.id, l.seq, a.name AS account, s.name AS source, l.amount, l.remaining, l.priority, l.expires_at
FROM lot l
JOIN account a ON a.ledger = l.ledger AND a.number = l.account
JOIN account s ON s.ledger = l.ledger AND s.number = l.source
WHERE l.ledger = $1 AND (l.seq = ANY($3) OR (l.account = ANY($2) AND l.remaining > 0))"""

_NEXT_DUE = """
SELECT a.name, (SELECT min(h.expires_at) FROM hold h
                WHERE h.ledger = $1 AND h.debit = a.number AND h.state = 4 AND h.expires_at > $3) AS at
FROM account a WHERE a.ledger = $1 AND a.number = ANY($2)"""


@dataclass(slots=True)
class Touched:
    """What a batch names: accounts, and ids of requests, holds and transfers."""

    names: set[str] = field(default_factory=set)
    ids: set[UUID] = field(default_factory=set)
    holds: set[UUID] = field(default_factory=set)

    @classmethod
    def by(cls, requests: Iterable[AnyRequest]) -> "Touched":
        """All that the requests name."""
        touched = cls()
        for request in requests:
            touched.ids.add(request.id)
            match request:
                case Transfer() | Hold():
                    touched.names.update((request.debit, request.credit))
                case Grant():
                    touched.names.update((request.source, request.account))
                case Open() | Close():
                    touched.names.add(request.account)
                case Post() | Void():
                    touched.holds.add(request.hold)
                case Reverse():
                    touched.ids.add(request.transfer)
        return touched


async def read(connection: Connection, ledger: int, touched: Touched, now: int, book: Book) -> None:
    """Fill the book. What it has already is kept: it is newer."""
    await _read_decided(connection, ledger, touched, book)
    named = [hold for hold in touched.holds if hold not in book.holds]
    holds = await connection.fetch(_HOLDS_NAMED, ledger, named) if named else []
    names = touched.names | {name for row in holds for name in (row["debit"], row["credit"])}
    await _read_accounts(connection, ledger, names, book)
    stale = [book.accounts[name].number for name in names if name in book.accounts and not book.watches(name, now)]
    if stale or holds:
        await _read_perishable(connection, ledger, stale, now, book, holds)


async def _read_perishable(
    connection: Connection, ledger: int, numbers: Sequence[int], now: int, book: Book, holds: list[asyncpg.Record]
) -> None:
    """Lots and due holds of accounts, and what the holds were drawn from; the book watches the accounts from now on."""
    holds = holds + await connection.fetch(_HOLDS_DUE, ledger, numbers, now)
    drawn = [seq for row in holds for seq in row["draws"][::2]]
    lots = await connection.fetch(_LOTS, ledger, numbers, drawn)
    more = {row["credit"] for row in holds} | {name for row in lots for name in (row["source"], row["account"])}
    await _read_accounts(connection, ledger, more, book)
    for row in holds:
        if row["id"] not in book.holds:
            book.add_hold(_hold(row))
    for row in lots:
        if row["seq"] not in book.lots:
            book.add_lot(Lot(*row.values()))
    for row in await connection.fetch(_NEXT_DUE, ledger, numbers, now):
        book.watched[row["name"]] = row["at"]


async def _read_decided(connection: Connection, ledger: int, touched: Touched, book: Book) -> None:
    wanted = [each for each in touched.ids if each not in book.decided]
    for row in await connection.fetch(_DECIDED, ledger, wanted) if wanted else []:
        book.decided[row["id"]] = Decided(
            row["seq"],
            Kind(row["kind"]),
            OUTCOMES[row["outcome"]],
            row["told_by"],
            row["debit"] or "",
            row["credit"] or "",
            row["amount"],
            row["reversed"],
        )
        touched.names.update(name for name in (row["debit"], row["credit"]) if name)


async def _read_accounts(connection: Connection, ledger: int, names: Iterable[str], book: Book) -> None:
    wanted = [name for name in names if name not in book.accounts]
    for row in await connection.fetch(_ACCOUNTS, ledger, wanted) if wanted else []:
        book.accounts[row["name"]] = Account(*row.values())


def _hold(row: asyncpg.Record) -> HoldState:
    draws = row["draws"]
    return HoldState(
        row["id"],
        row["seq"],
        row["debit"],
        row["credit"],
        row["amount"],
        row["expires_at"],
        tuple(zip(draws[::2], draws[1::2], strict=True)),
        Kind(row["state"]),
    )
