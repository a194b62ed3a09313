"""What is answered, as JSON objects. Amounts are decimal strings, times RFC 3339 in UTC."""

from datetime import UTC, datetime, timedelta

from chaffinch_credits.ledger.entries import Entry, Reply
from chaffinch_credits.ledger.words import Outcome
from chaffinch_credits.store.reads import AccountView

_START = datetime(1970, 1, 1, tzinfo=UTC)


def time(at: int | None) -> str | None:
    """Microseconds since 1970 as a time."""
    return None if at is None else (_START + timedelta(microseconds=at)).isoformat().replace("+00:00", "Z")


def reply(request: str, made: Reply) -> dict[str, object]:
    """What was decided on a request."""
    found: dict[str, object] = {"id": request, "outcome": made.outcome.value, "seq": made.seq}
    if made.available is not None:
        found["available"] = str(made.available)
    if made.replayed:
        found["replayed"] = True
    return found


def account(view: AccountView) -> dict[str, object]:
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


def entry(one: Entry, names: dict[int, str]) -> dict[str, object]:
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
        "expires_at": time(one.expires_at),
    }
