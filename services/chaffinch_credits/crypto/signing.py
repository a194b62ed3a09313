"""Signatures of webhooks as Standard Webhooks has them: HMAC-SHA-256 over id, time and body, one a secret."""

import base64
import binascii
import hmac
from collections.abc import Sequence
from hashlib import sha256

_PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64


class BadSecretError(ValueError):
    """The secret of a webhook has the wrong form."""


def written(secret: bytes) -> str:
    """A secret as it is handed out."""
    return _PREFIX + base64.b64encode(secret).decode()


def read(text: str) -> bytes:
    """A secret as it was handed out. BadSecretError unless it is whsec_ and base64 of 24 to 64 bytes."""
    try:
        found = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        found = b""
    if not text.startswith(_PREFIX) or not _SHORTEST <= len(found) <= _LONGEST:
        raise BadSecretError(f"{_PREFIX} and base64 of {_SHORTEST} to {_LONGEST} random bytes")
    return found


def headers(secrets: Sequence[bytes], identity: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of one attempt; receivers accept any of the signatures, so that secrets can be exchanged."""
    signed = b".".join((identity.encode(), str(timestamp).encode(), body))
    made = [base64.b64encode(hmac.digest(secret, signed, sha256)).decode() for secret in secrets]
    return {
        "webhook-id": identity,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{one}" for one in made),
    }
