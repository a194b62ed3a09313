"""Opening and closing accounts."""

from chaffinch_credits.ledger.book import Account
from chaffinch_credits.ledger.entries import Entry
from chaffinch_credits.ledger.expiry import expire
from chaffinch_credits.ledger.requests import Close, Open
from chaffinch_credits.ledger.scribe import Refused, Scribe
from chaffinch_credits.ledger.words import Outcome


def open_account(scribe: Scribe, request: Open) -> Entry:
    """Give the account the next number."""
    book = scribe.book
    if book.account(request.account) is not None:
        raise Refused(Outcome.ACCOUNT_EXISTS)
    account = Account(book.next_number, request.account, request.asset, request.allow_negative)
    book.next_number += 1
    book.accounts[request.account] = account
    return scribe.write(request, account, None, 0, code=int(request.allow_negative))


def close(scribe: Scribe, request: Close) -> Entry:
    """Close an account on which nothing is left and nothing is open."""
    account = scribe.book.account(request.account)
    if account is None:
        raise Refused(Outcome.ACCOUNT_NOT_FOUND)
    if account.closed:
        raise Refused(Outcome.ACCOUNT_CLOSED)
    expire(scribe, request.account)
    if account.balance or account.held or account.expected:
        raise Refused(Outcome.ACCOUNT_NOT_EMPTY)
    account.closed = True
    return scribe.write(request, account, None, 0)
