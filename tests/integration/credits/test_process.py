"""The process that runs in a cluster: its commands and settings, its ports, its end, and what survives a crash."""

import asyncio
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import aiohttp
import asyncpg
import pytest

from integration.credits.certificates import Certificates
from integration.credits.http import Api
from integration.credits.process import Process, command, process
from support import postgres
from support.postgres import Postgres

ROUNDS = 20


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server of these tests' own: recovery reads every file, and those of a hundred databases take long."""
    with postgres.running() as found:
        yield found


@pytest.fixture
def service(tmp_path: Path, dsn: str) -> Iterator[Process]:
    """A running service."""
    with process(tmp_path, dsn) as found:
        yield found


class Load:
    """Clients that transfer one credit after the other, and repeat what was not acknowledged, as they must."""

    def __init__(self, service: Process, *, repeat: bool = True) -> None:
        self._url = f"http://127.0.0.1:{service.api}/v1/ledgers/shop/transfers"
        self._repeat, self._stopping = repeat, asyncio.Event()
        self.acknowledged = list[str]()
        self._news = asyncio.Event()

    async def run(self, clients: int = 8) -> None:
        """Until `stop`: then each client finishes what it began."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            await asyncio.gather(*(self._client(session) for _ in range(clients)))

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopping.set()

    async def more(self, count: int) -> None:
        """Wait until so many more are acknowledged."""
        goal = len(self.acknowledged) + count
        async with asyncio.timeout(30):
            while len(self.acknowledged) < goal:
                await self._news.wait()
                self._news.clear()

    async def _client(self, session: aiohttp.ClientSession) -> None:
        while not self._stopping.is_set():
            body = {"id": str(uuid4()), "debit": "source", "credit": "alice", "amount": "1"}
            while not await self._send(session, body) and self._repeat:  # noqa: ASYNC110 - a client waits before it asks again
                await asyncio.sleep(0.02)

    async def _send(self, session: aiohttp.ClientSession, body: dict[str, str]) -> bool:
        try:
            async with session.post(self._url, json=body) as answer:
                if answer.status in {200, 201}:
                    self.acknowledged.append(body["id"])
                    self._news.set()
                return answer.status in {200, 201}
        except (aiohttp.ClientError, TimeoutError):
            return False


async def opened(service: Process) -> None:
    """Accounts source and alice."""
    async with aiohttp.ClientSession() as session:
        api = Api(session, f"http://127.0.0.1:{service.api}")
        assert (await api.post("accounts", account="source", asset="CREDIT", allow_negative=True)).status == 201
        assert (await api.post("accounts", account="alice", asset="CREDIT")).status == 201


async def written(dsn: str) -> tuple[set[str], int]:
    """Ids of the transfers in the database, and the credits of alice."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT id FROM entry WHERE kind = 3 AND outcome = 0")
        return {str(row["id"]) for row in rows}, await connection.fetchval(
            "SELECT credits FROM account WHERE name = 'alice'"
        )
    finally:
        await connection.close()


def test_commands_can_be_repeated(dsn: str) -> None:
    """Jobs are: the schema is migrated once, the ledger made once, and assets may be added."""
    for arguments, said in (
        (("migrate",), "schema 5\n"),
        (("ensure", "shop", "--asset", "CREDIT=0"), "ledger shop: CREDIT=0\n"),
        (("ensure", "shop", "--asset", "CREDIT=0", "--asset", "USD=2"), "ledger shop: CREDIT=0, USD=2\n"),
    ):
        for _ in range(2):
            done = command(dsn, *arguments)
            assert (done.returncode, done.stdout) == (0, said), done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ensure", "shop", "--asset", "USD"), "write --asset CODE=SCALE"),
        (("ensure", "shop", "--asset", "usd=2"), "by code of the asset"),
        (("ensure", "Shop!", "--asset", "USD=2"), "a ledger's name"),
        (("serve", "--key-file", "/nowhere"), "keygen"),
        (("migrate", "--dsn-file", "/nowhere"), "give the database once"),
    ],
)
def test_wrong_settings_are_said(dsn: str, arguments: tuple[str, ...], said: str) -> None:
    """In one line that says what to do."""
    done = command(dsn, *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


async def test_the_admin_port_tells_of_the_service(service: Process) -> None:
    """Health, readiness, and metrics of what was done."""
    await opened(service)
    assert service.admin_says("healthz")[0] == 200
    metrics = service.admin_says("metrics")[1]
    route = 'method="POST",route="/v1/ledgers/{ledger}/accounts",status="201"'
    assert f"chaffinch_credits_requests_total{{{route}}} 2.0" in metrics
    assert 'chaffinch_credits_batch_requests_sum{ledger="shop"} 2.0' in metrics
    for name in ("checkpoint_age_seconds", "queued_requests", "batch_seconds_count"):
        assert f'chaffinch_credits_{name}{{ledger="shop"}}' in metrics


async def test_without_its_database_it_answers_that_itself(service: Process, server: Postgres) -> None:
    """503 with Retry-After for clients; alive and ready for the kubelet, so that there is somebody to answer."""
    await opened(service)
    server.kill()
    try:
        async with aiohttp.ClientSession() as session:
            answer = await Api(session, f"http://127.0.0.1:{service.api}").get("accounts/alice")
        assert (answer.status, answer.body["code"]) == (503, "database_unavailable")
        assert answer.headers["Retry-After"] == "1"
        assert (service.admin_says("readyz")[0], service.admin_says("healthz")[0]) == (200, 200)
    finally:
        server.start()
    load = Load(service)
    running = asyncio.create_task(load.run())
    await load.more(1)
    load.stop()
    await running


async def test_the_end_answers_what_is_under_way(service: Process, dsn: str) -> None:
    """SIGTERM under load: status 0, and what is in the database was acknowledged, all of it."""
    await opened(service)
    load = Load(service, repeat=False)
    running = asyncio.create_task(load.run())
    await load.more(100)
    status = await asyncio.to_thread(service.end)
    load.stop()
    await running
    ids, credits_ = await written(dsn)
    assert status == 0
    assert (ids, credits_) == (set(load.acknowledged), len(load.acknowledged))


@pytest.mark.parametrize("rounds", [ROUNDS, pytest.param(100, marks=pytest.mark.long)])
async def test_a_crash_loses_nothing_and_doubles_nothing(
    service: Process, server: Postgres, dsn: str, rounds: int
) -> None:
    """Service and PostgreSQL are killed in turn under load; every acknowledged transfer is there, and once."""
    await opened(service)
    load = Load(service)
    running = asyncio.create_task(load.run())
    for number in range(rounds):
        await load.more(20)
        if number % 2:
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        else:
            await asyncio.to_thread(service.kill)
            await asyncio.to_thread(service.start)
    load.stop()
    await running
    ids, credits_ = await written(dsn)
    assert len(load.acknowledged) == len(set(load.acknowledged))
    assert (ids, credits_) == (set(load.acknowledged), len(load.acknowledged))


async def test_mutual_tls(tmp_path: Path, dsn: str) -> None:
    """TLS 1.3 only, and only for clients with a certificate of the CA."""
    made = Certificates.make(tmp_path)
    files = {
        "TLS_CERT_FILE": str(made.server.cert),
        "TLS_KEY_FILE": str(made.server.key),
        "TLS_CLIENT_CA_FILE": str(made.ca),
    }
    with process(tmp_path, dsn, **files) as service:
        url = f"https://localhost:{service.api}/v1/ledgers/shop/accounts/nobody"
        trusted = ssl.create_default_context(cafile=made.ca)
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(url, ssl=trusted)
            trusted.load_cert_chain(made.client.cert, made.client.key)
            async with session.get(url, ssl=trusted) as answer:
                assert answer.status == 404
            trusted.maximum_version = ssl.TLSVersion.TLSv1_2
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(url, ssl=trusted)


async def test_an_export_has_every_entry(service: Process, dsn: str) -> None:
    """A line each, by sequence, with names, metadata and leaf."""
    await opened(service)
    async with aiohttp.ClientSession() as session:
        api = Api(session, f"http://127.0.0.1:{service.api}")
        await api.post("transfers", debit="source", credit="alice", amount="5", metadata={"order": 7})
        await api.post("transfers", debit="alice", credit="source", amount="6")
    lines = [json.loads(line) for line in command(dsn, "export", "shop").stdout.splitlines()]
    assert [line["seq"] for line in lines] == [1, 2, 3, 4]
    assert [(line["debit"], line["outcome"], line["metadata"]) for line in lines[2:]] == [
        ("source", "ok", {"order": 7}),
        ("alice", "insufficient_funds", None),
    ]
    assert all(len(line["leaf"]) == 64 for line in lines)
    assert command(dsn, "export", "nothing").returncode == 1


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE entry SET amount = amount + 1 WHERE seq = 5", "first bad entry: 5"),
        ("DELETE FROM entry WHERE seq = 4", "first bad entry: 4"),
        ("UPDATE hold SET amount = 8", "amount=8"),
        ("UPDATE lot SET remaining = 8", "the lot of entry"),
        ("UPDATE lot SET expires_at = NULL", "the lot of entry"),
        ("UPDATE account SET name = 'mallory' WHERE name = 'alice'", "first bad entry: 2"),
        ("UPDATE account SET credits = credits + 1000 WHERE name = 'alice'", "account 2 stands at 1003 with 0 held"),
    ],
)
async def test_verify_finds_what_was_changed_in_the_database(
    tmp_path: Path, dsn: str, connection: asyncpg.Connection, statement: str, said: str
) -> None:
    """Whoever may take the triggers away is found out by a command that asks the database alone: exit status 3."""
    key = command(dsn, "keygen", "--key-file", str(tmp_path / "key.pem")).stdout.strip()
    with process(tmp_path, dsn) as service:
        await opened(service)
        async with aiohttp.ClientSession() as session:
            await Api(session, f"http://127.0.0.1:{service.api}").post(
                "holds", debit="source", credit="alice", amount="7"
            )
        load = Load(service)
        running = asyncio.create_task(load.run(clients=1))
        await load.more(3)
        load.stop()
        await running
        async with aiohttp.ClientSession() as session:
            lot = {"source": "source", "account": "alice", "amount": "9", "expires_at": "2100-01-01T00:00:00Z"}
            await Api(session, f"http://127.0.0.1:{service.api}").post("grants", **lot)
    taken = len(load.acknowledged)
    asked = ("verify", "shop", "--key", key)
    sound = command(dsn, *asked, "--record")
    assert (sound.returncode, sound.stdout.split(":")[0]) == (0, "sound"), sound.stdout + sound.stderr
    await connection.execute("ALTER TABLE entry DISABLE TRIGGER append_only")
    await connection.execute(statement)
    found = command(dsn, *asked, "--record")
    assert found.returncode == 3, found.stdout
    assert await connection.fetchval("SELECT array_agg(sound ORDER BY number) FROM verification") == [True, False]
    assert said.replace("1003", str(1009 + taken)) in found.stdout
