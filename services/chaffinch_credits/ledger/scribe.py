"""Writes entries: gives out sequences, takes the balances after, remembers the request as decided. Decides nothing."""

from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from chaffinch_credits.ledger.book import Account, Book, Decided
from chaffinch_credits.ledger.entries import Entry, expiry_id
from chaffinch_credits.ledger.requests import AnyRequest, Close, Grant, Hold, Open, Post, Reverse, Transfer, Void
from chaffinch_credits.ledger.words import MAX_AMOUNT, Kind, Outcome

NO_BODY = sha256(b"").digest()
_KINDS: dict[type, Kind] = {
    Open: Kind.OPEN,
    Close: Kind.CLOSE,
    Transfer: Kind.TRANSFER,
    Hold: Kind.HOLD,
    Post: Kind.POST,
    Void: Kind.VOID,
    Grant: Kind.GRANT,
    Reverse: Kind.REVERSAL,
}


class Refused(Exception):  # noqa: N818 - a decision, no error
    """A request is refused. Never leaves `decide`."""

    def __init__(self, outcome: Outcome, available: int | None = None) -> None:
        super().__init__(outcome)
        self.outcome, self.available = outcome, available


@dataclass(frozen=True, slots=True)
class Scribe:
    """A book, the entries made so far, and the time of the batch."""

    book: Book
    entries: list[Entry]
    now: int

    def write(
        self,
        request: AnyRequest,
        debit: Account,
        credit: Account | None,
        amount: int,
        *,
        target: UUID | None = None,
        code: int = 0,
        priority: int = 0,
        expires_at: int | None = None,
    ) -> Entry:
        """Record a request that is done. The accounts are as they are after it."""
        entry = Entry(
            self._next(),
            request.id,
            _KINDS[type(request)],
            Outcome.OK,
            target,
            debit.number,
            credit.number if credit else 0,
            amount,
            debit.balance,
            debit.held,
            credit.balance if credit else 0,
            credit.held if credit else 0,
            code,
            priority,
            self.now if request.effective_at is None else request.effective_at,
            self.now,
            expires_at,
            request.body_hash,
        )
        self._record(entry, request.told_by, debit.name, credit.name if credit else "")
        debit.version = entry.seq
        if credit:
            credit.version = entry.seq
        return entry

    def expiry(self, kind: Kind, target: UUID, debit: Account, credit: Account, amount: int) -> None:
        """Record that a hold or a lot ended by itself."""
        seq = self._next()
        entry = Entry(
            seq,
            expiry_id(target, seq),
            kind,
            Outcome.OK,
            target,
            debit.number,
            credit.number,
            amount,
            debit.balance,
            debit.held,
            credit.balance,
            credit.held,
            0,
            0,
            self.now,
            self.now,
            None,
            NO_BODY,
        )
        self._record(entry, NO_BODY, debit.name, credit.name)
        debit.version = credit.version = entry.seq

    def refusal(self, request: AnyRequest, outcome: Outcome) -> Entry:
        """Record a request that is refused. It names the accounts that exist, and changes none."""
        named = _named(request)
        debit, credit = (self.book.account(name) if name else None for name in named)
        entry = Entry(
            self._next(),
            request.id,
            _KINDS[type(request)],
            outcome,
            _target(request),
            debit.number if debit else 0,
            credit.number if credit else 0,
            getattr(request, "amount", 0) or 0,
            debit.balance if debit else 0,
            debit.held if debit else 0,
            credit.balance if credit else 0,
            credit.held if credit else 0,
            getattr(request, "code", 0),
            getattr(request, "priority", 0),
            self.now if request.effective_at is None else request.effective_at,
            self.now,
            getattr(request, "expires_at", None),
            request.told_by,
        )
        self._record(entry, request.told_by, *named)
        return entry

    def _next(self) -> int:
        seq = self.book.next_seq
        self.book.next_seq = seq + 1
        return seq

    def _record(self, entry: Entry, told_by: bytes, debit: str, credit: str) -> None:
        self.entries.append(entry)
        self.book.decided[entry.id] = Decided(
            entry.seq, entry.kind, entry.outcome, told_by, debit, credit, entry.amount
        )


def move(debit: Account, credit: Account, amount: int) -> None:
    """Post an amount. Refused when a sum would leave 63 bits."""
    if debit.debits > MAX_AMOUNT - amount or credit.credits > MAX_AMOUNT - amount:
        raise Refused(Outcome.LIMIT_EXCEEDED)
    debit.debits += amount
    credit.credits += amount


def _named(request: AnyRequest) -> tuple[str, str]:
    match request:
        case Transfer() | Hold():
            return request.debit, request.credit
        case Grant():
            return request.source, request.account
        case Open() | Close():
            return request.account, ""
        case _:
            return "", ""


def _target(request: AnyRequest) -> UUID | None:
    match request:
        case Post() | Void():
            return request.hold
        case Reverse():
            return request.transfer
        case _:
            return None
