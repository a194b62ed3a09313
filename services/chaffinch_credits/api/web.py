"""What all routes need: bodies in, JSON and problems out."""

from collections.abc import Mapping
from uuid import UUID

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from chaffinch_credits.api.bodies import MAX_BODY, Fields, parse_json
from chaffinch_credits.api.models import parse_uuid
from chaffinch_credits.api.problems import Problem, invalid
from chaffinch_credits.api.service import Service

JSON, PROBLEM = "application/json", "application/problem+json"
NEWEST = 2**62
_DIGITS = 19


async def body(request: Request) -> Fields:
    """The JSON object that was sent; an empty body is an empty object. Refused as soon as it is too large."""
    raw, more = b"", True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        raw, more = raw + message.get("body", b""), message.get("more_body", False)
        if len(raw) > MAX_BODY:
            raise Problem(413, "body_too_large", f"the body has more than {MAX_BODY} bytes")
    if not raw:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise Problem(415, "unsupported_media_type", f"send the body as {JSON}, not as {kind[:80] or 'nothing'}")
    return parse_json(raw)


def service(request: Request) -> Service:
    """The service that the application is over."""
    found: Service = request.app.state.service
    return found


def number(name: str, text: str, most: int = NEWEST) -> int:
    """A whole number from 1 on."""
    if not text.isascii() or not text.isdigit() or len(text) > _DIGITS or not 1 <= int(text) <= most:
        raise invalid(name, f"{name} must be a whole number from 1 to {most}")
    return int(text)


def uuid(name: str, text: str) -> UUID:
    """A UUID with its hyphens."""
    try:
        return parse_uuid(text)
    except ValueError as error:
        raise invalid(name, f"{name} must be a UUID with its hyphens") from error


def json(body: object, status: int = 200, headers: Mapping[str, str] | None = None, kind: str = JSON) -> Response:
    """An answer."""
    return Response(orjson.dumps(body), status, headers, kind)


def problem(found: Problem) -> Response:
    """A problem as an answer."""
    headers = {"Retry-After": str(found.retry_after)} if found.retry_after else {}
    if found.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return json(found.body(), found.status, headers, PROBLEM)
