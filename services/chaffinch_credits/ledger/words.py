"""The words of the ledger: kinds of entries, and what can be said of a request. One constant per fact."""

from enum import IntEnum, StrEnum


class Kind(IntEnum):
    """What an entry records. The numbers are part of the canonical encoding and never change."""

    OPEN = 1
    """An account is opened."""
    CLOSE = 2
    """An account is closed: nothing moves on it any more."""
    TRANSFER = 3
    """An amount moves from the debit to the credit account."""
    HOLD = 4
    """An amount of the debit account is reserved for the credit account."""
    POST = 5
    """A hold is posted, in full or in part; the rest is released."""
    VOID = 6
    """A hold is released by request."""
    HOLD_EXPIRED = 7
    """A hold is released because its time was over."""
    GRANT = 8
    """An amount is credited as a lot with a priority and, perhaps, an expiry."""
    GRANT_EXPIRED = 9
    """What is left of a lot goes back to the account that it was granted from."""
    REVERSAL = 10
    """A transfer is undone by its opposite."""


class Outcome(StrEnum):
    """What was decided on a request; the codes of the API. In order of precedence: the first that applies is said.

    All but `IDEMPOTENCY_MISMATCH` are recorded under the request's id and are for ever: a repetition of the request is
    answered the same, whatever has changed since.
    """

    OK = "ok"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    """The id was used with another body. Not recorded: the first use stands."""
    BATCH_FAILED = "batch_failed"
    """Another request of the same atomic batch failed."""
    ACCOUNT_EXISTS = "account_exists"
    TRANSFER_NOT_FOUND = "transfer_not_found"
    """The hold or transfer that is referred to does not exist, or was refused."""
    ALREADY_POSTED = "already_posted"
    ALREADY_VOIDED = "already_voided"
    HOLD_EXPIRED = "hold_expired"
    ALREADY_REVERSED = "already_reversed"
    NOT_REVERSIBLE = "not_reversible"
    """Only transfers and posted holds can be reversed."""
    ACCOUNT_NOT_FOUND = "account_not_found"
    ACCOUNTS_MUST_DIFFER = "accounts_must_differ"
    ACCOUNT_CLOSED = "account_closed"
    ASSET_MISMATCH = "asset_mismatch"
    EXCEEDS_PENDING_AMOUNT = "exceeds_pending_amount"
    ACCOUNT_NOT_EMPTY = "account_not_empty"
    """An account with a balance or with holds cannot be closed."""
    EXPIRES_IN_THE_PAST = "expires_in_the_past"
    LIMIT_EXCEEDED = "limit_exceeded"
    """The sum of an account's debits or credits would leave 63 bits."""
    INSUFFICIENT_FUNDS = "insufficient_funds"


OUTCOMES = (
    Outcome.OK,
    Outcome.BATCH_FAILED,
    Outcome.ACCOUNT_EXISTS,
    Outcome.TRANSFER_NOT_FOUND,
    Outcome.ALREADY_POSTED,
    Outcome.ALREADY_VOIDED,
    Outcome.HOLD_EXPIRED,
    Outcome.ALREADY_REVERSED,
    Outcome.NOT_REVERSIBLE,
    Outcome.ACCOUNT_NOT_FOUND,
    Outcome.ACCOUNTS_MUST_DIFFER,
    Outcome.ACCOUNT_CLOSED,
    Outcome.ASSET_MISMATCH,
    Outcome.EXCEEDS_PENDING_AMOUNT,
    Outcome.ACCOUNT_NOT_EMPTY,
    Outcome.EXPIRES_IN_THE_PAST,
    Outcome.LIMIT_EXCEEDED,
    Outcome.INSUFFICIENT_FUNDS,
)
"""Recorded outcomes by number. Part of the canonical encoding: new ones are added at the end."""
OUTCOME_NUMBERS = {outcome: number for number, outcome in enumerate(OUTCOMES)}
MAX_AMOUNT = 2**63 - 1
"""Largest amount, and largest sum of an account's debits or credits."""
