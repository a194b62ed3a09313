"""The HTTP API: its operations, who may ask for them, and how problems are answered."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version

from prometheus_client import Counter
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Asked

from chaffinch_credits.api import commands, models, openapi, queries, shapes, web, webhooks
from chaffinch_credits.api.keys import Keys, Scope
from chaffinch_credits.api.openapi import Operation
from chaffinch_credits.api.problems import Problem
from chaffinch_credits.api.service import Service
from chaffinch_credits.store.connection import AWAY
from chaffinch_credits.store.trail import Event

_SCOPES = {"GET": Scope.READ, "POST": Scope.WRITE}
_TURNED_AWAY = {401, 403}
_BASE = "/v1/ledgers/{ledger}"
_HEAD = ["", "v1", "ledgers"]
Handler = Callable[[Request], Awaitable[Response]]
_MOVING = (409, 422)


def _command(path: str, kind: str, summary: str, refers: str = "", refusals: tuple[int, ...] = _MOVING) -> Operation:
    return Operation(
        "POST",
        f"{_BASE}/{path}",
        commands.ask(kind, refers),
        kind,
        summary,
        shapes.ReplyShape,
        models.BODIES[kind],
        refers=refers,
        refusals=refusals,
    )


def _webhook(
    method: str, path: str, handler: Handler, name: str, summary: str, takes: type[BaseModel] | None = None
) -> Operation:
    gives = shapes.WebhooksShape if method == "GET" else shapes.WebhookShape
    path = f"{_BASE}/webhooks{path}"
    refusals = (409,) if name == "register_webhook" else ()
    return Operation(method, path, handler, name, summary, gives, takes, refusals=refusals, admin=True)


WEBHOOKS = (
    _webhook("POST", "", webhooks.register, "register_webhook", "Register a target of events", models.WebhookBody),
    _webhook("GET", "", webhooks.every, "webhooks", "Webhooks and how far they are"),
    _webhook(
        "POST",
        "/{webhook}:rotate",
        webhooks.rotate,
        "rotate_webhook",
        "Another secret; for a day both sign",
        models.SecretBody,
    ),
    _webhook(
        "POST",
        "/{webhook}:replay",
        webhooks.replay,
        "replay_webhook",
        "Deliver again, from a block on",
        models.ReplayBody,
    ),
    _webhook("DELETE", "/{webhook}", webhooks.remove, "remove_webhook", "Remove a webhook"),
)
OPERATIONS = (
    Operation(
        "PUT",
        _BASE,
        commands.make_ledger,
        "ensure",
        "Make a ledger, or add assets to it",
        shapes.LedgerShape,
        models.AssetsBody,
        refusals=(409,),
        admin=True,
    ),
    Operation(
        "POST",
        f"{_BASE}/requests:batch",
        commands.batch,
        "batch",
        "Decide up to 500 requests together",
        shapes.BatchShape,
        models.BatchBody,
        refusals=(409,),
    ),
    _command("accounts", "open", "Open an account", refusals=(409,)),
    _command("accounts/{account}:close", "close", "Close an account that is empty", "account", (409,)),
    Operation(
        "GET",
        f"{_BASE}/accounts/{{account}}/entries",
        queries.entries,
        "entries",
        "Entries of an account, newest first",
        shapes.EntriesShape,
        query=("before", "limit"),
    ),
    Operation(
        "GET",
        f"{_BASE}/accounts/{{account}}",
        queries.account,
        "account",
        "An account now, after an entry, or at a time",
        shapes.AccountShape,
        query=("at_seq", "as_of", "max_age"),
    ),
    _command("transfers", "transfer", "Move an amount"),
    _command("transfers/{id}:reverse", "reverse", "Undo a transfer or a posted hold", "transfer"),
    Operation(
        "GET",
        f"{_BASE}/transfers/{{id}}",
        queries.entry,
        "entry",
        "The entry of a request, whatever its kind",
        shapes.EntryShape,
    ),
    _command("holds", "hold", "Reserve an amount"),
    _command("holds/{id}:post", "post", "Post a hold, in full or in part", "hold", (*_MOVING, 410)),
    _command("holds/{id}:void", "void", "Release a hold", "hold", (*_MOVING, 410)),
    _command("grants", "grant", "Credit a lot"),
    *WEBHOOKS,
    Operation(
        "GET",
        f"{_BASE}/audit/checkpoint",
        queries.checkpoint,
        "checkpoint",
        "The newest signed checkpoint (C2SP note)",
        str,
    ),
    Operation(
        "GET",
        f"{_BASE}/audit/tile/{{level}}/{{index}}",
        queries.tile,
        "tile",
        "Hashes of the Merkle tree (C2SP tlog-tiles)",
        bytes,
    ),
    Operation(
        "GET",
        f"{_BASE}/audit/proofs/inclusion",
        queries.inclusion,
        "inclusion",
        "Proof that an entry is in a tree",
        shapes.ProofShape,
        query=("seq*", "size*"),
    ),
    Operation(
        "GET",
        f"{_BASE}/audit/proofs/consistency",
        queries.consistency,
        "consistency",
        "Proof that a tree continues an older one",
        shapes.ProofShape,
        query=("from*", "size*"),
    ),
)
"""Everything that can be asked for, the more special path before the more general one."""


def document() -> openapi.Schema:
    """The OpenAPI document of this version."""
    return openapi.document(OPERATIONS, version("chaffinch"))


def create(service: Service, keys: Keys | None = None) -> ASGIApp:
    """The application over a service that is open. keys: None lets everybody in who reaches the port."""
    described = web.json(document())

    async def describe(_: Request) -> Response:
        return described

    handlers = [(one, _guarded(service, keys, one)) for one in OPERATIONS]
    routes = [Route(_pattern(one.path), handler, methods=[one.method]) for one, handler in handlers]
    app = Starlette(
        routes=[*routes, Route("/openapi.json", describe)],
        exception_handlers={HTTPException: _no_route},
    )
    app.state.service = service
    plain = {
        (one.method, one.path.removeprefix(f"{_BASE}/")): handler
        for one, handler in handlers
        if one.path.startswith(f"{_BASE}/") and "{" not in one.path.removeprefix(_BASE)
    }
    return _Front(app, plain)


def _pattern(path: str) -> str:
    """As a route: names of accounts, and places of tiles, may have slashes."""
    return path.replace("{account}", "{account:path}").replace("{index}", "{index:path}")


@dataclass(frozen=True, slots=True)
class _Front:
    """Finds operations whose path names nothing but the ledger by one look-up; leaves all else to the routes.

    What is asked for most does without the walk through all routes and their wrappers.
    """

    app: Starlette
    plain: Mapping[tuple[str, str], Handler]

    async def __call__(self, scope: Asked, receive: Receive, send: Send) -> None:
        """One request."""
        *head, rest = scope["path"].split("/", 4) if scope["type"] == "http" else [""]
        ours = len(head) == 4 and head[:3] == _HEAD and head[3]
        handler = self.plain.get((scope["method"], rest)) if ours else None
        if handler is None:
            await self.app(scope, receive, send)
            return
        scope["path_params"], scope["app"] = {"ledger": head[3]}, self.app
        response = await handler(Request(scope, receive, send))
        await response(scope, receive, send)


def _guarded(service: Service, keys: Keys | None, one: Operation) -> Handler:
    """A handler that asks for the key's scope, answers problems and outages, and is counted."""
    seconds, counts = service.metrics.request_seconds.labels(one.method), dict[int, Counter]()

    async def counted(request: Request) -> Response:
        start = time.perf_counter()
        try:
            response = await _answer(request, service, keys, one)
        except Problem as problem:
            response = web.problem(problem)
        except AWAY as problem:
            title = f"the database cannot be reached ({type(problem).__name__}); send the same request again later"
            response = web.problem(Problem(503, "database_unavailable", title, retry_after=1))
        seconds.observe(time.perf_counter() - start)
        count = counts.get(response.status_code)
        if count is None:
            count = service.metrics.requests.labels(one.method, one.path, str(response.status_code))
            counts[response.status_code] = count
        count.inc()
        return response

    return counted


async def _answer(request: Request, service: Service, keys: Keys | None, one: Operation) -> Response:
    """Let in, answer; who was turned away, and administration, is in audit_logs."""
    scope = Scope.ADMIN if one.admin else _SCOPES[one.method]
    ledger, actor = request.path_params["ledger"], "anybody"
    origin = request.client.host if request.client else ""
    try:
        if keys is not None:
            actor = keys.require(request.headers.get("authorization", ""), ledger, scope)
        response = await one.handler(request)
    except Problem as problem:
        if problem.status in _TURNED_AWAY or scope is Scope.ADMIN:
            service.trail.note(Event(actor, one.name, ledger, problem.code, origin))
        raise
    if scope is Scope.ADMIN:
        service.trail.note(Event(actor, one.name, ledger, "done", origin))
    return response


async def _no_route(_: Request, error: Exception) -> Response:
    """No such path, or another method: said as a problem too."""
    assert isinstance(error, HTTPException)
    code = "method_not_allowed" if error.status_code == 405 else "not_found"
    response = web.problem(Problem(error.status_code, code, error.detail))
    response.headers.update(error.headers or {})
    return response
