"""The admin port, plain HTTP without keys: /healthz, /readyz, /metrics. Not for clients: keep it inside the cluster."""

import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from chaffinch_credits.api.service import Service
from chaffinch_credits.store.connection import AWAY

_SECONDS = 2.0


def create(service: Service) -> Starlette:
    """The application over a service that is open."""
    reached = False

    async def healthz(_: Request) -> Response:
        """The event loop turns. The database is no part of it: a restart would not bring it back."""
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        """Ready once the database was reached, and until the end.

        An outage of the database is one of all replicas: were they not ready then, clients would find nobody to
        connect to, where they now get 503 with Retry-After.
        """
        nonlocal reached
        if service.draining:
            return PlainTextResponse("shutting down\n", 503)
        if reached:
            return PlainTextResponse("ok\n")
        try:
            async with asyncio.timeout(_SECONDS), service.pool.acquire() as connection:
                await connection.execute("SELECT 1")
        except AWAY as problem:
            return PlainTextResponse(f"no database: {type(problem).__name__}\n", 503)
        reached = True
        return PlainTextResponse("ok\n")

    async def metrics(_: Request) -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])
