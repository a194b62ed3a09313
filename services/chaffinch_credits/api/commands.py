"""Routes that change something: each asks the ledger for one request, or for a batch of them."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from chaffinch_credits.api import bodies, views, web
from chaffinch_credits.api.bodies import Read
from chaffinch_credits.api.problems import Problem, invalid, status_of, title_of
from chaffinch_credits.api.shapes import BatchShape
from chaffinch_credits.ledger.decide import Group
from chaffinch_credits.ledger.words import Outcome

Handler = Callable[[Request], Awaitable[Response]]


def ask(kind: str, refers: str = "") -> Handler:
    """A route that asks for one request of a kind. refers: the field that the path gives, and the body must not."""

    async def handle(request: Request) -> Response:
        key = bodies.key_id(request.headers.get("idempotency-key"))
        body = await web.body(request)
        if refers:
            if refers in body:
                raise invalid(refers, f"{refers} is in the path; leave it out of the body")
            body = {**body, refers: request.path_params["account" if refers == "account" else "id"]}
        return await _ask(request, bodies.read(kind, body, key))

    return handle


async def batch(request: Request) -> Response:
    """Up to 500 requests."""
    found, atomic = bodies.read_batch(await web.body(request))
    desk = await web.service(request).desk(request.path_params["ledger"])
    for one in found:
        _require_asset(one, desk.view.assets)
    found = [desk.sealing.sealed(one) for one in found]
    group = Group(tuple(one.request for one in found), atomic)
    replies = await desk.submit(group, _metadata(found))
    shown: BatchShape = {
        "replies": [views.reply(str(one.request.id), made) for one, made in zip(found, replies, strict=True)]
    }
    if atomic and any(made.outcome is not Outcome.OK for made in replies):
        failed = Problem(409, Outcome.BATCH_FAILED.value, "nothing of the atomic batch was done: see its replies")
        return web.json({**failed.body(), **shown}, failed.status, kind=web.PROBLEM)
    return web.json(shown)


async def make_ledger(request: Request) -> Response:
    """Make it, or add assets to it."""
    assets = bodies.read_assets(await web.body(request))
    view = await web.service(request).make(bodies.ledger_name(request.path_params["ledger"]), assets)
    return web.json(views.ledger(view))


async def _ask(request: Request, one: Read) -> Response:
    desk = await web.service(request).desk(request.path_params["ledger"])
    _require_asset(one, desk.view.assets)
    one = desk.sealing.sealed(one)
    made = (await desk.submit(Group((one.request,)), _metadata([one])))[0]
    shown = views.reply(str(one.request.id), made)
    headers = {"Idempotency-Replayed": "true"} if made.replayed else {}
    if made.outcome is Outcome.OK:
        return web.json(shown, 200 if made.replayed else 201, headers)
    problem = Problem(status_of(made.outcome), made.outcome.value, title_of(made.outcome))
    return web.json({**problem.body(), **shown}, problem.status, headers, web.PROBLEM)


def _require_asset(one: Read, assets: dict[str, int]) -> None:
    asset = getattr(one.request, "asset", None)
    if asset is not None and asset not in assets:
        raise invalid("asset", f"the ledger has no asset {asset}: one of {', '.join(sorted(assets))}", "asset_mismatch")


def _metadata(found: list[Read]) -> dict[UUID, bytes]:
    return {one.request.id: one.metadata for one in found if one.metadata}
