"""Routes of webhooks: register, list, remove, exchange the secret, deliver again."""

import os
from uuid import UUID, uuid4

from starlette.requests import Request
from starlette.responses import Response

from chaffinch_credits.api import bodies, web
from chaffinch_credits.api.problems import Problem, invalid
from chaffinch_credits.api.service import Desk
from chaffinch_credits.api.shapes import WebhookShape
from chaffinch_credits.api.targets import BadTargetError
from chaffinch_credits.crypto import signing
from chaffinch_credits.store import webhooks
from chaffinch_credits.store.connection import Connection
from chaffinch_credits.store.webhooks import WebhookView

_SECRET_BYTES = 32


async def register(request: Request) -> Response:
    """Register a target. Its secret is shown this once."""
    service, asked = web.service(request), bodies.read_webhook(await web.body(request))
    desk = await service.desk(request.path_params["ledger"])
    try:
        service.targets.check_url(asked.url)
    except BadTargetError as problem:
        raise invalid("url", f"url: {problem}") from problem
    webhook, secret = uuid4(), _secret(asked.secret)
    async with service.reading() as connection:
        if not await webhooks.add(
            connection, desk.view.key, webhook, asked.url, desk.sealing.kept_secret(webhook, secret)
        ):
            raise Problem(409, "too_many_webhooks", f"a ledger has at most {webhooks.MOST} webhooks: remove one")
        shown = _shape(await _known(connection, desk, webhook))
    return web.json({**shown, "secret": signing.written(secret)})


async def every(request: Request) -> Response:
    """All of a ledger, without their secrets."""
    service = web.service(request)
    desk = await service.desk(request.path_params["ledger"])
    async with service.reading() as connection:
        found = await webhooks.every(connection, desk.view.key)
    return web.json({"webhooks": [_shape(one) for one in found]})


async def remove(request: Request) -> Response:
    """Nothing more is sent."""
    service, webhook = web.service(request), web.uuid("webhook", request.path_params["webhook"])
    desk = await service.desk(request.path_params["ledger"])
    async with service.reading() as connection:
        shown = _shape(await _known(connection, desk, webhook))
        await webhooks.remove(connection, desk.view.key, webhook)
    return web.json(shown)


async def rotate(request: Request) -> Response:
    """Another secret; for a day both sign."""
    service, webhook = web.service(request), web.uuid("webhook", request.path_params["webhook"])
    asked = bodies.read_secret(await web.body(request))
    desk, secret = await service.desk(request.path_params["ledger"]), _secret(asked.secret)
    async with service.reading() as connection:
        await _known(connection, desk, webhook)
        await webhooks.rotate(connection, desk.view.key, webhook, desk.sealing.kept_secret(webhook, secret))
        shown = _shape(await _known(connection, desk, webhook))
    return web.json({**shown, "secret": signing.written(secret)})


async def replay(request: Request) -> Response:
    """Deliver again from a block on; a webhook that was switched off goes on."""
    service, webhook = web.service(request), web.uuid("webhook", request.path_params["webhook"])
    asked = bodies.read_replay(await web.body(request))
    desk = await service.desk(request.path_params["ledger"])
    async with service.reading() as connection:
        known = await _known(connection, desk, webhook)
        newest = known.delivered + known.waiting
        if asked.from_block > newest + 1:
            raise invalid("from_block", f"from_block must be from 1 to {newest + 1}, the block after the newest")
        await webhooks.replay(connection, desk.view.key, webhook, asked.from_block)
        shown = _shape(await _known(connection, desk, webhook))
    return web.json(shown)


async def _known(connection: Connection, desk: Desk, webhook: UUID) -> WebhookView:
    found = await webhooks.one(connection, desk.view.key, webhook)
    if found is None:
        raise Problem(404, "webhook_not_found", "the ledger has no webhook of this id")
    return found


def _secret(text: str | None) -> bytes:
    try:
        return os.urandom(_SECRET_BYTES) if text is None else signing.read(text)
    except signing.BadSecretError as problem:
        raise invalid("secret", f"secret must be {problem}") from problem


def _shape(one: WebhookView) -> WebhookShape:
    state = "disabled" if one.disabled else "failing" if one.attempts else "active"
    return {
        "id": str(one.id),
        "url": one.url,
        "state": state,
        "delivered": one.delivered,
        "waiting": one.waiting,
        "attempts": one.attempts,
        "given_up": one.dead,
        "last_error": one.last_error,
    }
