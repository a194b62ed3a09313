"""From JSON bodies to requests. Pure. Unknown fields are refused: a misspelt one must not be overlooked.

The body hash is over the canonical form: sorted keys, amounts as decimal strings, defaults left out, metadata as sent.
So the same request is the same whatever its spacing or order.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

import orjson

from chaffinch_credits.api.problems import Problem, invalid
from chaffinch_credits.ledger.requests import AnyRequest, Close, Grant, Hold, Open, Post, Reverse, Transfer, Void
from chaffinch_credits.ledger.words import MAX_AMOUNT

MAX_BODY = 1024 * 1024
MAX_BATCH = 500
MAX_METADATA = 4096
_UUID_LENGTH = 36
_MAX_SCALE = 18
_FIRST_YEAR, _LAST_YEAR = 1970, 9000
_LEDGER = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@/-]{0,127}")
_ASSET = re.compile(r"[A-Z][A-Z0-9_]{0,15}")
_AMOUNT = re.compile(r"[1-9][0-9]{0,18}")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Read:
    """A request, and its canonical metadata if it has some."""

    request: AnyRequest
    metadata: bytes = b""


def parse_json(raw: bytes) -> Fields:
    """The body as an object. Problem when it is none, or too large."""
    if len(raw) > MAX_BODY:
        raise Problem(413, "body_too_large", f"the body has more than {MAX_BODY} bytes")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise invalid("", f"the body is no JSON: {error}", "invalid_json") from error
    if not isinstance(body, dict):
        raise invalid("", "the body must be a JSON object", "invalid_json")
    return body


def read(kind: str, body: Fields, key: str = "", path: str = "") -> Read:
    """A request of a kind. key: the Idempotency-Key header. path: where in a batch, for messages.

    Raises:
        Problem: naming the field.

    """
    build = _BUILDERS.get(kind)
    if build is None:
        raise invalid(f"{path}type", f'"{kind}" is no kind of request: one of {", ".join(_BUILDERS)}')
    known = {"id", "type", "metadata", "effective_at", *_FIELDS[kind]}
    for name in body:
        if name not in known:
            raise invalid(f"{path}{name}", f"there is no such field in a {kind}")
    fields = _Reader(body, path)
    metadata = fields.metadata()
    made = build(fields, {"id": fields.identity(key), "body_hash": b"", "effective_at": fields.time("effective_at")})
    return Read(_hashed(kind, made, metadata), metadata)


def read_batch(body: Fields) -> tuple[list[Read], bool]:
    """Requests of a batch, and whether it is atomic."""
    mode, asked = body.get("mode", "independent"), body.get("requests")
    if unknown := set(body) - {"mode", "requests"}:
        raise invalid(min(unknown), "there is no such field in a batch")
    if not isinstance(mode, str) or mode not in {"independent", "atomic"}:
        raise invalid("mode", "mode must be independent or atomic")
    if not isinstance(asked, list) or not asked:
        raise invalid("requests", "requests must be a list of at least one")
    if len(asked) > MAX_BATCH:
        raise invalid("requests", f"a batch has at most {MAX_BATCH} requests", "batch_too_large")
    found = []
    for place, one in enumerate(asked):
        path = f"requests[{place}]."
        if not isinstance(one, dict):
            raise invalid(path[:-1], "a request must be a JSON object")
        found.append(read(str(one.get("type", "")), one, path=path))
    return found, mode == "atomic"


def read_assets(body: Fields) -> dict[str, int]:
    """The assets of a ledger: scale by code."""
    if set(body) != {"assets"} or not isinstance(body["assets"], dict) or not body["assets"]:
        raise invalid("assets", 'a ledger has assets, such as {"assets": {"CREDIT": 0, "USD": 2}}')
    for code, scale in body["assets"].items():
        if not _ASSET.fullmatch(code):
            raise invalid("assets", f"{code[:40]!r} is no code of an asset, such as CREDIT or USD")
        if not isinstance(scale, int) or isinstance(scale, bool) or not 0 <= scale <= _MAX_SCALE:
            raise invalid(f"assets.{code}", f"the scale must be a whole number from 0 to {_MAX_SCALE}")
    return dict(body["assets"])


def ledger_name(text: str) -> str:
    """A ledger's name, checked."""
    if not _LEDGER.fullmatch(text):
        raise invalid("ledger", "a ledger's name has up to 63 of a-z 0-9 -, a letter or digit first and last")
    return text


def account_name(text: str) -> str | None:
    """The text, if it can be the name of an account."""
    return text if _ACCOUNT.fullmatch(text) else None


def parse_time(name: str, text: object, path: str = "") -> int:
    """A time as microseconds since 1970, UTC."""
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        raise invalid(f"{path}{name}", f"{name} must be a time with its zone, such as 2026-01-31T12:00:00Z")
    since = at.astimezone(UTC) - datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


@dataclass(frozen=True, slots=True)
class _Reader:
    body: Fields
    path: str

    def identity(self, key: str) -> UUID:
        text = self.body.get("id")
        if text is None and key:
            if not _KEY.fullmatch(key):
                raise invalid("Idempotency-Key", "1 to 255 printable ASCII characters", "invalid_id")
            return uuid5(NAMESPACE_OID, f"chaffinch:{key}")
        return self.uuid("id")

    def uuid(self, name: str) -> UUID:
        text = self.body.get(name)
        try:
            if isinstance(text, str) and len(text) == _UUID_LENGTH:
                return UUID(text)
        except ValueError:
            pass
        raise self._bad(name, "must be a UUID with its hyphens")

    def account(self, name: str) -> str:
        text = self.body.get(name)
        if not isinstance(text, str) or not _ACCOUNT.fullmatch(text):
            raise self._bad(
                name, "must be an account's name: up to 128 of A-Z a-z 0-9 _ . : @ / -, a letter or digit first"
            )
        return text

    def asset(self, name: str) -> str:
        text = self.body.get(name)
        if not isinstance(text, str) or not _ASSET.fullmatch(text):
            raise self._bad(name, "must be an asset's code, such as CREDIT or USD")
        return text

    def amount(self, name: str) -> int:
        text = self.body.get(name)
        if not isinstance(text, str) or not _AMOUNT.fullmatch(text) or int(text) > MAX_AMOUNT:
            why = f'must be a whole number from 1 to {MAX_AMOUNT} as a JSON string, such as "100"'
            raise invalid(f"{self.path}{name}", why, "invalid_amount")
        return int(text)

    def maybe_amount(self, name: str) -> int | None:
        return self.amount(name) if self.body.get(name) is not None else None

    def number(self, name: str, low: int, high: int) -> int:
        value = self.body.get(name, 0)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._bad(name, f"must be a whole number from {low} to {high}")
        return int(value)

    def flag(self, name: str) -> bool:
        value = self.body.get(name, False)
        if not isinstance(value, bool):
            raise self._bad(name, "must be true or false")
        return bool(value)

    def time(self, name: str) -> int | None:
        text = self.body.get(name)
        return None if text is None else parse_time(name, text, self.path)

    def metadata(self) -> bytes:
        value = self.body.get("metadata")
        if value is None:
            return b""
        if not isinstance(value, dict):
            raise self._bad("metadata", "must be a JSON object")
        try:
            raw = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError as error:
            raise self._bad("metadata", "is nested too deeply") from error
        if len(raw) > MAX_METADATA:
            raise self._bad("metadata", f"must have at most {MAX_METADATA} bytes")
        return raw

    def _bad(self, name: str, why: str) -> Problem:
        return invalid(f"{self.path}{name}", f"{name} {why}")


_FIELDS: dict[str, tuple[str, ...]] = {
    "open": ("account", "asset", "allow_negative"),
    "close": ("account",),
    "transfer": ("debit", "credit", "amount", "code"),
    "hold": ("debit", "credit", "amount", "code", "expires_at"),
    "post": ("hold", "amount"),
    "void": ("hold",),
    "grant": ("source", "account", "amount", "priority", "expires_at", "code"),
    "reverse": ("transfer",),
}
_BUILDERS: dict[str, Callable[[_Reader, dict[str, Any]], AnyRequest]] = {
    "open": lambda f, c: Open(
        account=f.account("account"), asset=f.asset("asset"), allow_negative=f.flag("allow_negative"), **c
    ),
    "close": lambda f, c: Close(account=f.account("account"), **c),
    "transfer": lambda f, c: Transfer(
        debit=f.account("debit"),
        credit=f.account("credit"),
        amount=f.amount("amount"),
        code=f.number("code", 0, 2**31 - 1),
        **c,
    ),
    "hold": lambda f, c: Hold(
        debit=f.account("debit"),
        credit=f.account("credit"),
        amount=f.amount("amount"),
        code=f.number("code", 0, 2**31 - 1),
        expires_at=f.time("expires_at"),
        **c,
    ),
    "post": lambda f, c: Post(hold=f.uuid("hold"), amount=f.maybe_amount("amount"), **c),
    "void": lambda f, c: Void(hold=f.uuid("hold"), **c),
    "grant": lambda f, c: Grant(
        source=f.account("source"),
        account=f.account("account"),
        amount=f.amount("amount"),
        priority=f.number("priority", -1000, 1000),
        expires_at=f.time("expires_at"),
        code=f.number("code", 0, 2**31 - 1),
        **c,
    ),
    "reverse": lambda f, c: Reverse(transfer=f.uuid("transfer"), **c),
}


def canonical(kind: str, request: AnyRequest, metadata: bytes) -> bytes:
    """The canonical body that is hashed: what the request asks for, without its id. Defaults are left out."""
    asked: dict[str, Any] = {"type": kind}
    for name in (*_FIELDS[kind], "effective_at"):
        value = getattr(request, name)
        if value is None or value is False or (value == 0 and name in {"code", "priority"}):
            continue
        asked[name] = str(value) if isinstance(value, UUID) or name == "amount" else value
    if metadata:
        asked["metadata"] = orjson.Fragment(metadata)
    return orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)


def _hashed(kind: str, request: AnyRequest, metadata: bytes) -> AnyRequest:
    return replace(request, body_hash=sha256(canonical(kind, request, metadata)).digest())
