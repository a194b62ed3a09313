"""What goes wrong, as RFC 9457 problems with stable codes. Expected refusals of the ledger are among them."""

from chaffinch_credits.ledger.words import Outcome

_STATUS = {
    Outcome.OK: 201,
    Outcome.IDEMPOTENCY_MISMATCH: 409,
    Outcome.BATCH_FAILED: 409,
    Outcome.ACCOUNT_EXISTS: 409,
    Outcome.TRANSFER_NOT_FOUND: 404,
    Outcome.ALREADY_POSTED: 409,
    Outcome.ALREADY_VOIDED: 409,
    Outcome.HOLD_EXPIRED: 410,
    Outcome.ALREADY_REVERSED: 409,
    Outcome.NOT_REVERSIBLE: 409,
    Outcome.ACCOUNT_NOT_FOUND: 404,
    Outcome.ACCOUNTS_MUST_DIFFER: 400,
    Outcome.ACCOUNT_CLOSED: 409,
    Outcome.ASSET_MISMATCH: 400,
    Outcome.EXCEEDS_PENDING_AMOUNT: 422,
    Outcome.ACCOUNT_NOT_EMPTY: 409,
    Outcome.EXPIRES_IN_THE_PAST: 400,
    Outcome.LIMIT_EXCEEDED: 422,
    Outcome.INSUFFICIENT_FUNDS: 422,
}
_TITLES = {
    Outcome.IDEMPOTENCY_MISMATCH: "this id was used for another request",
    Outcome.BATCH_FAILED: "another request of the atomic batch failed",
    Outcome.ACCOUNT_EXISTS: "there is an account of this name",
    Outcome.TRANSFER_NOT_FOUND: "there is no such hold or transfer, or it was refused",
    Outcome.ALREADY_POSTED: "the hold was posted",
    Outcome.ALREADY_VOIDED: "the hold was voided",
    Outcome.HOLD_EXPIRED: "the hold's time is over",
    Outcome.ALREADY_REVERSED: "the transfer was reversed",
    Outcome.NOT_REVERSIBLE: "only transfers and posted holds can be reversed; void a hold",
    Outcome.ACCOUNT_NOT_FOUND: "an account does not exist: open it first",
    Outcome.ACCOUNTS_MUST_DIFFER: "debit and credit are one account",
    Outcome.ACCOUNT_CLOSED: "an account is closed",
    Outcome.ASSET_MISMATCH: "the accounts have different assets",
    Outcome.EXCEEDS_PENDING_AMOUNT: "the amount is more than was held",
    Outcome.ACCOUNT_NOT_EMPTY: "the account has a balance or open holds",
    Outcome.EXPIRES_IN_THE_PAST: "expires_at is over already",
    Outcome.LIMIT_EXCEEDED: "a sum would exceed 2^63 - 1",
    Outcome.INSUFFICIENT_FUNDS: "the debit account has too little available",
}


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it a problem
    """What a client is told. code: stable; field: JSON path of what is wrong, where it is one field."""

    def __init__(self, status: int, code: str, title: str, field: str = "", retry_after: int | None = None) -> None:
        super().__init__(title)
        self.status, self.code, self.title, self.field, self.retry_after = status, code, title, field, retry_after

    def body(self) -> dict[str, object]:
        """The application/problem+json object."""
        found = {"type": "about:blank", "status": self.status, "code": self.code, "title": self.title}
        return {**found, "field": self.field} if self.field else dict(found)


def status_of(outcome: Outcome) -> int:
    """HTTP status of a decision."""
    return _STATUS[outcome]


def title_of(outcome: Outcome) -> str:
    """What a decision means, for people."""
    return _TITLES[outcome]


def invalid(field: str, why: str, code: str = "invalid_request") -> Problem:
    """A request that cannot be understood: it is not recorded, and may be sent again, repaired."""
    return Problem(400, code, why, field)
