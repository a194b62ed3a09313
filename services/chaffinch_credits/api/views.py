"""What is answered, as JSON objects. Amounts are decimal strings, times RFC 3339 in UTC."""

from datetime import UTC, datetime, timedelta

import orjson

from chaffinch_credits.api.shapes import AccountShape, EntryShape, LedgerShape, ProofShape, ReplyShape
from chaffinch_credits.ledger.entries import Entry, Reply
from chaffinch_credits.ledger.words import Outcome
from chaffinch_credits.store.ledgers import LedgerView
from chaffinch_credits.store.reads import AccountView

_START = datetime(1970, 1, 1, tzinfo=UTC)


def time(at: int) -> str:
    """Microseconds since 1970 as a time."""
    return (_START + timedelta(microseconds=at)).isoformat().replace("+00:00", "Z")


def reply(request: str, made: Reply) -> ReplyShape:
    """What was decided on a request."""
    found: ReplyShape = {"id": request, "outcome": made.outcome.value, "seq": made.seq}
    if made.available is not None:
        found["available"] = str(made.available)
    if made.replayed:
        found["replayed"] = True
    return found


def account(view: AccountView) -> AccountShape:
    """An account."""
    return {
        "account": view.name,
        "asset": view.asset,
        "scale": view.scale,
        "balance": str(view.balance),
        "held": str(view.held),
        "available": str(view.available),
        "seq": view.seq,
        "closed": view.closed,
        "allow_negative": view.allow_negative,
    }


def entry(one: Entry, names: dict[int, str]) -> EntryShape:
    """An entry. names: accounts by number."""
    return {
        "seq": one.seq,
        "id": str(one.id),
        "kind": one.kind.name.lower(),
        "outcome": one.outcome.value,
        "debit": names.get(one.debit),
        "credit": names.get(one.credit),
        "amount": str(one.amount),
        "target": str(one.target) if one.target else None,
        "debit_balance": str(one.debit_balance) if one.outcome is Outcome.OK else None,
        "credit_balance": str(one.credit_balance) if one.outcome is Outcome.OK else None,
        "code": one.code,
        "effective_at": time(one.effective_at),
        "created_at": time(one.created_at),
        "expires_at": time(one.expires_at) if one.expires_at is not None else None,
    }


def ledger(view: LedgerView) -> LedgerShape:
    """A ledger."""
    return {"ledger": view.name, "id": str(view.id), "assets": view.assets}


def proof(size: int, hashes: list[bytes]) -> ProofShape:
    """A proof for a tree of `size` leaves."""
    return {"size": size, "hashes": [each.hex() for each in hashes]}


def exported(one: Entry, names: dict[int, str], metadata: bytes | None, leaf: bytes) -> dict[str, object]:
    """An entry with all that belongs to it, as a line of an export."""
    said = orjson.loads(metadata) if metadata else None
    hashes = {"body_hash": one.body_hash.hex(), "leaf": leaf.hex()}
    return {**entry(one, names), "priority": one.priority, "metadata": said, **hashes}
