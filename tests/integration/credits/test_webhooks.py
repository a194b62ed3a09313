"""Events: one a block, signed, in order, at least once, whatever happens to the receiver or to the service."""

import asyncio
import base64
import contextlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import web

from chaffinch_credits.api.sealing import Encryption
from chaffinch_credits.api.targets import Policy
from integration.credits.http import Api, serving

pytestmark = pytest.mark.asyncio
LOCAL: dict[str, Any] = {"targets": Policy.parse("127.0.0.0/8"), "first_pause": 0.02}
MOVE = {"debit": "source", "credit": "bob", "amount": "1"}


@dataclass
class Receiver:
    """Takes events; answers what it is told to, 204 without orders."""

    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    orders: list[int] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        """One attempt."""
        self.got.append(({k.lower(): v for k, v in request.headers.items()}, await request.read()))
        self.news.set()
        status = self.orders.pop(0) if self.orders else 204
        return web.Response(status=status, headers={"Location": self.url} if status == 307 else {})

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for it."""
        async with asyncio.timeout(20):
            while not holds():
                self.news.clear()
                await self.news.wait()

    def blocks(self) -> list[int]:
        """Numbers of the blocks, in the order in which they came."""
        return [json.loads(body)["data"]["block"] for _, body in self.got]


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free port."""
    found = Receiver()
    app = web.Application()
    app.router.add_post("/hook", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield found
    finally:
        await runner.cleanup()


async def registered(api: Api, receiver: Receiver) -> Any:
    """A webhook."""
    answer = await api.send("POST", "webhooks", {"url": receiver.url})
    assert answer.status == 200, answer.body
    return answer.body


async def state(api: Api) -> Any:
    """The only webhook."""
    return (await api.get("webhooks")).body["webhooks"][0]


async def until_state(api: Api, **wanted: Any) -> Any:
    """Wait until the only webhook is so."""
    async with asyncio.timeout(20):
        while True:
            found = await state(api)
            if wanted.items() <= found.items():
                return found
            await asyncio.sleep(0.02)


def signed_by(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether one of the signatures is of this secret, as a receiver checks it."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.digest(key, text, sha256)).decode()
    return wanted in headers["webhook-signature"].split(" ")


async def test_each_block_is_one_signed_event(dsn: str) -> None:
    """With its entries, refusals included; what came before the registration is not sent."""
    async with receiving() as receiver, serving(dsn, **LOCAL) as api:
        await api.shop()
        made = await registered(api, receiver)
        first = await api.post("transfers", **MOVE, metadata={"secret": "x"})
        await api.post("transfers", debit="bob", credit="alice", amount="1000")
        await receiver.until(lambda: len(receiver.got) == 2)
        (headers, body), (_, other) = receiver.got
        assert signed_by(made["secret"], headers, body)
        event = json.loads(body)["data"]
        assert (event["ledger"], event["first_seq"], event["last_seq"]) == (
            "shop",
            first.body["seq"],
            first.body["seq"],
        )
        assert [e["id"] for e in event["entries"]] == [first.body["id"]]
        assert b"secret" not in body
        assert json.loads(other)["data"]["entries"][0]["outcome"] == "insufficient_funds"
        found = await until_state(api, waiting=0)
        assert (found["state"], found["delivered"], "secret" in found) == ("active", event["block"] + 1, False)


async def test_what_fails_is_tried_again_in_order(dsn: str) -> None:
    """An error, a redirect, which is not followed, and then success: no event is left out, none overtakes."""
    async with receiving() as receiver, serving(dsn, **LOCAL) as api:
        await api.shop()
        await registered(api, receiver)
        receiver.orders = [500, 307, 404]
        for _ in range(3):
            await api.post("transfers", **MOVE)
        await receiver.until(lambda: len(receiver.got) == 6)
        first = receiver.blocks()[0]
        assert receiver.blocks() == [first] * 4 + [first + 1, first + 2]
        assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 3


async def test_events_survive_the_end_of_the_service(dsn: str) -> None:
    """What was not delivered when it ended is delivered by the next one, which nobody has asked for the ledger."""
    async with receiving() as receiver:
        async with serving(dsn, **LOCAL) as api:
            await api.shop()
            await registered(api, receiver)
            receiver.orders = [503] * 1000
            sent = [(await api.post("transfers", **MOVE)).body["seq"] for _ in range(3)]
            await receiver.until(lambda: len(receiver.got) > 1)
        receiver.orders, receiver.got = [], []
        async with serving(dsn, **LOCAL):
            await receiver.until(lambda: len(receiver.got) == 3)
        assert [json.loads(body)["data"]["first_seq"] for _, body in receiver.got] == sent


async def test_what_is_given_up_is_seen_and_can_be_sent_again(dsn: str, connection: asyncpg.Connection) -> None:
    """After the last attempt the next event has its turn; a replay starts where somebody says."""
    async with receiving() as receiver, serving(dsn, **LOCAL) as api:
        await api.shop()
        made = await registered(api, receiver)
        await connection.execute("UPDATE webhook SET attempts = 19")
        receiver.orders = [500]
        for _ in range(2):
            await api.post("transfers", **MOVE)
        found = await until_state(api, given_up=1, waiting=0)
        block = receiver.blocks()[0]
        assert 'webhook_given_up{ledger="shop"}' in api.metrics()
        assert found["delivered"] == block + 1
        answer = await api.send("POST", f"webhooks/{made['id']}:replay", {"from_block": block})
        assert (answer.status, answer.body["given_up"]) == (200, 0)
        await receiver.until(lambda: len(receiver.got) == 4)
        assert receiver.blocks() == [block, block + 1, block, block + 1]
        assert (await api.send("POST", f"webhooks/{made['id']}:replay", {"from_block": 10**6})).status == 400


async def test_a_receiver_that_is_gone_is_left_alone(dsn: str) -> None:
    """410 switches the webhook off; a removed one is told nothing either."""
    async with receiving() as receiver, serving(dsn, **LOCAL) as api:
        await api.shop()
        made = await registered(api, receiver)
        receiver.orders = [410]
        await api.post("transfers", **MOVE)
        assert (await until_state(api, state="disabled"))["last_error"] == "410 Gone"
        assert (await api.send("DELETE", f"webhooks/{made['id']}")).status == 200
        assert (await api.get("webhooks")).body == {"webhooks": []}
        assert (await api.send("DELETE", f"webhooks/{made['id']}")).body["code"] == "webhook_not_found"


async def test_secrets_are_exchanged_without_a_gap(dsn: str, tmp_path: Path, connection: asyncpg.Connection) -> None:
    """Both sign for a day; in an encrypted ledger they are sealed."""
    keks = tmp_path / "keks"
    keks.mkdir()
    (keks / "1").write_bytes(b"k" * 32)
    async with receiving() as receiver, serving(dsn, encryption=Encryption(keks), **LOCAL) as api:
        await api.shop()
        made = await registered(api, receiver)
        changed = (await api.send("POST", f"webhooks/{made['id']}:rotate", {})).body
        kept = await connection.fetchrow("SELECT secret, previous_secret FROM webhook")
        secrets = [made["secret"], changed["secret"]]
        assert kept is not None
        plain = [base64.b64decode(secret.removeprefix("whsec_")) for secret in secrets]
        assert not any(part in body for body in kept for part in plain)
        await api.post("transfers", **MOVE)
        await receiver.until(lambda: len(receiver.got) == 1)
        assert all(signed_by(secret, *receiver.got[0]) for secret in secrets)


async def test_two_processes_deliver_each_event_once(dsn: str) -> None:
    """As long as none of them ends: a webhook is one process's at a time."""
    async with receiving() as receiver, serving(dsn, **LOCAL) as api, serving(dsn, **LOCAL):
        await api.shop()
        await registered(api, receiver)
        for _ in range(12):
            await api.post("transfers", **MOVE)
        await until_state(api, waiting=0)
        assert receiver.blocks() == list(range(receiver.blocks()[0], receiver.blocks()[0] + 12))


async def test_a_receiver_that_hangs_slows_no_write(dsn: str) -> None:
    """Requests are answered while an event waits for its answer."""
    held = asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await held.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with server, serving(dsn, **LOCAL) as api:
        await api.shop()
        receiver = Receiver(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        await registered(api, receiver)
        for _ in range(20):
            assert (await api.post("transfers", **MOVE)).status == 201
        found = await state(api)
        assert (found["waiting"], found["attempts"]) == (20, 0)
        held.set()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"url": "http://example.com/"}, "url"),
        ({"url": "https://169.254.169.254/latest/meta-data"}, "url"),
        ({"url": "https://example.com/", "secret": "short"}, "secret"),
        ({}, "url"),
        ({"url": "https://example.com/", "events": ["*"]}, "events"),
    ],
)
async def test_a_bad_registration_names_its_field(dsn: str, body: dict[str, Any], field: str) -> None:
    """400, and nothing is registered."""
    async with serving(dsn) as api:
        await api.shop()
        answer = await api.send("POST", "webhooks", body)
        assert (answer.status, answer.body["field"]) == (400, field)
        assert (await api.get("webhooks")).body == {"webhooks": []}


async def test_a_ledger_has_a_limited_number(dsn: str) -> None:
    """The twenty-first is refused."""
    async with serving(dsn) as api:
        await api.shop()
        asked = [await api.send("POST", "webhooks", {"url": f"https://example.com/{n}"}) for n in range(21)]
        assert [a.status for a in asked] == [200] * 20 + [409]
