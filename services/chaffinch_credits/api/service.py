"""The service behind the HTTP routes: one writer and one sealer a ledger, readers from a pool."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

import asyncpg

from chaffinch_credits.api.batcher import Batcher, Run
from chaffinch_credits.api.metrics import Metrics
from chaffinch_credits.api.problems import Problem
from chaffinch_credits.audit.note import Signer
from chaffinch_credits.ledger.decide import Decisions, Group
from chaffinch_credits.store import ledgers, schema
from chaffinch_credits.store.connection import AWAY, Connection
from chaffinch_credits.store.engine import Engine
from chaffinch_credits.store.ledgers import LedgerView
from chaffinch_credits.store.sealer import Sealer

_LOG = logging.getLogger(__name__)
_READERS = 4
_SWEEP_SECONDS = 1.0
_RECONNECT_SECONDS = 0.5
_WRITE_SECONDS = 30.0


@dataclass(slots=True)
class Writer:
    """A ledger's writer: a connection of its own, made anew when it breaks, and the queue before it."""

    dsn: str
    ledger: LedgerView
    _engine: Engine | None = None

    async def run(self, groups: Sequence[Group], metadata: Mapping[UUID, bytes]) -> Decisions:
        """One batch; a connection that failed is dropped, so that the next batch gets a new one."""
        async with self._connected() as engine:
            return await engine.run(groups, metadata)

    async def sweep(self) -> int:
        """End what is due."""
        async with self._connected() as engine:
            return await engine.sweep()

    async def close(self) -> None:
        """Close the connection."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.connection.close(timeout=2)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[Engine]:
        if self._engine is None or self._engine.connection.is_closed():
            connection = await asyncpg.connect(self.dsn, timeout=5, command_timeout=_WRITE_SECONDS)
            self._engine = Engine(connection, self.ledger.key, self.ledger.id)
        try:
            yield self._engine
        except AWAY:
            broken, self._engine = self._engine, None
            if broken is not None:
                broken.connection.terminate()
            raise


@dataclass(slots=True)
class Desk:
    """One ledger at work."""

    view: LedgerView
    batcher: Batcher
    sealer: Sealer
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    sealed_at: float = field(default_factory=time.monotonic)


class Service:
    """All ledgers of one database. Use as an async context manager; leaving it finishes what is under way."""

    def __init__(self, dsn: str, signer: Signer, *, checkpoint_seconds: float = 1.0) -> None:
        self._dsn, self._signer, self._checkpoint_seconds = dsn, signer, checkpoint_seconds
        self._desks: dict[str, Desk] = {}
        self._writers: list[Writer] = []
        self._opening = asyncio.Lock()
        self.pool: asyncpg.Pool
        self.metrics = Metrics()
        self.draining = False

    async def __aenter__(self) -> Self:
        self.pool = await asyncpg.create_pool(self._dsn, min_size=1, max_size=_READERS, command_timeout=10)
        async with self.pool.acquire() as connection:
            await schema.require_current(connection)
        return self

    async def __aexit__(self, *_: object) -> None:
        for desk in self._desks.values():
            desk.batcher.close()
            await asyncio.gather(desk.tasks[0], return_exceptions=True)
            for task in desk.tasks[1:]:
                task.cancel()
            await asyncio.gather(*desk.tasks, return_exceptions=True)
        for writer in self._writers:
            await writer.close()
        await self.pool.close()

    @property
    def verifier(self) -> str:
        """The key that checkpoints are checked with."""
        return str(self._signer.verifier)

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """A connection for reads."""
        async with self.pool.acquire() as connection:
            yield connection

    async def desk(self, name: str) -> Desk:
        """The ledger of a name, at work from now on. Problem 404 when there is none."""
        if name not in self._desks:
            async with self._opening:
                if name not in self._desks:
                    self._desks[name] = await self._open(name)
        return self._desks[name]

    async def make(self, name: str, assets: dict[str, int]) -> LedgerView:
        """Make a ledger, or add assets to it. Problem 409 when an asset has another scale."""
        async with self.pool.acquire() as connection:
            try:
                return await ledgers.ensure(connection, name, assets)
            except ValueError as problem:
                raise Problem(409, "asset_mismatch", str(problem), "assets") from problem

    async def _open(self, name: str) -> Desk:
        async with self.pool.acquire() as connection:
            view = await ledgers.find(connection, name) if name.isprintable() else None
        if view is None:
            raise Problem(404, "ledger_not_found", "there is no ledger of this name")
        writer, sweeper = Writer(self._dsn, view), Writer(self._dsn, view)
        self._writers += [writer, sweeper]
        desk = Desk(
            view, Batcher(self._measured(writer)), Sealer(view.key, f"{self._signer.name}/{name}", self._signer)
        )
        self.metrics.watch(name, lambda: desk.batcher.queued, lambda: time.monotonic() - desk.sealed_at)
        loop = asyncio.get_running_loop()
        desk.tasks = [
            loop.create_task(desk.batcher.work()),
            loop.create_task(self._keep(desk, sweeper)),
        ]
        return desk

    def _measured(self, writer: Writer) -> Run:
        name = writer.ledger.name

        async def run(groups: Sequence[Group], metadata: Mapping[UUID, bytes]) -> Decisions:
            self.metrics.batch_requests.labels(name).observe(sum(len(group.requests) for group in groups))
            with (
                self.metrics.batch_failures.labels(name).count_exceptions(),
                self.metrics.batch_seconds.labels(name).time(),
            ):
                return await writer.run(groups, metadata)

        return run

    async def _keep(self, desk: Desk, sweeper: Writer) -> None:
        """End what is due and publish checkpoints, for as long as the service runs."""
        while True:
            await asyncio.sleep(min(self._checkpoint_seconds, _SWEEP_SECONDS))
            try:
                await sweeper.sweep()
                async with self.pool.acquire() as connection:
                    while await desk.sealer.seal(connection):
                        pass
                desk.sealed_at = time.monotonic()
            except (*AWAY, asyncpg.PostgresError) as problem:
                _LOG.warning("ledger %s: no checkpoint: %s", desk.view.name, problem)
                await asyncio.sleep(_RECONNECT_SECONDS)
