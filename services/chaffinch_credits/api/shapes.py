"""What is answered, as types: the views return them, and the OpenAPI document is made from them."""

from typing import Any, NotRequired

from typing_extensions import TypedDict


class ReplyShape(TypedDict):
    """What was decided on a request."""

    id: str
    outcome: str
    seq: int
    available: NotRequired[str]
    replayed: NotRequired[bool]


class BatchShape(TypedDict):
    """Replies in the order of the requests."""

    replies: list[ReplyShape]


class AccountShape(TypedDict):
    """An account as it is, or was after the entry seq."""

    account: str
    asset: str
    scale: int
    balance: str
    held: str
    available: str
    seq: int
    closed: bool
    allow_negative: bool


class EntryShape(TypedDict):
    """What was decided on one request, refusals included.

    metadata: what was said beside it, where one entry is asked for; metadata_sealed: there is some, but no key for it.
    """

    seq: int
    id: str
    kind: str
    outcome: str
    debit: str | None
    credit: str | None
    amount: str
    target: str | None
    debit_balance: str | None
    credit_balance: str | None
    code: int
    effective_at: str
    created_at: str
    expires_at: str | None
    metadata: NotRequired[dict[str, Any]]
    metadata_sealed: NotRequired[bool]


class EntriesShape(TypedDict):
    """A page, newest first; next_before: ask for the next page with it, null on the last."""

    entries: list[EntryShape]
    next_before: int | None


class LedgerShape(TypedDict):
    """A ledger; id: what is hashed into its entries."""

    ledger: str
    id: str
    assets: dict[str, int]


class WebhookShape(TypedDict):
    """A target of events.

    state: active, failing (the last attempt failed), or disabled (it answered 410); delivered: the last block that it
    took; waiting: blocks after that; given_up: events that were left out; secret: shown when it is made.
    """

    id: str
    url: str
    state: str
    delivered: int
    waiting: int
    attempts: int
    given_up: int
    last_error: str
    secret: NotRequired[str]


class WebhooksShape(TypedDict):
    """All webhooks of a ledger."""

    webhooks: list[WebhookShape]


class ProofShape(TypedDict):
    """Hashes of a proof (RFC 9162), hexadecimal, in the order in which they are used."""

    size: int
    hashes: list[str]


class ProblemShape(TypedDict):
    """What went wrong (RFC 9457). A refused request has its id, outcome and sequence beside it."""

    type: str
    status: int
    code: str
    title: str
    field: NotRequired[str]
    id: NotRequired[str]
    outcome: NotRequired[str]
    seq: NotRequired[int]
    available: NotRequired[str]
    replayed: NotRequired[bool]
    replies: NotRequired[list[ReplyShape]]
