"""What an answer of the API server means: HTTP status and body -> the exception of `errors`. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from chaffinch_operator.errors import (
    ChaffinchError,
    Conflict,
    InvalidObject,
    KindMissing,
    NotFound,
    Refused,
    Throttled,
    Unavailable,
)
from chaffinch_operator.resources import Resource

_MALFORMED = "failed to create typed patch object"
"""How the API server words a server-side apply with a field that the schema does not have: a 500."""


def parse(raw: bytes) -> dict[str, Any]:
    """Read a JSON object; anything else (a proxy's page, "404 page not found") becomes {"message": text}."""
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {"message": raw[:1024].decode(errors="replace").strip()}


def retryable(status: int, body: Mapping[str, Any]) -> bool:
    """Whether the same request may well succeed in a moment."""
    return status in {401, 429} or (status >= 500 and _MALFORMED not in str(body.get("message")))


def precondition_failed(body: Mapping[str, Any]) -> bool:
    """Whether a 422 to a JSON patch says that a `test` did not hold or a path is not there.

    The API server says neither which nor why; an object that fails validation comes with causes instead.
    """
    details = body.get("details")
    return not (isinstance(details, dict) and details.get("causes"))


def object_missing(status: int, body: Mapping[str, Any]) -> bool:
    """Whether a 404 is about an object (or its namespace) and not about a kind that is not served.

    Only the former names something in `details`; measured on 1.36, for a missing group and for a missing kind.
    """
    details = body.get("details")
    return status == 404 and isinstance(details, dict) and bool(details.get("name"))


def _of_a_namesake(body: Mapping[str, Any]) -> bool:
    """Whether a 422 says that the object was deleted and made anew since it was read: its uid is another one."""
    details = body.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    fields = [cause.get("field") for cause in causes or () if isinstance(cause, dict)]
    return bool(fields) and set(fields) == {"metadata.uid"}


def error(resource: Resource, status: int, body: Mapping[str, Any], key: str) -> ChaffinchError:
    """Return the exception for an answer that is no success."""
    message = str(body.get("message") or f"HTTP {status}")
    reason = str(body.get("reason") or "")
    if status == 404:
        return (
            NotFound(status, reason, message, key) if object_missing(status, body) else KindMissing(resource.name, key)
        )
    if status == 409 or (status == 422 and _of_a_namesake(body)):
        return Conflict(message, key)
    if status in {400, 413, 415, 422} or _MALFORMED in message:
        return InvalidObject(message, key)
    if status == 429:
        return Throttled(message, key)
    if status == 401:
        return Unavailable("the API server does not accept our credentials (401): check the token", key)
    if status >= 500:
        return Unavailable(f"HTTP {status}: {message}", key)
    return Refused(status, reason, message, key)
