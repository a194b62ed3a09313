"""The endpoints say what is the matter."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from chaffinch_operator.health import Health, HealthServer
from chaffinch_operator.metrics import Metrics
from chaffinch_operator.settings import Settings

SETTINGS = Settings(http_host="127.0.0.1", http_port=0)


class Clock:
    """Seconds, as set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the present second."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    """Of a process that has just started."""
    return Health(SETTINGS, clock=clock)


def test_a_standby_is_alive_and_ready(health: Health, clock: Clock) -> None:
    """It has nothing to wait for, however long that takes."""
    clock.now += 10_000
    assert (health.live(), health.readiness(), health.role) == ("", "", "standby")


def test_a_leader_is_ready_once_everything_is(health: Health) -> None:
    """Until then it says what is missing."""
    health.lead("crds", "hold")
    health.not_ready("crds", "not installed")
    assert health.readiness() == "crds: not installed; hold: not checked yet"
    health.ready("crds")
    health.ready("hold")
    assert health.readiness() == ""


def test_what_was_ready_can_become_unready(health: Health) -> None:
    """Somebody deleted a policy, say."""
    health.lead("hold")
    health.ready("hold")
    health.not_ready("hold", "refused")
    assert health.readiness() == "hold: refused"


def test_a_leader_that_does_not_see_its_renewals_is_dead(health: Health, clock: Clock) -> None:
    """Its watches are deaf, however alive the process looks."""
    health.lead()
    clock.now += 29
    assert health.live() == ""
    clock.now += 2
    assert "for 31 s" in health.live()
    health.renewal_seen()
    assert health.live() == ""


@pytest.fixture
async def base(health: Health) -> AsyncIterator[str]:
    """Address of the served endpoints."""
    async with HealthServer(health, Metrics(), SETTINGS) as server:
        yield f"http://127.0.0.1:{server.port}"


async def get(url: str) -> tuple[int, str]:
    """Status and text."""
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def test_endpoints_answer_200_when_all_is_well(base: str) -> None:
    """And name the role."""
    assert await get(f"{base}/healthz") == (200, "standby: ok\n")
    assert await get(f"{base}/readyz") == (200, "standby: ok\n")


async def test_endpoints_answer_503_with_the_reason(base: str, health: Health, clock: Clock) -> None:
    """Kubelet acts on the status, people on the text."""
    health.lead("sync")
    clock.now += 100
    assert await get(f"{base}/readyz") == (503, "leader: sync: not checked yet\n")
    assert (await get(f"{base}/healthz"))[0] == 503


async def test_metrics_are_served(base: str) -> None:
    """In Prometheus' text format."""
    status, text = await get(f"{base}/metrics")
    assert status == 200
    assert "# TYPE chaffinch_leader gauge" in text


async def test_notes_are_told_to_those_who_ask_for_all(base: str, health: Health) -> None:
    """Readiness does not depend on them."""
    health.note("alerts", lambda: "off")
    assert await get(f"{base}/readyz?verbose") == (200, "standby: ok\nalerts: off\n")
    assert await get(f"{base}/readyz") == (200, "standby: ok\n")
