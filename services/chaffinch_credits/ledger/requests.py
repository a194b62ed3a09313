"""What can be asked of a ledger. Frozen values, checked for form where they are read; `id` is the idempotency key.

Times are microseconds since 1970 in UTC, amounts are whole numbers of the asset's smallest unit from 1 to 2^63 - 1.
"""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What all requests have.

    Attributes:
        id: chosen by the client before it sends; the same id with the same body is the same request.
        body_hash: SHA-256 of the canonical body, 32 bytes.
        known_by: other hashes by which a repetition is told, as that of metadata that is sealed anew each time is not;
            the first is recorded with a refusal.
        effective_at: when it counts for the client's books, or None for the time of the decision.

    """

    id: UUID
    body_hash: bytes
    effective_at: int | None = None
    known_by: tuple[bytes, ...] = ()

    @property
    def told_by(self) -> bytes:
        """The hash that is the same for each repetition."""
        return self.known_by[0] if self.known_by else self.body_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Open(Request):
    """Open an account of one asset. allow_negative: a source or a counterparty, not bound by its balance."""

    account: str
    asset: str
    allow_negative: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Close(Request):
    """Close an account that is empty."""

    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Request):
    """Move an amount. code: what it is for, the client's own number, 0 to 2^31 - 1."""

    debit: str
    credit: str
    amount: int
    code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(Request):
    """Reserve an amount until it is posted, voided, or `expires_at` is over (None: never)."""

    debit: str
    credit: str
    amount: int
    expires_at: int | None = None
    code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Post(Request):
    """Post a hold. amount: None for all of it."""

    hold: UUID
    amount: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Void(Request):
    """Release a hold."""

    hold: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant(Request):
    """Credit an account with a lot. Lots are drawn down by priority (lowest first), then by expiry, then by age."""

    source: str
    account: str
    amount: int
    priority: int = 0
    expires_at: int | None = None
    code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverse(Request):
    """Undo a transfer, or a posted hold, by its opposite."""

    transfer: UUID


AnyRequest = Open | Close | Transfer | Hold | Post | Void | Grant | Reverse
