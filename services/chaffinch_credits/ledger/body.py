"""The canonical body of a request: what it asks for, without its id. Its hash is in the entry.

Sorted keys, amounts as decimal strings, times as microseconds, defaults left out, metadata as sent: the same request is
the same whatever its spacing or order. In the place of metadata that is sealed stands the hash of what is sealed.
"""

from dataclasses import replace
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson

from chaffinch_credits.ledger.requests import AnyRequest, Close, Grant, Hold, Open, Post, Reverse, Transfer, Void

SEALED = b"\x01"
"""What sealed metadata begins with; plain metadata is JSON."""
_SAID: dict[type, tuple[str, tuple[str, ...]]] = {
    Open: ("open", ("account", "asset", "allow_negative")),
    Close: ("close", ("account",)),
    Transfer: ("transfer", ("debit", "credit", "amount", "code")),
    Hold: ("hold", ("debit", "credit", "amount", "code", "expires_at")),
    Post: ("post", ("hold", "amount")),
    Void: ("void", ("hold",)),
    Grant: ("grant", ("source", "account", "amount", "priority", "expires_at", "code")),
    Reverse: ("reverse", ("transfer",)),
}


def canonical(request: AnyRequest, metadata: bytes = b"") -> bytes:
    """The bytes that are hashed. metadata: JSON with sorted keys, or sealed, or nothing."""
    kind, fields = _SAID[type(request)]
    asked: dict[str, Any] = {"type": kind}
    for name in (*fields, "effective_at"):
        value = getattr(request, name)
        if value is None or value is False or (value == 0 and name in {"code", "priority"}):
            continue
        asked[name] = str(value) if isinstance(value, UUID) or name == "amount" else value
    if metadata.startswith(SEALED):
        asked["sealed"] = sha256(metadata).hexdigest()
    elif metadata:
        asked["metadata"] = orjson.Fragment(metadata)
    return orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)


def body_hash(request: AnyRequest, metadata: bytes = b"") -> bytes:
    """SHA-256 of the canonical body."""
    return sha256(canonical(request, metadata)).digest()


def hashed(request: AnyRequest, metadata: bytes = b"") -> AnyRequest:
    """The request with the hash of its body."""
    return replace(request, body_hash=body_hash(request, metadata))
