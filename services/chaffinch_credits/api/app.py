"""The HTTP API. Routes only: reading is in `bodies`, deciding in the ledger, what is said in `views` and `problems`."""

import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chaffinch_credits.api import bodies, views
from chaffinch_credits.api.bodies import MAX_BODY, Read
from chaffinch_credits.api.keys import Keys, Scope
from chaffinch_credits.api.problems import Problem, invalid, status_of, title_of
from chaffinch_credits.api.service import Service
from chaffinch_credits.audit.merkle import consistency_proof, inclusion_proof
from chaffinch_credits.ledger.decide import Group
from chaffinch_credits.ledger.entries import Reply
from chaffinch_credits.ledger.words import Outcome
from chaffinch_credits.store import reads

_JSON, _PROBLEM = "application/json", "application/problem+json"
_NEWEST = 2**62
_DIGITS = 19
_SCOPES = {"GET": Scope.READ, "POST": Scope.WRITE, "PUT": Scope.ADMIN}
_OUTAGE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)
Handler = Callable[[Request], Awaitable[Response]]


def create(service: Service, keys: Keys | None = None) -> Starlette:
    """The application over a service that is open. keys: None lets everybody in who reaches the port."""
    app = Starlette(routes=[_guarded(service, keys, *route) for route in _routes()])
    app.state.service = service
    return app


def _routes() -> list[tuple[str, str, Handler]]:
    base = "/v1/ledgers/{ledger}"
    return [
        ("PUT", base, _make_ledger),
        ("POST", f"{base}/requests:batch", _batch),
        ("POST", f"{base}/accounts", _post("open")),
        ("POST", f"{base}/accounts/{{account:path}}:close", _close),
        ("GET", f"{base}/accounts/{{account:path}}/entries", _entries),
        ("GET", f"{base}/accounts/{{account:path}}", _account),
        ("POST", f"{base}/transfers", _post("transfer")),
        ("POST", f"{base}/transfers/{{id}}:reverse", _post("reverse", "transfer")),
        ("GET", f"{base}/transfers/{{id}}", _entry),
        ("POST", f"{base}/holds", _post("hold")),
        ("POST", f"{base}/holds/{{id}}:post", _post("post", "hold")),
        ("POST", f"{base}/holds/{{id}}:void", _post("void", "hold")),
        ("POST", f"{base}/grants", _post("grant")),
        ("GET", f"{base}/audit/checkpoint", _checkpoint),
        ("GET", f"{base}/audit/proofs/inclusion", _inclusion),
        ("GET", f"{base}/audit/proofs/consistency", _consistency),
    ]


def _guarded(service: Service, keys: Keys | None, method: str, path: str, handler: Handler) -> Route:
    """A route that asks for the key's scope, answers problems and outages, and is counted."""

    async def guarded(request: Request) -> Response:
        if keys is not None:
            authorization = request.headers.get("authorization", "")
            keys.require(authorization, request.path_params["ledger"], _SCOPES[method])
        return await handler(request)

    async def counted(request: Request) -> Response:
        start = time.perf_counter()
        try:
            response = await guarded(request)
        except Problem as problem:
            response = _problem(problem)
        except _OUTAGE as problem:
            title = f"the database cannot be reached ({type(problem).__name__}); send the same request again later"
            response = _problem(Problem(503, "database_unavailable", title, retry_after=1))
        service.metrics.request_seconds.labels(method).observe(time.perf_counter() - start)
        service.metrics.requests.labels(method, path, str(response.status_code)).inc()
        return response

    return Route(path, counted, methods=[method])


def _post(kind: str, refers: str = "") -> Handler:
    """A route that asks for one request of a kind; refers: the field that the path's id is for."""

    async def handle(request: Request) -> Response:
        body = dict(bodies.parse_json(await _raw(request)))
        if refers:
            body[refers] = request.path_params["id"]
        return await _ask(request, bodies.read(kind, body, request.headers.get("idempotency-key", "")))

    return handle


async def _close(request: Request) -> Response:
    body = {**bodies.parse_json(await _raw(request)), "account": request.path_params["account"]}
    return await _ask(request, bodies.read("close", body, request.headers.get("idempotency-key", "")))


async def _ask(request: Request, one: Read) -> Response:
    desk = await _service(request).desk(request.path_params["ledger"])
    _require_asset(one, desk.view.assets)
    made = (await desk.batcher.submit(Group((one.request,)), _metadata([one])))[0]
    shown = views.reply(str(one.request.id), made)
    headers = {"Idempotency-Replayed": "true"} if made.replayed else {}
    if made.outcome is Outcome.OK:
        return _json(shown, 200 if made.replayed else 201, headers)
    problem = Problem(status_of(made.outcome), made.outcome.value, title_of(made.outcome))
    return _json({**problem.body(), **shown}, problem.status, headers, _PROBLEM)


async def _batch(request: Request) -> Response:
    found, atomic = bodies.read_batch(bodies.parse_json(await _raw(request)))
    desk = await _service(request).desk(request.path_params["ledger"])
    for one in found:
        _require_asset(one, desk.view.assets)
    group = Group(tuple(one.request for one in found), atomic)
    replies = await desk.batcher.submit(group, _metadata(found))
    shown = [views.reply(str(one.request.id), made) for one, made in zip(found, replies, strict=True)]
    return _json({"replies": shown}, _batch_status(replies, atomic=atomic))


def _batch_status(replies: list[Reply], *, atomic: bool) -> int:
    """200 for what was decided one by one; an atomic batch that did not happen is 409."""
    return 409 if atomic and any(r.outcome is not Outcome.OK for r in replies) else 200


async def _make_ledger(request: Request) -> Response:
    body = bodies.parse_json(await _raw(request))
    assets = bodies.read_assets(body)
    view = await _service(request).make(bodies.ledger_name(request.path_params["ledger"]), assets)
    return _json({"ledger": view.name, "id": str(view.id), "assets": view.assets})


async def _account(request: Request) -> Response:
    service, name = _service(request), bodies.account_name(request.path_params["account"])
    desk = await service.desk(request.path_params["ledger"])
    at_seq, as_of = request.query_params.get("at_seq"), request.query_params.get("as_of")
    if name is None:
        raise Problem(404, "account_not_found", title_of(Outcome.ACCOUNT_NOT_FOUND))
    async with service.pool.acquire() as connection:
        if at_seq is not None:
            view = await reads.account_at(connection, desk.view.key, name, _number("at_seq", at_seq))
        elif as_of is not None:
            seq = await reads.seq_at(connection, desk.view.key, bodies.parse_time("as_of", as_of))
            view = await reads.account_at(connection, desk.view.key, name, seq)
        else:
            view = await reads.account(connection, desk.view.key, name)
    if view is None:
        raise Problem(404, "account_not_found", title_of(Outcome.ACCOUNT_NOT_FOUND))
    return _json(views.account(view))


async def _entries(request: Request) -> Response:
    service = _service(request)
    desk = await service.desk(request.path_params["ledger"])
    before = _number("before", request.query_params.get("before", str(_NEWEST)))
    limit = _number("limit", request.query_params.get("limit", "100"), most=reads.MOST_ENTRIES)
    async with service.pool.acquire() as connection:
        name = bodies.account_name(request.path_params["account"])
        number = await reads.number(connection, desk.view.key, name) if name else None
        if number is None:
            raise Problem(404, "account_not_found", title_of(Outcome.ACCOUNT_NOT_FOUND))
        found = await reads.entries(connection, desk.view.key, number, before, limit)
        names = await reads.names(connection, desk.view.key, {n for e in found for n in (e.debit, e.credit)})
    next_before = found[-1].seq if len(found) == limit else None
    return _json({"entries": [views.entry(e, names) for e in found], "next_before": next_before})


async def _entry(request: Request) -> Response:
    service = _service(request)
    desk = await service.desk(request.path_params["ledger"])
    async with service.pool.acquire() as connection:
        found = await reads.entry(connection, desk.view.key, _uuid("id", request.path_params["id"]))
        if found is None:
            raise Problem(404, "transfer_not_found", title_of(Outcome.TRANSFER_NOT_FOUND))
        names = await reads.names(connection, desk.view.key, {found.debit, found.credit})
    return _json(views.entry(found, names))


async def _checkpoint(request: Request) -> Response:
    service = _service(request)
    desk = await service.desk(request.path_params["ledger"])
    async with service.pool.acquire() as connection:
        note = await reads.newest_note(connection, desk.view.key)
    if note is None:
        raise Problem(404, "no_checkpoint", "nothing is written yet")
    return Response(note, media_type="text/plain; charset=utf-8")


async def _inclusion(request: Request) -> Response:
    seq, size = (_number(name, request.query_params.get(name, "")) for name in ("seq", "size"))
    return await _proof(request, size, lambda subtree: inclusion_proof(seq - 1, size, subtree))


async def _consistency(request: Request) -> Response:
    old, size = (_number(name, request.query_params.get(name, "")) for name in ("from", "size"))
    return await _proof(request, size, lambda subtree: consistency_proof(old, size, subtree))


async def _proof(request: Request, size: int, make: Callable[[Any], list[bytes]]) -> Response:
    service = _service(request)
    desk = await service.desk(request.path_params["ledger"])
    asked: list[tuple[int, int]] = []

    def remember(first: int, last: int) -> bytes:
        asked.append((first, last))
        return b""

    try:
        make(remember)
    except ValueError as problem:
        raise invalid("size", str(problem)) from problem
    async with service.pool.acquire() as connection:
        try:
            hashes = await reads.subtrees(connection, desk.view.key, size, asked)
        except LookupError as problem:
            raise Problem(404, "no_checkpoint", str(problem)) from problem
    return _json({"size": size, "hashes": [h.hex() for h in reversed(hashes)]})


async def _raw(request: Request) -> bytes:
    """The body, refused as soon as it is too large."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY:
            raise Problem(413, "body_too_large", f"the body has more than {MAX_BODY} bytes")
    return bytes(raw) or b"{}"


def _require_asset(one: Read, assets: dict[str, int]) -> None:
    asset = getattr(one.request, "asset", None)
    if asset is not None and asset not in assets:
        raise invalid("asset", f"the ledger has no asset {asset}: one of {', '.join(sorted(assets))}", "asset_mismatch")


def _metadata(found: list[Read]) -> dict[UUID, bytes]:
    return {one.request.id: one.metadata for one in found if one.metadata}


def _number(name: str, text: str, most: int = _NEWEST) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > _DIGITS or not 1 <= int(text) <= most:
        raise invalid(name, f"{name} must be a whole number from 1 to {most}")
    return int(text)


def _uuid(name: str, text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise invalid(name, f"{name} must be a UUID") from error


def _service(request: Request) -> Service:
    found: Service = request.app.state.service
    return found


def _json(body: object, status: int = 200, headers: dict[str, str] | None = None, kind: str = _JSON) -> Response:
    return Response(orjson.dumps(body), status, headers, kind)


def _problem(problem: Problem) -> Response:
    headers = {"Retry-After": str(problem.retry_after)} if problem.retry_after else {}
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return _json(problem.body(), problem.status, headers, _PROBLEM)
