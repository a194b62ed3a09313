"""What ends by itself: holds and lots whose time is over. Done before an account is debited, and by the sweeper."""

from chaffinch_credits.ledger.book import Book, Draws, HoldState
from chaffinch_credits.ledger.scribe import Scribe, move
from chaffinch_credits.ledger.words import Kind


def expire(scribe: Scribe, account: str) -> None:
    """End the account's holds that are due, then its lots: what a hold gives back may be due at once."""
    for hold in scribe.book.holds_due(account, scribe.now):
        end_hold(scribe, hold)
    for lot in scribe.book.lots_in_order(account):
        if lot.due(scribe.now):
            holder, source = scribe.book.account(lot.account), scribe.book.account(lot.source)
            assert holder is not None
            assert source is not None
            left = lot.left
            move(holder, source, left)
            lot.left = 0
            scribe.expiry(Kind.GRANT_EXPIRED, lot.id, holder, source, left)


def end_hold(scribe: Scribe, hold: HoldState) -> None:
    """Release a hold whose time is over."""
    debit, credit = scribe.book.account(hold.debit), scribe.book.account(hold.credit)
    assert debit is not None
    assert credit is not None
    hold.state = Kind.HOLD_EXPIRED
    debit.held -= hold.amount
    credit.expected -= hold.amount
    give_back(scribe.book, hold.draws)
    scribe.expiry(Kind.HOLD_EXPIRED, hold.id, debit, credit, hold.amount)


def draw(book: Book, account: str, amount: int) -> Draws:
    """Take an amount out of the account's lots, in order, as far as they reach."""
    draws: list[tuple[int, int]] = []
    for lot in book.lots_in_order(account):
        if not amount:
            break
        taken = min(lot.left, amount)
        lot.left -= taken
        amount -= taken
        draws.append((lot.seq, taken))
    return tuple(draws)


def give_back(book: Book, draws: Draws, keep: int = 0) -> None:
    """Put back what was drawn, but the first `keep` of it."""
    for seq, taken in draws:
        kept = min(taken, keep)
        keep -= kept
        lot = book.lot(seq)
        assert lot is not None
        lot.left += taken - kept
