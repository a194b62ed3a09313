"""Load: what counts as failed, how counts are kept, and that the generator sends what it should."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from support.load.__main__ import arguments, run
from support.load.client import Client, Goal, parse_head
from support.load.generator import Shape
from support.load.outcome import Kind, Outcome, answered, broken
from support.load.tally import Tally, total
from support.sample_service.app import Behaviour, Service, listen

DEADLINE_SECONDS = 20.0
OWN = {"x-sample-version": "v2", "x-chaffinch-track": "canary"}


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (200, OWN, Kind.OK),
        (500, {**OWN, "x-sample-injected": "error"}, Kind.INJECTED),
        (500, OWN, Kind.FAILED),
        (500, {}, Kind.FAILED),
        (200, {}, Kind.FAILED),
        (404, {}, Kind.FAILED),
        (502, {}, Kind.FAILED),
        (503, {"x-sample-injected": "error", **OWN}, Kind.FAILED),
        (504, {}, Kind.FAILED),
    ],
    ids=[
        "an answer",
        "the service's own error",
        "a crash in the service",
        "a crash of something",
        "an answer of another",
        "no route",
        "a broken upstream",
        "an overloaded gateway",
        "a time-out at the gateway",
    ],
)
def test_an_answer_is_judged_by_status_and_headers(status: int, headers: Mapping[str, str], kind: Kind) -> None:
    """Only errors that the service was told to make are not failures."""
    assert answered(status, headers).kind is kind


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (TimeoutError(), "TimeOut"),
        (ConnectionResetError(), "ConnectionResetError"),
        (asyncio.IncompleteReadError(b"", 1), "IncompleteReadError"),
        (ValueError("x"), "Malformed"),
    ],
)
def test_an_exception_is_a_failure_with_a_name(error: Exception, word: str) -> None:
    """So that the summary can say what broke."""
    assert broken(error) == Outcome(Kind.FAILED, "", "", word)


def test_heads_are_parsed() -> None:
    """Names in lower case."""
    assert parse_head(b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\n") == (200, {"x-a": "b"})


def test_no_head_is_an_error() -> None:
    """Anything may listen there."""
    with pytest.raises(ValueError, match="no answer"):
        parse_head(b"SSH-2.0\r\n\r\n")


def filled() -> Tally:
    """One of each."""
    tally = Tally(skipped=2)
    tally.add(answered(200, OWN), 0.002)
    tally.add(answered(500, {**OWN, "x-sample-injected": "error"}), 0.004)
    tally.add(broken(TimeoutError()), 1.0)
    return tally


def test_counts_are_asked_by_kind_track_and_version() -> None:
    """Every combination."""
    tally = filled()
    assert (tally.requests, tally.failed, tally.failures()) == (3, 1, {"TimeOut": 1})
    assert tally.count(track="canary") == 2
    assert tally.count(track="canary", kind=Kind.INJECTED, version="v2") == 1
    assert tally.count(version="v1") == 0


def test_counts_survive_json() -> None:
    """The generator is another process."""
    assert Tally.from_json(json.loads(json.dumps(filled().to_json()))) == filled()


def test_counts_add_up() -> None:
    """Seconds make a total."""
    both = total([filled(), filled()])
    assert (both.requests, both.skipped, both.failures()) == (6, 4, {"TimeOut": 2})


def test_quantiles_are_within_a_tenth() -> None:
    """Latencies are kept in buckets."""
    tally = Tally()
    for milliseconds in range(1, 101):
        tally.add(answered(200, OWN), milliseconds / 1000)
    assert tally.quantile_ms(0.5) == pytest.approx(50, rel=0.1)
    assert tally.quantile_ms(0.99) == pytest.approx(99, rel=0.1)
    assert Tally().quantile_ms(0.5) is None


@pytest.mark.parametrize(("share", "every"), [(0.05, 20), (1.0, 1), (0.0, 0)])
def test_a_share_of_requests_closes_its_connection(share: float, every: int) -> None:
    """Every so many."""
    assert Shape(1.0, new_connections=share).close_every == every


@asynccontextmanager
async def sample(behaviour: Behaviour) -> AsyncIterator[tuple[Service, int]]:
    """A sample service on a free port."""
    service = Service(behaviour)
    server = await listen(service, "127.0.0.1", 0)
    try:
        yield service, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(service.connections):
            connection.close()


async def test_requests_are_sent_and_counted_as_the_service_counts_them(capsys: pytest.CaptureFixture[str]) -> None:
    """No request is lost between the two, over kept and new connections; lines are printed."""
    async with sample(Behaviour("v3", error_rate=1.0)) as (service, port):
        options = arguments(
            [
                "--address=127.0.0.1",
                f"--port={port}",
                "--host=shop",
                "--rate=200",
                "--seconds=0.5",
                "--new-connections=0.5",
            ]
        )
        async with asyncio.timeout(DEADLINE_SECONDS):
            totals = await run(options)
        served = service.metrics.by_code[500]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert totals.requests == served > 20
    assert totals.count(kind=Kind.INJECTED, version="v3") == served
    assert total(Tally.from_json(line) for line in lines).requests == served


async def test_nobody_there_is_a_failure_not_an_end() -> None:
    """A refused connection is counted."""
    async with sample(Behaviour()) as (_, port):
        pass
    async with asyncio.timeout(DEADLINE_SECONDS):
        outcome = await Client(Goal("127.0.0.1", port, "shop")).ask(keep=True)
    assert outcome == Outcome(Kind.FAILED, "", "", "ConnectionRefusedError")


async def test_a_silent_server_is_a_time_out() -> None:
    """A request has a time limit."""
    async with sample(Behaviour(slow_rate=1.0, delay_seconds=30.0)) as (_, port):
        client = Client(Goal("127.0.0.1", port, "shop", timeout_seconds=0.05))
        async with asyncio.timeout(DEADLINE_SECONDS):
            outcome = await client.ask(keep=True)
        client.close()
    assert outcome.status == "TimeOut"
