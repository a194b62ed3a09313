"""One ledger's writer: batches in, decisions out, each batch one transaction under the ledger's head lock.

The book of the last batch is kept. As long as the head is where this writer left it, nobody else has written, and what
is in the book is what is in the database; otherwise the book is dropped and read anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from chaffinch_credits.audit import canonical
from chaffinch_credits.ledger.book import Book
from chaffinch_credits.ledger.decide import Decisions, Group, decide, sweep
from chaffinch_credits.ledger.words import Outcome
from chaffinch_credits.store.read import Touched, read
from chaffinch_credits.store.write import write, write_metadata

MOST_REMEMBERED = 50_000
"""Accounts, holds and lots that a book may have before it is dropped."""
_HEAD = """
SELECT next_seq, next_number, block_number, block_hash, (extract(epoch FROM clock_timestamp()) * 1e6)::bigint AS now
FROM ledger_head WHERE ledger = $1 FOR NO KEY UPDATE"""
_DUE = """
SELECT a.name FROM hold h JOIN account a ON a.ledger = h.ledger AND a.number = h.debit
WHERE h.ledger = $1 AND h.state = 4 AND h.expires_at <= $2
UNION
SELECT a.name FROM lot l JOIN account a ON a.ledger = l.ledger AND a.number = l.account
WHERE l.ledger = $1 AND l.remaining > 0 AND l.expires_at <= $2
LIMIT $3"""


@dataclass(slots=True)
class Engine:
    """The writer of one ledger over one connection. One batch at a time."""

    connection: asyncpg.Connection
    key: int
    ledger: UUID
    _book: Book = field(default_factory=Book)

    async def run(self, groups: Sequence[Group], metadata: Mapping[UUID, bytes] | None = None) -> Decisions:
        """Decide a batch and write it. Durable when it returns; whatever is raised, nothing or all of it is written.

        Raises:
            asyncpg.PostgresError, OSError: the outcome may be unknown; asking again with the same ids tells.

        """
        touched = Touched.by(request for group in groups for request in group.requests)
        try:
            async with self.connection.transaction():
                head, page = await self._open(touched)
                made = decide(page, groups, head["now"])
                await self._close(head, page, made)
                bodies = _bodies(made, metadata or {})
                if bodies:
                    await write_metadata(self.connection, self.key, bodies)
        except BaseException:
            self._book = Book()
            raise
        self._keep(page)
        return made

    async def sweep(self, most: int = 200) -> int:
        """End holds and lots whose time is over, on at most so many accounts; returns the number of entries."""
        try:
            async with self.connection.transaction():
                head, page = await self._open(Touched(), sweep_most=most)
                made = sweep(page, head["now"])
                await self._close(head, page, made)
        except BaseException:
            self._book = Book()
            raise
        self._keep(page)
        return len(made.entries)

    def _keep(self, page: Book) -> None:
        """Go on from what is written. What was decided is forgotten: it is asked for by id, and new ids are many."""
        page.keep()
        self._book.decided.clear()

    async def _open(self, touched: Touched, *, sweep_most: int = 0) -> tuple[asyncpg.Record, Book]:
        """Lock the head and see to it that the book has what the batch touches."""
        head = await self.connection.fetchrow(_HEAD, self.key)
        if head is None:
            raise LookupError(f"ledger {self.ledger} has no head")
        if self._book.next_seq != head["next_seq"] or _size(self._book) > MOST_REMEMBERED:
            self._book = Book(head["next_seq"], head["next_number"])
        if sweep_most:
            due = await self.connection.fetch(_DUE, self.key, head["now"], sweep_most)
            touched.names.update(row["name"] for row in due)
        await read(self.connection, self.key, touched, head["now"], self._book)
        return head, self._book.page()

    async def _close(self, head: asyncpg.Record, page: Book, made: Decisions) -> None:
        """Seal the batch and write it; a batch of repetitions writes nothing."""
        if not made.entries:
            return
        leaves = [canonical.leaf_hash(self.ledger, entry) for entry in made.entries]
        block = canonical.seal(self.ledger, head["block_number"] + 1, made.entries[0].seq, leaves, head["block_hash"])
        await write(self.connection, self.key, page, made.entries, leaves, block)


def _bodies(made: Decisions, metadata: Mapping[UUID, bytes]) -> dict[int, bytes]:
    """Of what was done only: what stands beside a refusal could not be verified (audit.asked)."""
    done = (e for e in made.entries if e.id in metadata and e.outcome is Outcome.OK) if metadata else ()
    return {e.seq: metadata[e.id] for e in done}


def _size(book: Book) -> int:
    return len(book.accounts) + len(book.holds) + len(book.lots)
