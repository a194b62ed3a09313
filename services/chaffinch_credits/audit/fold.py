"""What follows from a ledger's entries alone: sums of accounts, open holds, and what is left of lots.

The service goes on from rows that lie beside the entries, where no proof covers them; this is what they must say.
"""

from dataclasses import dataclass, field, replace
from uuid import UUID

from chaffinch_credits.ledger.entries import Entry
from chaffinch_credits.ledger.words import Kind

Draws = tuple[tuple[int, int], ...]
"""Which lots an amount came from: (sequence of the grant, amount), in order."""
_POSTED = frozenset({Kind.TRANSFER, Kind.POST, Kind.GRANT, Kind.GRANT_EXPIRED, Kind.REVERSAL})
_DRAWING = frozenset({Kind.TRANSFER, Kind.HOLD, Kind.GRANT, Kind.REVERSAL})
_RELEASING = frozenset({Kind.POST, Kind.VOID, Kind.HOLD_EXPIRED})


@dataclass(slots=True)
class Sums:
    """An account's; whole numbers of the smallest unit."""

    balance: int = 0
    held: int = 0
    allow_negative: bool = False
    closed: bool = False


@dataclass(frozen=True, slots=True)
class OpenHold:
    """A hold that is open. debit, credit: numbers of accounts; draws: the lots that it is reserved from."""

    debit: int
    credit: int
    amount: int
    expires_at: int | None
    draws: Draws = ()


@dataclass(frozen=True, slots=True)
class LotLine:
    """What is left of a grant. account, source: numbers; remaining: neither drawn, nor reserved, nor expired."""

    id: UUID
    account: int
    source: int
    amount: int
    remaining: int
    priority: int
    expires_at: int | None


@dataclass(slots=True)
class Folded:
    """All of it, as the entries so far leave it.

    Attributes:
        accounts: by number.
        holds: that are open, by id.
        lots: by the sequence of the grant.

    """

    accounts: dict[int, Sums] = field(default_factory=dict)
    holds: dict[UUID, OpenHold] = field(default_factory=dict)
    lots: dict[int, LotLine] = field(default_factory=dict)
    _of_account: dict[int, list[int]] = field(default_factory=dict)
    _by_id: dict[UUID, int] = field(default_factory=dict)

    def apply(self, entry: Entry) -> str:
        """Fold one entry that moved something; what is wrong with it, else empty."""
        debit, credit = (self.accounts.setdefault(number, Sums()) for number in (entry.debit, entry.credit))
        if problem := self._end(entry, debit):
            return problem
        draws = self._draw(entry.debit, entry.amount) if entry.kind in _DRAWING else ()
        match entry.kind:
            case Kind.OPEN:
                debit.allow_negative = bool(entry.code)
            case Kind.CLOSE:
                debit.closed = True
            case Kind.HOLD:
                self.holds[entry.id] = OpenHold(entry.debit, entry.credit, entry.amount, entry.expires_at, draws)
                debit.held += entry.amount
            case Kind.GRANT:
                self._grant(entry)
        if entry.kind in _POSTED:
            debit.balance -= entry.amount
            credit.balance += entry.amount
        return _compare(entry, debit, credit)

    def _end(self, entry: Entry, debit: Sums) -> str:
        """End the hold or the lot that the entry ends, if it ends one."""
        if entry.kind is Kind.GRANT_EXPIRED:
            return self._expire(entry)
        if entry.kind not in _RELEASING:
            return ""
        held = self.holds.pop(entry.target, None) if entry.target else None
        if held is None:
            return "it ends a hold that is not open"
        if entry.amount > held.amount:
            return f"it posts {entry.amount} of a hold of {held.amount}"
        debit.held -= held.amount
        self._give_back(held.draws, entry.amount if entry.kind is Kind.POST else 0)
        return ""

    def _grant(self, entry: Entry) -> None:
        amount, source, account = entry.amount, entry.debit, entry.credit
        self.lots[entry.seq] = LotLine(entry.id, account, source, amount, amount, entry.priority, entry.expires_at)
        self._by_id[entry.id] = entry.seq
        self._of_account.setdefault(account, []).append(entry.seq)

    def _in_order(self, account: int) -> list[int]:
        """Lots with something left, as they are drawn."""
        own = [seq for seq in self._of_account[account] if self.lots[seq].remaining]
        return sorted(own, key=lambda seq: (self.lots[seq].priority, _end(self.lots[seq]), seq))

    def _draw(self, account: int, amount: int) -> Draws:
        if account not in self._of_account:
            return ()
        draws: list[tuple[int, int]] = []
        for seq in self._in_order(account):
            if not amount:
                break
            taken = min(self.lots[seq].remaining, amount)
            amount -= taken
            draws.append((seq, taken))
            self._change(seq, -taken)
        return tuple(draws)

    def _give_back(self, draws: Draws, keep: int) -> None:
        for seq, taken in draws:
            kept = min(taken, keep)
            keep -= kept
            self._change(seq, taken - kept)

    def _expire(self, entry: Entry) -> str:
        seq = self._by_id.get(entry.target) if entry.target else None
        if seq is None or self.lots[seq].remaining != entry.amount:
            return f"it takes back {entry.amount} of a lot that has {self.lots[seq].remaining if seq else 'not been'}"
        self._change(seq, -entry.amount)
        return ""

    def _change(self, seq: int, by: int) -> None:
        self.lots[seq] = replace(self.lots[seq], remaining=self.lots[seq].remaining + by)


def _end(lot: LotLine) -> int:
    return lot.expires_at if lot.expires_at is not None else 2**63


def _compare(entry: Entry, debit: Sums, credit: Sums) -> str:
    if not debit.allow_negative and debit.balance < debit.held:
        return f"account {entry.debit} is below zero"
    if (debit.balance, debit.held) != (entry.debit_balance, entry.debit_held):
        return f"account {entry.debit} has balance {debit.balance} and {debit.held} held, and it says otherwise"
    if entry.credit and (credit.balance, credit.held) != (entry.credit_balance, entry.credit_held):
        return f"account {entry.credit} has balance {credit.balance} and {credit.held} held, and it says otherwise"
    return ""
