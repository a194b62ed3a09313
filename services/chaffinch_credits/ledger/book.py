"""The state that decisions are made from: accounts, holds, lots, and what was decided before.

A `Book` holds the part of a ledger that one batch touches. Decisions are made on a page over it, which copies what it
changes, so that an atomic batch that fails leaves no trace.
"""

from copy import copy
from dataclasses import dataclass, field, replace
from uuid import UUID

from chaffinch_credits.ledger.words import Kind, Outcome

Draws = tuple[tuple[int, int], ...]
"""Which lots an amount came from: (sequence of the grant, amount), in order. What is missing came from no lot."""


@dataclass(slots=True)
class Account:
    """An account and its sums. All are whole numbers of the asset's smallest unit.

    Attributes:
        number: its identity in entries, from 1 in each ledger.
        debits: sum of all posted debits.
        credits: sum of all posted credits.
        held: sum of the open holds on it.
        expected: sum of the open holds in its favour.
        version: sequence of the entry that changed it last.

    """

    number: int
    name: str
    asset: str
    allow_negative: bool = False
    closed: bool = False
    debits: int = 0
    credits: int = 0
    held: int = 0
    expected: int = 0
    version: int = 0

    def copied(self) -> "Account":
        """Another one alike; a tenth of the time of copy.copy, and the most frequent step of all."""
        return Account(
            self.number,
            self.name,
            self.asset,
            self.allow_negative,
            self.closed,
            self.debits,
            self.credits,
            self.held,
            self.expected,
            self.version,
        )

    @property
    def balance(self) -> int:
        """What is posted."""
        return self.credits - self.debits

    @property
    def available(self) -> int:
        """What can be debited: the balance without what is held."""
        return self.credits - self.debits - self.held


@dataclass(slots=True)
class HoldState:
    """A hold. state: HOLD while it is open, then the kind of the entry that ended it."""

    id: UUID
    seq: int
    debit: str
    credit: str
    amount: int
    expires_at: int | None
    draws: Draws = ()
    state: Kind = Kind.HOLD

    def due(self, now: int) -> bool:
        """Whether it is open and its time is over."""
        return self.state is Kind.HOLD and self.expires_at is not None and self.expires_at <= now


@dataclass(slots=True)
class Lot:
    """What one grant gave. left: neither drawn nor reserved by a hold nor expired."""

    id: UUID
    seq: int
    account: str
    source: str
    amount: int
    left: int
    priority: int
    expires_at: int | None

    def due(self, now: int) -> bool:
        """Whether something is left and its time is over."""
        return self.left > 0 and self.expires_at is not None and self.expires_at <= now

    @property
    def order(self) -> tuple[int, int, int]:
        """Lots are drawn in this order: lowest priority first, then the earliest expiry, then age."""
        return self.priority, self.expires_at if self.expires_at is not None else 2**63, self.seq


@dataclass(slots=True)
class Decided:
    """An entry decided before, as far as later decisions need it. told_by: the hash that its repetitions have, too."""

    seq: int
    kind: Kind
    outcome: Outcome
    told_by: bytes
    debit: str = ""
    credit: str = ""
    amount: int = 0
    reversed: bool = False


@dataclass(slots=True)
class Book:
    """What of a ledger was read for a batch. Whatever is not in it does not exist.

    A `page` is a book over another one: it copies what it is asked for, and hands its changes down by `keep`.

    Attributes:
        lot_index: lots of an account, by the sequence of the grant.
        hold_index: holds on an account that end by themselves.
        watched: accounts whose lots are all in the book, and those of their holds that end before the time given
            (None: of all holds none ends by itself later).

    """

    next_seq: int = 1
    next_number: int = 1
    accounts: dict[str, Account] = field(default_factory=dict)
    holds: dict[UUID, HoldState] = field(default_factory=dict)
    lots: dict[int, Lot] = field(default_factory=dict)
    decided: dict[UUID, Decided] = field(default_factory=dict)
    lot_index: dict[str, tuple[int, ...]] = field(default_factory=dict)
    hold_index: dict[str, tuple[UUID, ...]] = field(default_factory=dict)
    watched: dict[str, int | None] = field(default_factory=dict)
    below: "Book | None" = None

    def page(self) -> "Book":
        """An empty book over this one."""
        return Book(next_seq=self.next_seq, next_number=self.next_number, below=self)

    def keep(self) -> None:
        """Hand all changes down. AttributeError when there is no book below."""
        below = self.below
        assert below is not None
        below.next_seq, below.next_number = self.next_seq, self.next_number
        below.accounts.update(self.accounts)
        below.holds.update(self.holds)
        below.lots.update(self.lots)
        below.decided.update(self.decided)
        below.lot_index.update(self.lot_index)
        below.hold_index.update(self.hold_index)

    def watches(self, account: str, now: int) -> bool:
        """Whether everything of the account that is due at a time is in the book."""
        until = self.watched.get(account, now)
        return until is None or now < until

    def account(self, name: str) -> Account | None:
        """The account, to be changed; None when there is none."""
        found = self.accounts.get(name)
        if found is None and self.below is not None and (known := self.below.account(name)) is not None:
            found = self.accounts[name] = known.copied()
        return found

    def hold(self, hold: UUID) -> HoldState | None:
        """The hold, to be changed; None when there is none."""
        found = self.holds.get(hold)
        if found is None and self.below is not None and (known := self.below.hold(hold)) is not None:
            found = self.holds[hold] = copy(known)
        return found

    def lot(self, seq: int) -> Lot | None:
        """The lot of a grant, to be changed; None when there is none."""
        found = self.lots.get(seq)
        if found is None and self.below is not None and (known := self.below.lot(seq)) is not None:
            found = self.lots[seq] = copy(known)
        return found

    def known(self, request: UUID) -> Decided | None:
        """What was decided under an id; None for a new one."""
        found = self.decided.get(request)
        return found if found is not None or self.below is None else self.below.known(request)

    def reverse(self, request: UUID) -> None:
        """Remember that a transfer was reversed. KeyError when it is not known."""
        known = self.known(request)
        if known is None:
            raise KeyError(request)
        self.decided[request] = replace(known, reversed=True)

    def lots_in_order(self, account: str) -> list[Lot]:
        """The account's lots that have something left, to be changed, in the order in which they are drawn."""
        found = [lot for seq in self.lot_seqs(account) if (lot := self.lot(seq)) is not None and lot.left]
        return sorted(found, key=lambda lot: lot.order) if len(found) > 1 else found

    def holds_due(self, account: str, now: int) -> list[HoldState]:
        """The account's open holds whose time is over, to be changed, oldest first."""
        found = (hold for each in self.hold_ids(account) if (hold := self.hold(each)) is not None and hold.due(now))
        return sorted(found, key=lambda hold: hold.seq)

    def perishable(self) -> set[str]:
        """Accounts that have, or had, lots or holds that end by themselves."""
        found = {*self.lot_index, *self.hold_index}
        return found if self.below is None else found | self.below.perishable()

    def add_hold(self, hold: HoldState) -> None:
        """Take in a hold that was read, or made."""
        self.holds[hold.id] = hold
        if hold.expires_at is not None:
            self.hold_index[hold.debit] = (*self.hold_ids(hold.debit), hold.id)

    def add_lot(self, lot: Lot) -> None:
        """Take in a lot that was read, or made."""
        self.lots[lot.seq] = lot
        self.lot_index[lot.account] = (*self.lot_seqs(lot.account), lot.seq)

    def lot_seqs(self, account: str) -> tuple[int, ...]:
        """Lots of an account, by the sequence of the grant."""
        found = self.lot_index.get(account)
        return found if found is not None else () if self.below is None else self.below.lot_seqs(account)

    def hold_ids(self, account: str) -> tuple[UUID, ...]:
        """Holds on an account that end by themselves."""
        found = self.hold_index.get(account)
        return found if found is not None else () if self.below is None else self.below.hold_ids(account)
