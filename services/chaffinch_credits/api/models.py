"""What clients send, as models: they read the bodies, and the OpenAPI document is made from them.

A field's description is also what is said when it is wrong: "<field> must be <description>".
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from asyncpg.pgproto.pgproto import UUID as FastUUID  # noqa: N811 - a UUID that is read and hashed ten times as fast
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from chaffinch_credits.ledger.requests import AnyRequest, Close, Grant, Hold, Open, Post, Reverse, Transfer, Void
from chaffinch_credits.ledger.words import MAX_AMOUNT

MAX_BATCH = 500
MAX_SCALE = 18
_FIRST_YEAR, _LAST_YEAR = 1970, 9000
_START = datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC)
_UUID_LENGTH = 36
_CODE_MAX = 2**31 - 1
LEDGER_PATTERN = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
ACCOUNT_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.:@/-]{0,127}$"
ASSET_PATTERN = r"^[A-Z][A-Z0-9_]{0,15}$"
KEY_PATTERN = r"^[!-~]{1,255}$"
_AMOUNT = re.compile(r"[1-9][0-9]{0,18}")
ID_TEXT = "a UUID with its hyphens"
TIME_TEXT = "a time with its zone, such as 2026-01-31T12:00:00Z"
_ACCOUNT_TEXT = "an account's name: up to 128 of A-Z a-z 0-9 _ . : @ / -, a letter or digit first"
_ASSET_TEXT = "an asset's code, such as CREDIT or USD"
_AMOUNT_TEXT = f'a whole number from 1 to {MAX_AMOUNT} as a JSON string, such as "100"'


def parse_uuid(text: object) -> UUID:
    """A UUID in its usual form. ValueError otherwise."""
    if not isinstance(text, str) or len(text) != _UUID_LENGTH:
        raise ValueError(ID_TEXT)
    return FastUUID(text)


def parse_amount(text: object) -> int:
    """A decimal string as a number. ValueError unless it is from 1 to MAX_AMOUNT."""
    if not isinstance(text, str) or not _AMOUNT.fullmatch(text) or int(text) > MAX_AMOUNT:
        raise ValueError(_AMOUNT_TEXT)
    return int(text)


def parse_time(text: object) -> int:
    """A time as microseconds since 1970, UTC. ValueError unless it has a zone and is of 1970 to 9000."""
    at = datetime.fromisoformat(text) if isinstance(text, str) else None
    if at is None or at.tzinfo is None or not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        raise ValueError(TIME_TEXT)
    since = at.astimezone(UTC) - _START
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


Id = Annotated[UUID, BeforeValidator(parse_uuid)]
Amount = Annotated[
    int, BeforeValidator(parse_amount), WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]{0,18}$"})
]
Time = Annotated[int, BeforeValidator(parse_time), WithJsonSchema({"type": "string", "format": "date-time"})]
AccountName = Annotated[str, Field(pattern=ACCOUNT_PATTERN)]
AssetCode = Annotated[str, Field(pattern=ASSET_PATTERN)]
Scale = Annotated[int, Field(ge=0, le=MAX_SCALE)]


class Body(BaseModel):
    """What all requests may say. `fields`: those that the request to the ledger has, beside its id and time."""

    model_config = ConfigDict(extra="forbid", strict=True)
    request: ClassVar[type[Any]]
    fields: ClassVar[tuple[str, ...]]
    id: Id | None = Field(
        None, description="a UUID with its hyphens, chosen by the client; may be missing with an Idempotency-Key"
    )
    effective_at: Time | None = Field(None, description=TIME_TEXT)
    metadata: dict[str, Any] | None = Field(None, description="a JSON object of at most 4096 bytes")

    def asked(self, own: UUID, body_hash: bytes = b"") -> AnyRequest:
        """The request to the ledger."""
        named = {name: getattr(self, name) for name in self.fields}
        made: AnyRequest = self.request(id=own, body_hash=body_hash, effective_at=self.effective_at, **named)
        return made


_CODE = Field(0, ge=0, le=_CODE_MAX, description=f"a whole number from 0 to {_CODE_MAX}: what it is for")


class OpenBody(Body):
    """Open an account."""

    request, fields = Open, ("account", "asset", "allow_negative")
    type: Literal["open"] = "open"
    account: AccountName = Field(description=_ACCOUNT_TEXT)
    asset: AssetCode = Field(description=_ASSET_TEXT)
    allow_negative: bool = Field(False, description="true or false: true for a source or a counterparty")


class CloseBody(Body):
    """Close an account that is empty."""

    request, fields = Close, ("account",)
    type: Literal["close"] = "close"
    account: AccountName = Field(description=_ACCOUNT_TEXT)


class TransferBody(Body):
    """Move an amount."""

    request, fields = Transfer, ("debit", "credit", "amount", "code")
    type: Literal["transfer"] = "transfer"
    debit: AccountName = Field(description=_ACCOUNT_TEXT)
    credit: AccountName = Field(description=_ACCOUNT_TEXT)
    amount: Amount = Field(description=_AMOUNT_TEXT)
    code: int = _CODE


class HoldBody(Body):
    """Reserve an amount."""

    request, fields = Hold, ("debit", "credit", "amount", "code", "expires_at")
    type: Literal["hold"] = "hold"
    debit: AccountName = Field(description=_ACCOUNT_TEXT)
    credit: AccountName = Field(description=_ACCOUNT_TEXT)
    amount: Amount = Field(description=_AMOUNT_TEXT)
    code: int = _CODE
    expires_at: Time | None = Field(None, description=TIME_TEXT)


class PostBody(Body):
    """Post a hold, in full or in part."""

    request, fields = Post, ("hold", "amount")
    type: Literal["post"] = "post"
    hold: Id = Field(description=ID_TEXT)
    amount: Amount | None = Field(None, description=_AMOUNT_TEXT)


class VoidBody(Body):
    """Release a hold."""

    request, fields = Void, ("hold",)
    type: Literal["void"] = "void"
    hold: Id = Field(description=ID_TEXT)


class GrantBody(Body):
    """Credit an account with a lot that is drawn by priority and may expire."""

    request, fields = Grant, ("source", "account", "amount", "priority", "expires_at", "code")
    type: Literal["grant"] = "grant"
    source: AccountName = Field(description=_ACCOUNT_TEXT)
    account: AccountName = Field(description=_ACCOUNT_TEXT)
    amount: Amount = Field(description=_AMOUNT_TEXT)
    priority: int = Field(
        0, ge=-1000, le=1000, description="a whole number from -1000 to 1000: the lowest is drawn first"
    )
    expires_at: Time | None = Field(None, description=TIME_TEXT)
    code: int = _CODE


class ReverseBody(Body):
    """Undo a transfer or a posted hold by its opposite."""

    request, fields = Reverse, ("transfer",)
    type: Literal["reverse"] = "reverse"
    transfer: Id = Field(description=ID_TEXT)


BODIES: dict[str, type[Body]] = {
    "open": OpenBody,
    "close": CloseBody,
    "transfer": TransferBody,
    "hold": HoldBody,
    "post": PostBody,
    "void": VoidBody,
    "grant": GrantBody,
    "reverse": ReverseBody,
}


class BatchBody(BaseModel):
    """Requests that are decided together: each for itself, or all or none."""

    model_config = ConfigDict(extra="forbid", strict=True)
    mode: Literal["independent", "atomic"] = Field("independent", description="independent or atomic")
    requests: list[dict[str, Any]] = Field(
        min_length=1, max_length=MAX_BATCH, description=f"a list of 1 to {MAX_BATCH} requests, each with type and id"
    )


class AssetsBody(BaseModel):
    """The assets of a ledger."""

    model_config = ConfigDict(extra="forbid", strict=True)
    assets: dict[AssetCode, Scale] = Field(
        min_length=1,
        json_schema_extra={"additionalProperties": False},
        description=f'scales from 0 to {MAX_SCALE} by code of the asset, such as {{"CREDIT": 0, "USD": 2}}',
    )


class SecretBody(BaseModel):
    """The secret of a webhook, where the client chooses it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    secret: str | None = Field(
        None, max_length=100, description="whsec_ and base64 of 24 to 64 random bytes; without, one is made"
    )


class WebhookBody(SecretBody):
    """A target of events."""

    url: str = Field(max_length=2048, description="https://host/path, at a public address")


class ReplayBody(BaseModel):
    """From where to deliver again."""

    model_config = ConfigDict(extra="forbid", strict=True)
    from_block: int = Field(ge=1, le=2**62, description="number of the first block that is to be delivered")
