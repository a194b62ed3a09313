"""The balance cache: answers are as old as was allowed and no older, and its death is nobody's trouble."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry, Counter

from chaffinch_credits.api.cache import Cache
from chaffinch_credits.store import ledgers
from integration.credits.http import Answer, Api, serving
from support import redis
from support.redis import RedisServer

pytestmark = pytest.mark.asyncio
LONG = 60.0
"""Life of values, where nothing is to end by itself."""
MOVE = {"debit": "alice", "credit": "bob", "amount": "1"}


@pytest.fixture
def cache() -> Iterator[RedisServer]:
    """A cache."""
    with redis.running() as found:
        yield found


@pytest_asyncio.fixture
async def api(dsn: str, cache: RedisServer) -> AsyncIterator[Api]:
    """A service with a cache whose values live long."""
    async with serving(dsn, cache_url=cache.url, cache_seconds=LONG) as found:
        await found.shop()
        yield found


async def read(api: Api, account: str = "alice") -> Answer:
    """A read that may be old. The age is not judged here: values live longer than anybody could ask for."""
    answer = await api.get(f"accounts/{account}?max_age=5")
    assert answer.status == 200, answer.body
    return answer


async def shown(api: Api, account: str, balance: str) -> None:
    """Wait until a read that may be old shows a balance."""
    async with asyncio.timeout(4):
        while (await read(api, account)).body["balance"] != balance:  # noqa: ASYNC110 - each look is a read
            await asyncio.sleep(0.01)


async def test_a_read_that_may_be_old_asks_the_cache(api: Api, dsn: str) -> None:
    """The second one is not asked of the database; one that may not be old always is."""
    first = await read(api)
    connection = await asyncpg.connect(dsn)
    await connection.execute("UPDATE account SET credits = credits + 7 WHERE name = 'alice'")
    await connection.close()
    assert ((await read(api)).body, first.headers["Age"]) == (first.body, "0")
    assert (await api.get("accounts/alice")).body["balance"] == "107"
    assert 'cache_reads_total{outcome="hit"} 1.0' in api.metrics()


async def test_a_write_ends_what_is_cached(api: Api) -> None:
    """Long before its time is over: both accounts show the transfer."""
    for account in ("alice", "bob"):
        await read(api, account)
    await api.post("transfers", **MOVE)
    await shown(api, "alice", "99")
    await shown(api, "bob", "1")


async def test_an_older_version_never_takes_the_place_of_a_newer(dsn: str, cache: RedisServer) -> None:
    """A reader that was slow comes too late, and what it has is not shown after a write."""
    async with serving(dsn) as api:
        await api.shop()
    connection = await asyncpg.connect(dsn)
    view = await ledgers.find(connection, "shop")
    await connection.close()
    assert view is not None
    own = Cache(cache.url, Counter("reads", "x", ["outcome"], registry=CollectorRegistry()), LONG)
    for seq in (9, 7):
        await own.put(view, 1, {"account": "a", "seq": seq}, own.clock())
        found = await own.get(view, "a", LONG)
        assert found is not None
        assert found.body["seq"] == 9
    await own.close()


async def test_an_answer_is_never_older_than_was_allowed(dsn: str, cache: RedisServer) -> None:
    """Even if no write ever reaches the cache: by the cache's own clock, from before the database was asked."""
    async with serving(dsn, cache_url=cache.url, cache_seconds=1.0) as api:
        await api.shop()
        await read(api)
        connection = await asyncpg.connect(dsn)
        await connection.execute("UPDATE account SET credits = credits + 7 WHERE name = 'alice'")
        await connection.close()
        await shown(api, "alice", "107")


async def test_a_cache_that_dies_under_load_is_not_noticed(api: Api, cache: RedisServer) -> None:
    """Reads and writes go on while it is killed and comes back: no error, and never a balance that was not."""
    stop, seen, moved = asyncio.Event(), list[int](), 0

    async def reader() -> None:
        while not stop.is_set():
            seen.append(int((await read(api)).body["balance"]))

    readers = [asyncio.create_task(reader()) for _ in range(4)]
    for change in (cache.kill, cache.start, cache.kill):
        for _ in range(8):
            assert (await api.post("transfers", **MOVE)).status == 201
            moved += 1
        await asyncio.to_thread(change)
    for _ in range(8):
        assert (await api.post("transfers", **MOVE)).status == 201
        moved += 1
    stop.set()
    await asyncio.gather(*readers)
    assert set(seen) <= set(range(100 - moved, 101))
    assert (await read(api)).body["balance"] == str(100 - moved)


@pytest.mark.parametrize("query", ["max_age=0", "max_age=6", "max_age=x", "max_age=1&at_seq=1"])
async def test_a_bad_age_names_the_field(api: Api, query: str) -> None:
    """400."""
    answer = await api.get(f"accounts/alice?{query}")
    assert (answer.status, answer.body["field"]) == (400, "max_age")
