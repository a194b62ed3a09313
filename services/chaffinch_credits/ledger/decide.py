"""The ledger's rules: from a book and a batch of requests to entries and replies. Pure.

Requests are decided one after the other in the order given, each seeing the ones before it. A refusal moves nothing and
is recorded; the first check that fails, in the order of `Outcome`, is what is said.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from chaffinch_credits.ledger import accounts, holds, transfers
from chaffinch_credits.ledger.book import Book
from chaffinch_credits.ledger.entries import Entry, Reply
from chaffinch_credits.ledger.expiry import expire
from chaffinch_credits.ledger.requests import AnyRequest, Close, Grant, Hold, Open, Post, Reverse, Transfer, Void
from chaffinch_credits.ledger.scribe import Refused, Scribe
from chaffinch_credits.ledger.words import Outcome

_RULES: dict[type, Callable[[Scribe, Any], Entry]] = {
    Open: accounts.open_account,
    Close: accounts.close,
    Transfer: transfers.transfer,
    Hold: holds.hold,
    Post: holds.post,
    Void: holds.void,
    Grant: transfers.grant,
    Reverse: transfers.reverse,
}


@dataclass(frozen=True, slots=True)
class Group:
    """Requests that were sent together. atomic: all of them happen, or none."""

    requests: tuple[AnyRequest, ...]
    atomic: bool = False


@dataclass(slots=True)
class Decisions:
    """What a batch decided: all that is to be written, and the replies in the order of the requests."""

    entries: list[Entry] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)


def decide(book: Book, groups: Sequence[Group], now: int) -> Decisions:
    """Decide a batch. `book` is brought up to date; the caller drops it if the batch cannot be written.

    now: microseconds since 1970, UTC, by the database's clock.
    """
    made = Decisions()
    for group in groups:
        if group.atomic and len(group.requests) > 1:
            _all_or_none(book, group.requests, now, made)
        else:
            for request in group.requests:
                made.replies.append(_one(book, request, now, made.entries))
    return made


def sweep(book: Book, now: int) -> Decisions:
    """End every hold and lot in the book whose time is over."""
    made = Decisions()
    for name in sorted(book.perishable()):
        expire(Scribe(book, made.entries, now), name)
    return made


def _all_or_none(book: Book, requests: Sequence[AnyRequest], now: int, made: Decisions) -> None:
    page, entries = book.page(), list[Entry]()
    replies = [_one(page, request, now, entries) for request in requests]
    if all(reply.outcome is Outcome.OK for reply in replies):
        page.keep()
        made.entries += entries
        made.replies += replies
        return
    for request, reply in zip(requests, replies, strict=True):
        made.replies.append(_as_failed(book, request, reply, now, made.entries))


def _as_failed(book: Book, request: AnyRequest, reply: Reply, now: int, entries: list[Entry]) -> Reply:
    """Record a request of an atomic batch that failed: under its own reason, or because of another's."""
    if (before := _decided_before(book, request)) is not None:
        return before
    if reply.outcome is Outcome.IDEMPOTENCY_MISMATCH:
        return reply
    reason = reply.outcome if reply.outcome is not Outcome.OK else Outcome.BATCH_FAILED
    return _refuse(Scribe(book, entries, now), request, Refused(reason, reply.available))


def _one(book: Book, request: AnyRequest, now: int, entries: list[Entry]) -> Reply:
    if (before := _decided_before(book, request)) is not None:
        return before
    scribe = Scribe(book, entries, now)
    try:
        entry = _RULES[type(request)](scribe, request)
    except Refused as refused:
        return _refuse(scribe, request, refused)
    return Reply(Outcome.OK, entry.seq)


def _decided_before(book: Book, request: AnyRequest) -> Reply | None:
    known = book.known(request.id)
    if known is None:
        return None
    if known.told_by != request.body_hash and known.told_by not in request.known_by:
        return Reply(Outcome.IDEMPOTENCY_MISMATCH, 0)
    return Reply(known.outcome, known.seq, replayed=True)


def _refuse(scribe: Scribe, request: AnyRequest, refused: Refused) -> Reply:
    entry = scribe.refusal(request, refused.outcome)
    return Reply(entry.outcome, entry.seq, available=refused.available)
