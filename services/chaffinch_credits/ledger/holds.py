"""Holds: reserved amounts that are posted, voided, or end by themselves."""

from uuid import UUID

from chaffinch_credits.ledger.book import Account, HoldState
from chaffinch_credits.ledger.entries import Entry
from chaffinch_credits.ledger.expiry import draw, end_hold, give_back
from chaffinch_credits.ledger.requests import Hold, Post, Void
from chaffinch_credits.ledger.scribe import Refused, Scribe, move
from chaffinch_credits.ledger.transfers import pair, require_funds, require_room
from chaffinch_credits.ledger.words import Kind, Outcome

_ENDED = {
    Kind.POST: Outcome.ALREADY_POSTED,
    Kind.VOID: Outcome.ALREADY_VOIDED,
    Kind.HOLD_EXPIRED: Outcome.HOLD_EXPIRED,
}


def hold(scribe: Scribe, request: Hold) -> Entry:
    """Reserve an amount, out of lots first: what is reserved does not expire with its lot."""
    debit, credit = pair(scribe.book, request.debit, request.credit)
    if request.expires_at is not None and request.expires_at <= scribe.now:
        raise Refused(Outcome.EXPIRES_IN_THE_PAST)
    require_funds(scribe, debit, request.amount)
    require_room(debit, credit, request.amount)
    draws = draw(scribe.book, debit.name, request.amount)
    debit.held += request.amount
    credit.expected += request.amount
    entry = scribe.write(request, debit, credit, request.amount, code=request.code, expires_at=request.expires_at)
    scribe.book.add_hold(
        HoldState(request.id, entry.seq, debit.name, credit.name, request.amount, request.expires_at, draws)
    )
    return entry


def post(scribe: Scribe, request: Post) -> Entry:
    """Post a hold in full or in part; the rest is given back."""
    found, debit, credit = _open(scribe, request.hold)
    amount = found.amount if request.amount is None else request.amount
    if amount > found.amount:
        raise Refused(Outcome.EXCEEDS_PENDING_AMOUNT)
    _release(found, debit, credit, Kind.POST)
    give_back(scribe.book, found.draws, keep=amount)
    move(debit, credit, amount)
    return scribe.write(request, debit, credit, amount, target=found.id)


def void(scribe: Scribe, request: Void) -> Entry:
    """Give all of a hold back."""
    found, debit, credit = _open(scribe, request.hold)
    _release(found, debit, credit, Kind.VOID)
    give_back(scribe.book, found.draws)
    return scribe.write(request, debit, credit, found.amount, target=found.id)


def _open(scribe: Scribe, which: UUID) -> tuple[HoldState, Account, Account]:
    found = scribe.book.hold(which)
    if found is None:
        raise Refused(Outcome.TRANSFER_NOT_FOUND)
    if found.due(scribe.now):
        end_hold(scribe, found)
    if found.state in _ENDED:
        raise Refused(_ENDED[found.state])
    debit, credit = scribe.book.account(found.debit), scribe.book.account(found.credit)
    assert debit is not None
    assert credit is not None
    return found, debit, credit


def _release(found: HoldState, debit: Account, credit: Account, state: Kind) -> None:
    found.state = state
    debit.held -= found.amount
    credit.expected -= found.amount
