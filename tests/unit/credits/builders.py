"""A ledger in memory for tests: requests by words, ids and bodies made up, time by hand."""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID

from chaffinch_credits.ledger.book import Account, Book
from chaffinch_credits.ledger.decide import Group, decide, sweep
from chaffinch_credits.ledger.entries import Entry, Reply
from chaffinch_credits.ledger.requests import AnyRequest, Close, Grant, Hold, Open, Post, Reverse, Transfer, Void
from chaffinch_credits.ledger.words import Outcome

KINDS: dict[str, type[Any]] = {
    "open": Open,
    "close": Close,
    "transfer": Transfer,
    "hold": Hold,
    "post": Post,
    "void": Void,
    "grant": Grant,
    "reverse": Reverse,
}


def uuid(number: int) -> UUID:
    """The n-th request's id."""
    return UUID(int=number)


def request(what: str, number: int, **fields: Any) -> AnyRequest:
    """A request; its body hash follows from what it asks for."""
    body = sha256(repr((what, sorted(fields.items()))).encode()).digest()
    made: AnyRequest = KINDS[what](id=uuid(number), body_hash=body, **fields)
    return made


@dataclass
class World:
    """A book and all that was written in it."""

    book: Book = field(default_factory=Book)
    entries: list[Entry] = field(default_factory=list)
    now: int = 1_000
    made: int = 0

    def ask(self, what: str, *, number: int | None = None, **fields: Any) -> Reply:
        """One request, alone in its batch."""
        if number is None:
            self.made += 1
            number = self.made
        return self.batch(request(what, number, **fields))[0]

    def batch(self, *requests: AnyRequest, atomic: bool = False) -> list[Reply]:
        """Requests sent together."""
        decisions = decide(self.book, [Group(requests, atomic)], self.now)
        self.entries += decisions.entries
        return decisions.replies

    def sweep(self) -> None:
        """End what is due."""
        self.entries += sweep(self.book, self.now).entries

    def account(self, name: str) -> Account:
        """An account as it stands."""
        found = self.book.account(name)
        assert found is not None
        return found

    def balances(self) -> dict[str, tuple[int, int]]:
        """Balance and held, by account."""
        return {name: (a.balance, a.held) for name, a in self.book.accounts.items()}


def shop(**balances: int) -> World:
    """A source of credits, and accounts that got some."""
    world = World()
    world.ask("open", account="source", asset="CREDIT", allow_negative=True)
    for name, amount in balances.items():
        assert world.ask("open", account=name, asset="CREDIT").outcome is Outcome.OK
        if amount:
            assert world.ask("transfer", debit="source", credit=name, amount=amount).outcome is Outcome.OK
    return world
