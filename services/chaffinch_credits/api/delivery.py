"""Delivers events: one a block, in order, at least once, to each webhook of a ledger. Never in the way of a write.

A block is written in the transaction of its entries, so no event is lost; a webhook's cursor goes on only after a 2xx
answer. One process at a time delivers to a webhook, under a claim that runs out if the process ends.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import orjson

from chaffinch_credits.api import views
from chaffinch_credits.api.metrics import Metrics
from chaffinch_credits.api.targets import BadTargetError, Policy, session
from chaffinch_credits.crypto import signing
from chaffinch_credits.store import ledgers, reads, webhooks
from chaffinch_credits.store.connection import AWAY
from chaffinch_credits.store.ledgers import LedgerView
from chaffinch_credits.store.webhooks import BlockView, Claim

_LOG = logging.getLogger(__name__)
IDLE_SECONDS = 1.0
ANSWER_SECONDS = 10.0
CLAIM_SECONDS = 60.0
AT_ONCE = 8
"""Webhooks that one process delivers to."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 3600.0
MOST_ATTEMPTS = 20
"""Of one event, over seven hours and more; then it is given up, and the next one is tried."""
_IN_A_ROW = 50
_GONE = 410
Opener = Callable[[str, UUID, bytes], Awaitable[bytes]]
"""A webhook's secret from what is kept, by the name of its ledger; empty when there is no key for it."""


@dataclass(slots=True)
class Deliverer:
    """Of one process. pool: connections for short questions; opener: see Opener."""

    pool: asyncpg.Pool
    policy: Policy
    metrics: Metrics
    opener: Opener
    first_pause: float = FIRST_PAUSE
    idle_seconds: float = IDLE_SECONDS
    _me: UUID = field(default_factory=uuid4)
    _sessions: dict[str, aiohttp.ClientSession] = field(default_factory=dict)

    async def work(self) -> None:
        """Until it is cancelled."""
        async with contextlib.AsyncExitStack() as stack:
            for scheme in ("https", "http"):
                made = session(self.policy, ANSWER_SECONDS, secure=scheme == "https")
                self._sessions[scheme] = await stack.enter_async_context(made)
            places = asyncio.Semaphore(AT_ONCE)
            async with asyncio.TaskGroup() as group:
                while True:
                    await places.acquire()
                    found = await self._next()
                    group.create_task(self._guarded(found, places))

    async def _next(self) -> Claim:
        """The next webhook with something to deliver, as soon as there is one."""
        while True:
            with contextlib.suppress(*AWAY, asyncpg.PostgresError):
                if (found := await self._claim()) is not None:
                    return found
            await asyncio.sleep(self.idle_seconds * random.uniform(0.5, 1.5))  # noqa: S311 - processes take turns

    async def _guarded(self, found: Claim, places: asyncio.Semaphore) -> None:
        """Whatever goes wrong, the claim runs out and somebody tries again."""
        try:
            await self._deliver(found)
        except Exception as problem:  # noqa: BLE001 - one webhook must not end the others
            _LOG.warning("webhook %s: nothing is delivered: %s: %s", found.id, type(problem).__name__, problem)
        finally:
            places.release()

    async def _claim(self) -> Claim | None:
        async with self.pool.acquire() as connection:
            return await webhooks.claim(connection, self._me, CLAIM_SECONDS)

    async def _deliver(self, found: Claim) -> None:
        """Blocks in order, until one fails, nothing is left, or others should have their turn."""
        async with self.pool.acquire() as connection:
            view = await ledgers.by_key(connection, found.ledger)
        attempts = found.attempts
        for number in range(found.delivered + 1, found.delivered + 1 + _IN_A_ROW):
            async with self.pool.acquire() as connection:
                block = await webhooks.block(connection, found.ledger, number)
                names = await reads.names(connection, found.ledger, _numbers(block)) if block else {}
            if block is None:
                break
            error = await self._send(found, view, block, names)
            self.metrics.deliveries.labels(view.name, "failed" if error else "delivered").inc()
            if not await self._note(found, number, attempts, error):
                return
            attempts = 0
        await self._release(found)

    async def _note(self, found: Claim, number: int, attempts: int, error: str) -> bool:
        """Write down what became of an attempt; whether to go on with the next block."""
        async with self.pool.acquire() as connection:
            if not error:
                return await webhooks.delivered(connection, found, self._me, number, CLAIM_SECONDS)
            if error.startswith(str(_GONE)):
                await webhooks.disable(connection, found, error)
            elif attempts + 1 >= MOST_ATTEMPTS:
                await webhooks.give_up(connection, found, self._me, number, error)
            else:
                await webhooks.failed(connection, found, self._me, error, pause(self.first_pause, attempts))
            return False

    async def _release(self, found: Claim) -> None:
        async with self.pool.acquire() as connection:
            await webhooks.release(connection, found, self._me)

    async def _send(self, found: Claim, view: LedgerView, block: BlockView, names: dict[int, str]) -> str:
        """One attempt; why it failed, or nothing."""
        opened = [await self.opener(view.name, found.id, kept) for kept in found.secrets]
        secrets = [secret for secret in opened if secret]
        if not secrets:
            return "there is no key for its secret"
        body = orjson.dumps(event(view, block, names))
        signed = signing.headers(secrets, f"{view.id}:{block.number}", int(time.time()), body)
        try:
            self.policy.check_url(found.url)
            ask = self._sessions[urlsplit(found.url).scheme].post
            async with ask(
                found.url, data=body, headers={"Content-Type": "application/json", **signed}, allow_redirects=False
            ) as answer:
                return "" if 200 <= answer.status < 300 else f"{answer.status} {answer.reason or ''}".strip()
        except (aiohttp.ClientError, TimeoutError, OSError, BadTargetError, ValueError) as problem:
            return f"{type(problem).__name__}: {problem}"[:200]


def event(view: LedgerView, block: BlockView, names: dict[int, str]) -> dict[str, object]:
    """What is sent of a block: all its entries, refusals included, without metadata."""
    return {
        "type": "ledger.block",
        "timestamp": views.time(max(entry.created_at for entry in block.entries)),
        "data": {
            "ledger": view.name,
            "block": block.number,
            "first_seq": block.first,
            "last_seq": block.last,
            "hash": block.hash.hex(),
            "entries": [views.entry(entry, names) for entry in block.entries],
        },
    }


def pause(first: float, attempts: int) -> float:
    """Seconds before the next attempt: twice as long each time, up to an hour, and up to a quarter less by chance."""
    return min(first * 2.0 ** min(attempts, 30), LONGEST_PAUSE) * random.uniform(0.75, 1.0)  # noqa: S311 - no secret


def _numbers(block: BlockView) -> set[int]:
    return {number for entry in block.entries for number in (entry.debit, entry.credit)}
