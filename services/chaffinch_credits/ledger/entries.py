"""What is written down: one entry a decision, refusals included, in one gapless sequence per ledger."""

from dataclasses import dataclass
from uuid import UUID, uuid5

from chaffinch_credits.ledger.words import Kind, Outcome

EXPIRY = UUID("6f0c4a3e-9d58-5b7a-8f6e-2d1c0b9a8e77")
"""Namespace of the ids of expiries, which nobody asked for."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision. Fields that a kind does not have are 0, None or empty.

    Attributes:
        seq: from 1, without gaps.
        id: of the request, or derived from what expired.
        kind: what was asked for.
        outcome: what was decided. Anything but OK moved nothing.
        target: the hold or transfer that it refers to.
        debit: number of the debit account; for OPEN and CLOSE, the account. 0 when there is no such account.
        credit: number of the credit account.
        amount: what moved or was reserved; for a refusal, what was asked for.
        debit_balance: balance of the debit account after it.
        debit_held: sum of open holds on the debit account after it.
        credit_balance: balance of the credit account after it.
        credit_held: sum of open holds on the credit account after it.
        code: the client's number for what it is for; of OPEN, 1 for an account that may be negative.
        priority: of a grant.
        effective_at: microseconds since 1970, UTC.
        created_at: when it was decided, by the database's clock.
        expires_at: of a hold or a grant.
        body_hash: SHA-256 of the request's body; of nothing for an expiry.

    """

    seq: int
    id: UUID
    kind: Kind
    outcome: Outcome
    target: UUID | None
    debit: int
    credit: int
    amount: int
    debit_balance: int
    debit_held: int
    credit_balance: int
    credit_held: int
    code: int
    priority: int
    effective_at: int
    created_at: int
    expires_at: int | None
    body_hash: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request is answered.

    Attributes:
        outcome: what was decided, now or before.
        seq: of the entry; 0 where nothing is recorded (IDEMPOTENCY_MISMATCH).
        replayed: it was decided before.
        available: of the debit account, said with INSUFFICIENT_FUNDS.

    """

    outcome: Outcome
    seq: int
    replayed: bool = False
    available: int | None = None


def expiry_id(of: UUID, seq: int) -> UUID:
    """The id of the entry that ends a hold, or takes what is left of a lot, which can happen again after a hold."""
    return uuid5(EXPIRY, f"{of.hex}:{seq}")
