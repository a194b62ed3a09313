"""From requests to values: bodies, tokens and parameters, each within its bounds."""

import hmac
from typing import TypeVar

from pydantic import ValidationError
from starlette.requests import Request

from chaffinch_shadow.api.models import Model
from chaffinch_shadow.api.problems import Problem
from chaffinch_shadow.store.reads import MOST_LISTED, Listing, Place

MOST_BODY = 1 << 20
Sent = TypeVar("Sent", bound=Model)


def require_token(request: Request, token: bytes | None) -> None:
    """Problem 401 without the token, if there is one."""
    given = request.headers.get("authorization", "").partition(" ")
    if token is not None and not (given[0] == "Bearer" and hmac.compare_digest(given[2].strip().encode(), token)):
        raise Problem(401, "unauthenticated", "send the API's token, as Authorization: Bearer TOKEN")


async def read_body(request: Request, model: type[Sent]) -> Sent:
    """The body as a model.

    Raises:
        Problem: 415 unless it is JSON, 413 when it is too large, 400 naming the field that is wrong.

    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "unsupported_media_type", "send JSON, with Content-Type: application/json")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BODY:
            raise Problem(413, "body_too_large", f"the body has more than {MOST_BODY} bytes: send fewer at a time")
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as problem:
        error = problem.errors(include_url=False, include_input=False)[0]
        field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).lstrip(".")
        raise Problem(400, "invalid_request", error["msg"], field) from problem


def read_listing(request: Request) -> Listing:
    """The kind of samples that the path names."""
    try:
        return Listing(request.path_params["listing"])
    except ValueError as problem:
        known = ", ".join(Listing)
        raise Problem(404, "listing_not_found", f"there is no such list of samples: one of {known}") from problem


def read_number(request: Request, name: str, default: int, least: int, most: int) -> int:
    """A whole number of the query."""
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and least <= int(text) <= most):
        raise Problem(400, "invalid_request", f"{name} must be a whole number from {least} to {most}", name)
    return int(text)


def read_limit(request: Request) -> int:
    """Samples on a page."""
    return read_number(request, "limit", 100, 1, MOST_LISTED)


def read_place(request: Request) -> Place:
    """Where a page begins."""
    text = request.query_params.get("after", "")
    ordinal, dot, request_id = text.partition(".")
    if not text:
        return Place()
    if not dot or not (ordinal.isascii() and ordinal.isdigit()) or int(ordinal) >= 2**63:
        raise Problem(400, "invalid_request", "after must be what `next` of the page before says", "after")
    return Place(int(ordinal), request_id)
