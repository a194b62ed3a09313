"""Moving amounts: transfers, grants, reversals. Every check comes before the first change."""

from chaffinch_credits.ledger.book import Account, Book, Lot
from chaffinch_credits.ledger.entries import Entry
from chaffinch_credits.ledger.expiry import draw, expire
from chaffinch_credits.ledger.requests import Grant, Reverse, Transfer
from chaffinch_credits.ledger.scribe import Refused, Scribe, move
from chaffinch_credits.ledger.words import MAX_AMOUNT, Kind, Outcome


def transfer(scribe: Scribe, request: Transfer) -> Entry:
    """Move an amount, out of lots first."""
    debit, credit = pair(scribe.book, request.debit, request.credit)
    require_funds(scribe, debit, request.amount)
    require_room(debit, credit, request.amount)
    draw(scribe.book, debit.name, request.amount)
    move(debit, credit, request.amount)
    return scribe.write(request, debit, credit, request.amount, code=request.code)


def grant(scribe: Scribe, request: Grant) -> Entry:
    """Move an amount that becomes a lot of the account. The source's own lots are drawn as by any transfer."""
    source, account = pair(scribe.book, request.source, request.account)
    if request.expires_at is not None and request.expires_at <= scribe.now:
        raise Refused(Outcome.EXPIRES_IN_THE_PAST)
    require_funds(scribe, source, request.amount)
    require_room(source, account, request.amount)
    draw(scribe.book, source.name, request.amount)
    move(source, account, request.amount)
    entry = scribe.write(
        request,
        source,
        account,
        request.amount,
        code=request.code,
        priority=request.priority,
        expires_at=request.expires_at,
    )
    scribe.book.add_lot(
        Lot(
            request.id,
            entry.seq,
            account.name,
            source.name,
            request.amount,
            request.amount,
            request.priority,
            request.expires_at,
        )
    )
    return entry


def reverse(scribe: Scribe, request: Reverse) -> Entry:
    """Move the amount back. It comes back as plain credits: lots that it was drawn from are not filled again."""
    book, done = scribe.book, scribe.book.known(request.transfer)
    if done is None or done.outcome is not Outcome.OK:
        raise Refused(Outcome.TRANSFER_NOT_FOUND)
    if done.kind not in {Kind.TRANSFER, Kind.POST}:
        raise Refused(Outcome.NOT_REVERSIBLE)
    if done.reversed:
        raise Refused(Outcome.ALREADY_REVERSED)
    debit, credit = pair(book, done.credit, done.debit)
    require_funds(scribe, debit, done.amount)
    require_room(debit, credit, done.amount)
    draw(book, debit.name, done.amount)
    move(debit, credit, done.amount)
    book.reverse(request.transfer)
    return scribe.write(request, debit, credit, done.amount, target=request.transfer)


def pair(book: Book, debit: str, credit: str) -> tuple[Account, Account]:
    """Both accounts, when an amount can move between them."""
    one, other = book.account(debit), book.account(credit)
    if one is None or other is None:
        raise Refused(Outcome.ACCOUNT_NOT_FOUND)
    if one is other:
        raise Refused(Outcome.ACCOUNTS_MUST_DIFFER)
    if one.closed or other.closed:
        raise Refused(Outcome.ACCOUNT_CLOSED)
    if one.asset != other.asset:
        raise Refused(Outcome.ASSET_MISMATCH)
    return one, other


def require_funds(scribe: Scribe, debit: Account, amount: int) -> None:
    """What is due on the account ends first; then there must be enough."""
    expire(scribe, debit.name)
    if not debit.allow_negative and debit.available < amount:
        raise Refused(Outcome.INSUFFICIENT_FUNDS, debit.available)


def require_room(debit: Account, credit: Account, amount: int) -> None:
    """All sums stay within 63 bits, open holds counted as if posted."""
    if debit.debits + debit.held > MAX_AMOUNT - amount or credit.credits + credit.expected > MAX_AMOUNT - amount:
        raise Refused(Outcome.LIMIT_EXCEEDED)
