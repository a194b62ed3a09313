"""Whether an entry is what was asked for: its body hash, over the names of its accounts and its metadata.

Names, assets and metadata lie beside the entries; this is what binds them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chaffinch_credits.ledger.body import body_hash
from chaffinch_credits.ledger.entries import Entry
from chaffinch_credits.ledger.requests import AnyRequest, Close, Grant, Hold, Open, Post, Reverse, Transfer, Void
from chaffinch_credits.ledger.scribe import NO_BODY
from chaffinch_credits.ledger.words import Kind, Outcome

_UNASKED = frozenset({Kind.HOLD_EXPIRED, Kind.GRANT_EXPIRED})


@dataclass(frozen=True, slots=True)
class Standing:
    """An account as the service goes on from it; balance and held are whole numbers of the smallest unit."""

    name: str
    asset: str
    allow_negative: bool
    closed: bool
    balance: int
    held: int


def what_is_wrong(entry: Entry, accounts: Mapping[int, Standing], metadata: bytes) -> str:
    """Why the entry is not what was asked for; empty when it is.

    The body of a refusal cannot be made again, as it may name accounts that never were; so it has no metadata.
    """
    if entry.outcome is not Outcome.OK:
        return "it was refused, and has metadata" if metadata else ""
    if entry.kind in _UNASKED:
        return "" if entry.body_hash == NO_BODY and not metadata else "nobody asked for it, and it has a body"
    if not any(body_hash(one, metadata) == entry.body_hash for one in _requests(entry, accounts)):
        return "its accounts' names, its asset or its metadata are not those that were asked for"
    return ""


def _requests(entry: Entry, accounts: Mapping[int, Standing]) -> Iterator[AnyRequest]:
    """What may have been asked: a time or an amount that was left out leaves the same entry as one that was said."""
    times = (None, entry.effective_at) if entry.effective_at == entry.created_at else (entry.effective_at,)
    for effective_at in times:
        yield from _at(entry, accounts, {"id": entry.id, "body_hash": b"", "effective_at": effective_at})


def _at(entry: Entry, accounts: Mapping[int, Standing], common: dict[str, Any]) -> Iterator[AnyRequest]:
    debit, credit = (accounts[number].name if number in accounts else "" for number in (entry.debit, entry.credit))
    amount, code, expires_at, target = entry.amount, entry.code, entry.expires_at, entry.target
    match entry.kind:
        case Kind.OPEN:
            asset = accounts[entry.debit].asset if entry.debit in accounts else ""
            yield Open(account=debit, asset=asset, allow_negative=bool(code), **common)
        case Kind.CLOSE:
            yield Close(account=debit, **common)
        case Kind.TRANSFER:
            yield Transfer(debit=debit, credit=credit, amount=amount, code=code, **common)
        case Kind.HOLD:
            yield Hold(debit=debit, credit=credit, amount=amount, code=code, expires_at=expires_at, **common)
        case Kind.GRANT:
            yield Grant(
                source=debit,
                account=credit,
                amount=amount,
                priority=entry.priority,
                expires_at=expires_at,
                code=code,
                **common,
            )
    if target is not None:
        yield from _about(entry, target, common)


def _about(entry: Entry, target: UUID, common: dict[str, Any]) -> Iterator[AnyRequest]:
    """A request about an earlier one."""
    match entry.kind:
        case Kind.POST:
            yield Post(hold=target, **common)
            yield Post(hold=target, amount=entry.amount, **common)
        case Kind.VOID:
            yield Void(hold=target, **common)
        case Kind.REVERSAL:
            yield Reverse(transfer=target, **common)
