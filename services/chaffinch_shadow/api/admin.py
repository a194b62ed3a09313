"""The admin port, plain HTTP without a token: /healthz, /readyz, /metrics. Keep it inside the cluster."""

import asyncio
from collections.abc import Iterable

import asyncpg
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector as Source
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from chaffinch_shadow.api.service import Service
from chaffinch_shadow.collect.coverage import Coverage
from chaffinch_shadow.mirror.collector import Collector

_SECONDS = 2.0


class _Numbers(Source):
    """What the collector counts, read when somebody looks."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def collect(self) -> Iterable[Metric]:
        """Copies by what became of them, and what waits."""
        coverage = Coverage.of(self._collector.saving.counted)
        copies = CounterMetricFamily("chaffinch_shadow_copies", "Copies by what became of them", labels=["outcome"])
        copies.add_metric(["Paired"], coverage.pairs)
        for reason, n in coverage.by_reason.items():
            copies.add_metric([reason], n)
        yield copies
        saving = self._collector.saving
        yield GaugeMetricFamily("chaffinch_shadow_queued_copies", "Wait to be compared", len(self._collector.waiting))
        yield GaugeMetricFamily("chaffinch_shadow_unsaved_pairs", "Wait to be stored", saving.waiting)
        yield GaugeMetricFamily("chaffinch_shadow_store_away", "1 while the database cannot be reached", saving.away)


def create(service: Service, collector: Collector) -> Starlette:
    """The application over a service that is open and a collector that runs."""
    registry = CollectorRegistry()
    registry.register(_Numbers(collector))

    async def healthz(_: Request) -> Response:
        """The loop turns and pairs are being stored. A restart would not bring a database back, so it is no part."""
        return (
            PlainTextResponse("ok\n") if collector.healthy else PlainTextResponse("nothing is stored any more\n", 503)
        )

    async def readyz(_: Request) -> Response:
        """Ready as long as copies are taken; a database that is away is told, and copies are still taken."""
        if collector.draining:
            return PlainTextResponse("shutting down\n", 503)
        try:
            async with asyncio.timeout(_SECONDS), service.connection() as connection:
                await connection.execute("SELECT 1")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as problem:
            return PlainTextResponse(f"ok, but no database: {type(problem).__name__}\n")
        return PlainTextResponse("ok\n")

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])
