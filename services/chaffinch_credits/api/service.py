"""The service behind the HTTP routes: one writer and one sealer a ledger, readers from a pool."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self, TypeVar
from uuid import UUID

import asyncpg

from chaffinch_credits.api.batcher import Batcher, NotSentError, Run
from chaffinch_credits.api.breaker import Breaker, State
from chaffinch_credits.api.cache import MOST_SECONDS, Cache
from chaffinch_credits.api.delivery import FIRST_PAUSE, Deliverer
from chaffinch_credits.api.metrics import Metrics
from chaffinch_credits.api.problems import Problem
from chaffinch_credits.api.sealing import Encryption, Sealing
from chaffinch_credits.api.targets import Policy
from chaffinch_credits.api.trail import Trail
from chaffinch_credits.audit.note import Signer
from chaffinch_credits.ledger.decide import Decisions, Group
from chaffinch_credits.ledger.entries import Reply
from chaffinch_credits.store import ledgers, verification, webhooks
from chaffinch_credits.store.connection import AWAY, Connection
from chaffinch_credits.store.engine import Engine
from chaffinch_credits.store.ledgers import LedgerView
from chaffinch_credits.store.schema import SCHEMA
from chaffinch_credits.store.sealer import Sealer
from chaffinch_credits.store.trail import Event

_LOG = logging.getLogger(__name__)
_READERS, _DELIVERING = 4, 2
_SWEEP_SECONDS = 1.0
_TRAIL_SECONDS = 1.0
_RECONNECT_SECONDS = 0.5
_WRITE_SECONDS = 30.0
_LOCK_SECONDS = 10
_PUBLIC = Policy()
Found = TypeVar("Found")


@dataclass(slots=True)
class Writer:
    """A ledger's writer: a connection of its own, made anew when it breaks, and the queue before it."""

    dsn: str
    ledger: LedgerView
    _engine: Engine | None = None

    async def run(self, groups: Sequence[Group], metadata: Mapping[UUID, bytes]) -> Decisions:
        """One batch. A connection that breaks under it leaves the outcome open: the batch is asked again on a new one.

        What was decided the first time is then read by its ids, and what was not is decided.

        Raises:
            NotSentError: there was no connection to send it by.

        """
        try:
            engine = await self._connect()
        except AWAY as problem:
            raise NotSentError from problem
        try:
            return await self._with(engine, engine.run(groups, metadata))
        except AWAY as problem:
            _LOG.warning("ledger %s: a batch is asked again: %s", self.ledger.name, type(problem).__name__)
        again = await self._connect()
        return await self._with(again, again.run(groups, metadata))

    async def sweep(self) -> int:
        """End what is due."""
        engine = await self._connect()
        return await self._with(engine, engine.sweep())

    async def close(self) -> None:
        """Close the connection."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.connection.close(timeout=2)

    async def _connect(self) -> Engine:
        if self._engine is None or self._engine.connection.is_closed():
            settings = {"lock_timeout": f"{_LOCK_SECONDS}s"}
            connection = await asyncpg.connect(
                self.dsn, timeout=5, command_timeout=_WRITE_SECONDS, server_settings=settings
            )
            self._engine = Engine(connection, self.ledger.key, self.ledger.id)
        return self._engine

    async def _with(self, engine: Engine, work: Awaitable[Found]) -> Found:
        """The work's result; a connection that failed is dropped, so that the next batch gets a new one."""
        try:
            return await work
        except AWAY:
            self._engine = None
            engine.connection.terminate()
            raise


@dataclass(slots=True)
class Desk:
    """One ledger at work."""

    view: LedgerView
    batcher: Batcher
    sealer: Sealer
    sealing: Sealing
    breaker: Breaker = field(default_factory=Breaker)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    sealed_at: float = field(default_factory=time.monotonic)

    async def submit(self, group: Group, metadata: Mapping[UUID, bytes]) -> list[Reply]:
        """Replies once they are durable; Problem 503 at once while the database is away."""
        self.breaker.admit()
        return await self.batcher.submit(group, metadata)


class Service:
    """All ledgers of one database. Use as an async context manager; leaving it finishes what is under way."""

    def __init__(
        self,
        dsn: str,
        signer: Signer,
        *,
        checkpoint_seconds: float = 1.0,
        encryption: Encryption | None = None,
        targets: Policy = _PUBLIC,
        first_pause: float = FIRST_PAUSE,
        cache_url: str = "",
        cache_seconds: float = MOST_SECONDS,
    ) -> None:
        self._encryption, self.targets, self._first_pause = encryption, targets, first_pause
        self._dsn, self._signer, self._checkpoint_seconds = dsn, signer, checkpoint_seconds
        self._desks: dict[str, Desk] = {}
        self._writers: list[Writer] = []
        self._opening = asyncio.Lock()
        self.pool: asyncpg.Pool
        self._breaker = Breaker()
        self._trail_task: asyncio.Task[None] | None = None
        self._delivery_pool: asyncpg.Pool
        self._delivery: asyncio.Task[None] | None = None
        self.metrics, self.trail = Metrics(), Trail()
        self.draining = False
        self.cache = Cache(cache_url, self.metrics.cache, cache_seconds) if cache_url else None
        self._cache_task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.pool = await asyncpg.create_pool(self._dsn, min_size=1, max_size=_READERS, command_timeout=10)
        async with self.pool.acquire() as connection:
            await SCHEMA.require_current(connection)
        self.trail.note(Event("service", "start", "", "done", ""))
        self._trail_task = asyncio.create_task(self._keep_trail())
        self._delivery_pool = await asyncpg.create_pool(self._dsn, min_size=0, max_size=_DELIVERING, command_timeout=10)
        if self.cache is not None:
            self._cache_task = asyncio.create_task(self.cache.work())
        deliverer = Deliverer(self._delivery_pool, self.targets, self.metrics, self._webhook_secret, self._first_pause)
        self._delivery = asyncio.create_task(deliverer.work())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._delivery is not None:
            self._delivery.cancel()
            await asyncio.gather(self._delivery, return_exceptions=True)
            await self._delivery_pool.close()
        for desk in self._desks.values():
            desk.batcher.close()
            await asyncio.gather(desk.tasks[0], return_exceptions=True)
            for task in desk.tasks[1:]:
                task.cancel()
            await asyncio.gather(*desk.tasks, return_exceptions=True)
        for writer in self._writers:
            await writer.close()
        await self._end_trail()
        if self.cache is not None and self._cache_task is not None:
            self._cache_task.cancel()
            await asyncio.gather(self._cache_task, return_exceptions=True)
            await self.cache.close()
        await self.pool.close()

    @property
    def verifier(self) -> str:
        """The key that checkpoints are checked with."""
        return str(self._signer.verifier)

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """A connection for reads."""
        self._breaker.admit()
        try:
            async with self.pool.acquire() as connection:
                yield connection
        except AWAY:
            self._breaker.failed()
            raise
        except Problem:
            self._breaker.succeeded()  # it answered, if not with what was asked for
            raise
        self._breaker.succeeded()

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

    async def _webhook_secret(self, ledger: str, webhook: UUID, kept: bytes) -> bytes:
        """A webhook's secret from what is kept; nothing, when there is no key for it."""
        return (await self.desk(ledger)).sealing.secret(webhook, kept)

    async def _keep_trail(self) -> None:
        """Write audit_logs every second, for as long as the service runs."""
        while True:
            await asyncio.sleep(_TRAIL_SECONDS)
            await self._flush_trail()

    async def _flush_trail(self) -> None:
        try:
            async with self.pool.acquire() as connection:
                await self.trail.flush(connection)
        except (*AWAY, asyncpg.PostgresError) as problem:
            _LOG.warning("audit_logs cannot be written, and wait: %s", problem)

    async def _end_trail(self) -> None:
        if self._trail_task is not None:
            self._trail_task.cancel()
            await asyncio.gather(self._trail_task, return_exceptions=True)
        self.trail.note(Event("service", "stop", "", "done", ""))
        await self._flush_trail()

    async def _open(self, name: str) -> Desk:
        async with self.pool.acquire() as connection:
            view = await ledgers.find(connection, name) if name.isprintable() else None
        if view is None:
            raise Problem(404, "ledger_not_found", "there is no ledger of this name")
        sealing = await self._sealing(view)
        writer, sweeper, breaker = Writer(self._dsn, view), Writer(self._dsn, view), Breaker()
        self._writers += [writer, sweeper]
        sealer = Sealer(view.key, f"{self._signer.name}/{name}", self._signer)
        desk = Desk(view, Batcher(self._measured(writer, breaker)), sealer, sealing, breaker)
        self.metrics.watch(
            name,
            lambda: desk.batcher.queued,
            lambda: time.monotonic() - desk.sealed_at,
            lambda: breaker.state is not State.CLOSED,
            lambda: desk.batcher.oldest,
        )
        loop = asyncio.get_running_loop()
        desk.tasks = [
            loop.create_task(desk.batcher.work()),
            loop.create_task(self._keep(desk, sweeper)),
        ]
        return desk

    async def _sealing(self, view: LedgerView) -> Sealing:
        """The ledger's field keys, read for the first time."""
        sealing = Sealing(view, self._encryption)
        async with self.pool.acquire() as connection:
            await sealing.look(connection)
        if self._encryption is not None:
            self.metrics.watch_keys(
                view.name, lambda: sealing.age, lambda: sealing.behind, lambda: bool(sealing.problem)
            )
        return sealing

    async def _measure_desk(self, connection: Connection, desk: Desk) -> None:
        found = await webhooks.every(connection, desk.view.key)
        self.metrics.undelivered.labels(desk.view.name).set(max((one.waiting for one in found), default=0))
        self.metrics.given_up.labels(desk.view.name).set(sum(one.dead for one in found))
        if (verified := await verification.newest(connection, desk.view.key)) is not None:
            self.metrics.verified_age.labels(desk.view.name).set(verified.age)
            self.metrics.unsound.labels(desk.view.name).set(not verified.sound)

    def _measured(self, writer: Writer, breaker: Breaker) -> Run:
        name = writer.ledger.name

        async def run(groups: Sequence[Group], metadata: Mapping[UUID, bytes]) -> Decisions:
            self.metrics.batch_requests.labels(name).observe(sum(len(group.requests) for group in groups))
            with (
                self.metrics.batch_failures.labels(name).count_exceptions(),
                self.metrics.batch_seconds.labels(name).time(),
            ):
                try:
                    made = await writer.run(groups, metadata)
                except (*AWAY, NotSentError):
                    breaker.failed()
                    raise
            breaker.succeeded()
            if self.cache is not None:
                self.cache.changed(writer.ledger, made.entries)
            return made

        return run

    async def _keep(self, desk: Desk, sweeper: Writer) -> None:
        """End what is due and publish checkpoints, for as long as the service runs."""
        while True:
            await asyncio.sleep(min(self._checkpoint_seconds, _SWEEP_SECONDS))
            try:
                await sweeper.sweep()
                async with self.pool.acquire() as connection:
                    await desk.sealing.look(connection)
                    await self._measure_desk(connection, desk)
                    while await desk.sealer.seal(connection):
                        pass
                desk.sealed_at = time.monotonic()
            except (*AWAY, asyncpg.PostgresError) as problem:
                _LOG.warning("ledger %s: no checkpoint: %s", desk.view.name, problem)
                await asyncio.sleep(_RECONNECT_SECONDS)
