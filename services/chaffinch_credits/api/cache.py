"""Balances for display in a Redis-compatible cache: versioned, bounded in age by its own clock, never decided on.

A value is an account as it was read, with its version (the sequence that changed it last) and a time to live. A write
leaves the newest version of each account that it changed; a value below it counts no more. A write that never reaches
the cache is seen when the value's time is over: a client says how old an answer may be. When the cache is away every
read asks the database.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson
from prometheus_client import Counter
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from chaffinch_credits.ledger.entries import Entry
from chaffinch_credits.ledger.words import Outcome
from chaffinch_credits.store.ledgers import LedgerView

_LOG = logging.getLogger(__name__)
MOST_SECONDS = 5
"""The oldest answer that can be asked for."""
_WAIT_SECONDS, _REST_SECONDS = 0.1, 1.0
_MOST_CHANGES = 10_000
_GET = """
local found = redis.call('HMGET', KEYS[1], 'number', 'version', 'body')
if not found[3] then return false end
local newest = redis.call('GET', ARGV[1] .. found[1])
if newest and tonumber(newest) > tonumber(found[2]) then return false end
return {redis.call('PTTL', KEYS[1]), found[3]}"""
_PUT = """
local found = redis.call('HGET', KEYS[1], 'version')
if found and tonumber(found) > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'number', ARGV[1], 'version', ARGV[2], 'body', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1"""
_CHANGED = """
local found = redis.call('GET', KEYS[1])
if not found or tonumber(found) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return 1"""
AWAY = (RedisError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Cached:
    """An account as it was so many seconds ago."""

    age: float
    body: dict[str, Any]


@dataclass(slots=True)
class Cache:
    """Of one process. life: seconds that a value is kept."""

    url: str
    outcomes: Counter
    life: float = MOST_SECONDS
    clock: Callable[[], float] = time.monotonic
    _client: Redis = field(init=False)
    _rests_until: float = 0.0
    _changes: dict[tuple[str, int], int] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._client = Redis.from_url(
            self.url,
            socket_timeout=_WAIT_SECONDS,
            socket_connect_timeout=_WAIT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )

    async def get(self, ledger: LedgerView, account: str, most_age: float) -> Cached | None:
        """The account, if it is known and not older; None also when the cache is away."""
        found = await self._ask(_GET, _value(ledger, account), _version(ledger, ""))
        if isinstance(found, list):
            age = self.life - int(found[0]) / 1000
            if age <= most_age:
                self.outcomes.labels("hit").inc()
                return Cached(age, orjson.loads(found[1]))
        self.outcomes.labels("miss").inc()
        return None

    async def put(self, ledger: LedgerView, number: int, body: dict[str, Any], read_at: float) -> None:
        """Keep an account that was asked of the database at `read_at`, by the clock, unless a newer one is there."""
        left = self.life - (self.clock() - read_at)
        if left > 0:
            value = orjson.dumps(body)
            await self._ask(_PUT, _value(ledger, body["account"]), number, body["seq"], value, int(left * 1000))

    def changed(self, ledger: LedgerView, entries: Iterable[Entry]) -> None:
        """Remember which accounts entries have changed; said to the cache by `work`, so that no write waits for it."""
        for entry in entries:
            if entry.outcome is Outcome.OK:
                for number in (entry.debit, entry.credit):
                    self._changes[str(ledger.id), number] = entry.seq
        if len(self._changes) > _MOST_CHANGES:
            self._changes.clear()  # values end by themselves
        self._news.set()

    async def work(self) -> None:
        """Say what has changed, until it is cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            changes, self._changes = self._changes, {}
            with contextlib.suppress(*AWAY):
                await self._say(changes)

    async def close(self) -> None:
        """Close the connections."""
        with contextlib.suppress(*AWAY):
            await self._client.aclose()

    async def _say(self, changes: dict[tuple[str, int], int]) -> None:
        if self.clock() < self._rests_until:
            return
        async with self._client.pipeline(transaction=False) as pipe:
            for (ledger, number), seq in changes.items():
                pipe.eval(_CHANGED, 1, _version_of(ledger, number), seq, int(self.life * 2000))
            await pipe.execute()

    async def _ask(self, script: str, key: str, *arguments: str | int | bytes) -> Any:  # noqa: ANN401 - Redis's answers
        """What a script says; None while the cache is away, of which only one request a second finds out."""
        if self.clock() < self._rests_until:
            return None
        try:
            return await self._client.eval(script, 1, key, *arguments)
        except AWAY as problem:
            if self.clock() >= self._rests_until:
                _LOG.warning("the cache is away: %s", type(problem).__name__)
            self._rests_until = self.clock() + _REST_SECONDS
            self.outcomes.labels("away").inc()
            return None


def _value(ledger: LedgerView, account: str) -> str:
    return f"chaffinch:{{{ledger.id}}}:account:{account}"


def _version(ledger: LedgerView, number: int | str) -> str:
    return _version_of(str(ledger.id), number)


def _version_of(ledger: str, number: int | str) -> str:
    return f"chaffinch:{{{ledger}}}:version:{number}"
