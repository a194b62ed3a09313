"""What we take for granted of Alertmanager, held against the real program: what it delivers, repeats and answers.

Alerts are posted to its API, as Prometheus does. Without its binary (make cluster-build) these are skipped.
"""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from chaffinch_operator.canary.matchers import parse
from chaffinch_operator.errors import Unavailable
from chaffinch_operator.ports.alertmanager import HttpAlertmanager
from chaffinch_operator.receiver import Receiver
from chaffinch_operator.settings import Settings
from chaffinch_operator.webhook import Alert
from cluster.apiserver import free_ports
from cluster.build import Cache
from cluster.config import Config

SECONDS = 20.0
POLL = 0.05
TOKEN = "a-token-for-tests-only"


@dataclass
class Desk:
    """What was handed over, and whether it can be written."""

    posts: list[Sequence[Alert]] = field(default_factory=list)
    down: bool = False
    truncated: int = 0
    answered: list[int] = field(default_factory=list)

    async def put(self, alerts: Sequence[Alert], at: datetime) -> int:
        """Write alerts."""
        if self.down:
            raise Unavailable("down")
        self.posts.append(alerts)
        return len(alerts)

    def cut(self) -> None:
        """Something was left out."""
        self.truncated += 1

    def of(self, name: str) -> list[Alert]:
        """Alerts of a name, as often as they were delivered."""
        return [a for post in self.posts for a in post if a.name == name]


@dataclass(frozen=True)
class Real:
    """A real Alertmanager whose webhook leads to a port of ours."""

    url: str
    port: int
    token: Path

    @asynccontextmanager
    async def desk(self) -> AsyncIterator[Desk]:
        """A receiver on that port."""
        desk = Desk()
        settings = Settings(alerts_host="127.0.0.1", alerts_port=self.port, alerts_token_file=str(self.token))
        async with Receiver(settings, desk.put, truncated=desk.cut, answered=desk.answered.append):
            yield desk

    async def fire(self, name: str, *, count: int = 1, ended: bool = False, **labels: str) -> datetime:
        """Post alerts as Prometheus does; when they began."""
        now = datetime.now(UTC)
        alerts = [
            {
                "labels": {"alertname": name, "number": str(number), **labels},
                "startsAt": (now - timedelta(seconds=1)).isoformat(),
                **({"endsAt": now.isoformat()} if ended else {}),
            }
            for number in range(count)
        ]
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/api/v2/alerts", json=alerts) as answer,
        ):
            assert answer.status == 200, await answer.text()
        return now - timedelta(seconds=1)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """Alertmanager, started."""
    cache = Cache.of(Config.from_env().cache)
    if not cache.has("alertmanager"):
        pytest.skip("no alertmanager: make cluster-build")
    folder = tmp_path_factory.mktemp("alertmanager")
    api, webhook = free_ports(2)
    token = folder / "token"
    token.write_text(TOKEN)
    hook = {
        "url": f"http://127.0.0.1:{webhook}/alerts",
        "max_alerts": 3,
        "http_config": {"authorization": {"credentials_file": str(token)}},
    }
    route = {
        "receiver": "us",
        "group_by": ["alertname"],
        "group_wait": "0s",
        "group_interval": "200ms",
        "repeat_interval": "200ms",
    }
    config = folder / "alertmanager.yml"
    config.write_text(json.dumps({"route": route, "receivers": [{"name": "us", "webhook_configs": [hook]}]}))
    program = cache.program("alertmanager", "alertmanager")
    process = _start(program, config, folder, api)
    try:
        yield Real(f"http://127.0.0.1:{api}", webhook, token)
    finally:
        process.terminate()
        process.wait(10)


def _start(program: Path, config: Path, folder: Path, port: int) -> "subprocess.Popen[bytes]":
    options = [
        f"--config.file={config}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen([program, *options], stdout=log, stderr=log)


async def until(look: Callable[[], Awaitable[Any] | Any], what: str) -> Any:
    """Look until it is true."""
    async with asyncio.timeout(SECONDS):
        while True:
            seen = look()
            if isinstance(seen, Awaitable):
                seen = await seen
            if seen:
                return seen
            await asyncio.sleep(POLL)
    raise AssertionError(what)


@pytest.fixture
async def answering(real: Real) -> Real:
    """It answers."""

    async def ready() -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{real.url}/-/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    await until(ready, "ready")
    return real


async def test_its_posts_are_understood_and_repeated_unchanged(answering: Real) -> None:
    """Fingerprint and start are the identity: they are the same in every delivery, and name the labels we sent."""
    async with answering.desk() as desk:
        began = await answering.fire("Repeated", severity="critical")
        await until(lambda: len(desk.of("Repeated")) >= 3, "repetitions")
        found = desk.of("Repeated")
        assert {(a.fingerprint, a.starts_at) for a in found} == {(found[0].fingerprint, found[0].starts_at)}
        assert abs((found[0].starts_at - began).total_seconds()) < 0.01
        assert (found[0].labels["severity"], found[0].firing) == ("critical", True)
        assert set(desk.answered) == {200}


async def test_an_end_is_told_as_resolved(answering: Real) -> None:
    """With the same identity."""
    async with answering.desk() as desk:
        await answering.fire("Ended")
        await until(lambda: desk.of("Ended"), "the beginning")
        await answering.fire("Ended", ended=True)
        await until(lambda: any(not a.firing for a in desk.of("Ended")), "the end")
        assert len({a.fingerprint for a in desk.of("Ended")}) == 1


async def test_what_could_not_be_written_is_delivered_again(answering: Real) -> None:
    """503 is taken for what it is."""
    async with answering.desk() as desk:
        desk.down = True
        await answering.fire("Again")
        await until(lambda: 503 in desk.answered, "a refusal")
        assert desk.of("Again") == []
        desk.down = False
        await until(lambda: desk.of("Again"), "the delivery")


async def test_it_says_what_it_left_out(answering: Real) -> None:
    """`max_alerts` cuts the post, and the API has all, of the same identities, found by matchers as we write them."""
    async with answering.desk() as desk:
        await answering.fire("Many", count=5, odd='a"b\\c')
        await until(lambda: desk.truncated, "a truncated post")
        assert len({a.fingerprint for a in desk.of("Many")}) == 3
        matchers = [str(parse('alertname=~"Man.*"')), str(parse('odd="a\\"b\\\\c"')), str(parse('severity!="info"'))]
        async with HttpAlertmanager(answering.url) as port:
            active = await port.active(matchers)
            assert {a.labels["number"] for a in active} == {"0", "1", "2", "3", "4"}
            delivered = {(a.fingerprint, a.starts_at) for a in desk.of("Many")}
            assert delivered <= {(a.fingerprint, a.starts_at) for a in active}
            assert await port.active(['alertname="Nobody"']) == ()
