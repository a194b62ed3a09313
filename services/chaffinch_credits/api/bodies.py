"""From JSON bodies to requests. Pure. Unknown fields are refused: a misspelt one must not be overlooked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import NAMESPACE_OID, UUID, uuid5

import orjson
from pydantic import BaseModel, ValidationError

from chaffinch_credits.api.models import (
    ACCOUNT_PATTERN,
    BODIES,
    KEY_PATTERN,
    LEDGER_PATTERN,
    MAX_BATCH,
    TIME_TEXT,
    AssetsBody,
    BatchBody,
    Body,
    ReplayBody,
    SecretBody,
    WebhookBody,
)
from chaffinch_credits.api.models import parse_time as time_of
from chaffinch_credits.api.problems import Problem, invalid
from chaffinch_credits.ledger.body import body_hash
from chaffinch_credits.ledger.requests import AnyRequest

MAX_BODY = 1024 * 1024
MAX_METADATA = 4096
_SHOWN = 80
_LEDGER, _ACCOUNT, _KEY = (re.compile(pattern[1:-1]) for pattern in (LEDGER_PATTERN, ACCOUNT_PATTERN, KEY_PATTERN))
Fields = Mapping[str, Any]
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Read:
    """A request, and its canonical metadata if it has some."""

    request: AnyRequest
    metadata: bytes = b""


def parse_json(raw: bytes) -> Fields:
    """The body as an object. Problem when it is none."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise invalid("", f"the body is no JSON: {error}", "invalid_json") from error
    if not isinstance(body, dict):
        raise invalid("", "the body must be a JSON object", "invalid_json")
    return body


def read(kind: str, body: Fields, key: UUID | None = None, path: str = "") -> Read:
    """A request of a kind. key: the id that an Idempotency-Key stands for. path: where in a batch, for messages.

    Raises:
        Problem: naming the field.

    """
    model = BODIES.get(kind)
    if model is None:
        raise invalid(f"{path}type", f'"{kind}" is no kind of request: one of {", ".join(BODIES)}')
    found = _validated(model, body, kind, path)
    own = found.id or key
    if own is None:
        raise invalid(f"{path}id", "id must be a UUID with its hyphens")
    metadata = _metadata(found, path)
    asked = found.asked(own)
    # frozen, and made a line above: filling it in costs a third of making a second one
    object.__setattr__(asked, "body_hash", body_hash(asked, metadata))
    return Read(asked, metadata)


def read_batch(body: Fields) -> tuple[list[Read], bool]:
    """Requests of a batch, and whether it is atomic."""
    found = _validated(BatchBody, body, "batch", "")
    requests = [
        read(str(one.get("type", "")), one, path=f"requests[{place}].") for place, one in enumerate(found.requests)
    ]
    return requests, found.mode == "atomic"


def read_assets(body: Fields) -> dict[str, int]:
    """The assets of a ledger: scale by code."""
    return dict(_validated(AssetsBody, body, "ledger", "").assets)


def read_webhook(body: Fields) -> WebhookBody:
    """A target of events."""
    return _validated(WebhookBody, body, "webhook", "")


def read_secret(body: Fields) -> SecretBody:
    """Another secret of a webhook."""
    return _validated(SecretBody, body, "rotation", "")


def read_replay(body: Fields) -> ReplayBody:
    """From where to deliver again."""
    return _validated(ReplayBody, body, "replay", "")


def key_id(header: str | None) -> UUID | None:
    """The id that an Idempotency-Key stands for."""
    if header is None:
        return None
    if not _KEY.fullmatch(header):
        raise invalid("Idempotency-Key", "Idempotency-Key must be 1 to 255 printable ASCII characters", "invalid_id")
    return uuid5(NAMESPACE_OID, f"chaffinch:{header}")


def ledger_name(text: str) -> str:
    """A ledger's name, checked."""
    if not _LEDGER.fullmatch(text):
        raise invalid("ledger", "a ledger's name has up to 63 of a-z 0-9 -, a letter or digit first and last")
    return text


def account_name(text: str) -> str | None:
    """The text, if it can be the name of an account."""
    return text if _ACCOUNT.fullmatch(text) else None


def parse_time(name: str, text: str) -> int:
    """A time as microseconds since 1970, UTC."""
    try:
        return time_of(text)
    except ValueError as error:
        raise invalid(name, f"{name} must be {TIME_TEXT}") from error


def _metadata(found: Body, path: str) -> bytes:
    if found.metadata is None:
        return b""
    try:
        raw = orjson.dumps(found.metadata, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise invalid(f"{path}metadata", "metadata is nested too deeply") from error
    if len(raw) > MAX_METADATA:
        raise invalid(f"{path}metadata", f"metadata must have at most {MAX_METADATA} bytes")
    return raw


def _validated(model: type[Model], body: Fields, kind: str, path: str) -> Model:
    """The body as a model; of several mistakes an unknown field is said first: it explains a missing one."""
    try:
        return model.model_validate(body)
    except ValidationError as wrong:
        found = wrong.errors(include_url=False, include_context=False)
        first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
        raise _problem(model, first, kind, path) from wrong


def _problem(model: type[BaseModel], wrong: Any, kind: str, path: str) -> Problem:  # noqa: ANN401 - pydantic's
    name = str(wrong["loc"][0])[:_SHOWN]
    if wrong["type"] == "extra_forbidden":
        return invalid(f"{path}{name}", f"there is no such field in a {kind}")
    if name == "requests" and wrong["type"] == "too_long":
        return invalid(name, f"a batch has at most {MAX_BATCH} requests", "batch_too_large")
    where = ".".join(str(part) for part in wrong["loc"] if part != "[key]")[:_SHOWN]
    description = f'"{kind}"' if name == "type" else model.model_fields[name].description
    return invalid(f"{path}{where}", f"{name} must be {description}", _code(name))


def _code(name: str) -> str:
    return "invalid_amount" if name == "amount" else "invalid_request"
