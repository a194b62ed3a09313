"""Clients of a real Envoy that copies their requests see the primary alone, whatever the candidate does."""

import time
from pathlib import Path
from statistics import median

import aiohttp
import pytest

from integration.shadow.process import collecting, settings_file
from integration.shadow.versions import Version
from support import envoy

ROUNDS = 150
WAITED_MILLISECONDS = 300
"""For a candidate that hangs."""


class Clients:
    """Ask through both ports in turns, and remember answers and times."""

    def __init__(self, session: aiohttp.ClientSession, gateway: envoy.Envoy) -> None:
        self._session, self._ports = session, {"plain": gateway.plain, "mirrored": gateway.mirrored}
        self.seconds: dict[str, list[float]] = {"plain": [], "mirrored": []}
        self.answers: dict[str, set[tuple[int, str]]] = {"plain": set(), "mirrored": set()}

    async def round(self) -> None:
        """One request through each."""
        for way, port in self._ports.items():
            started = time.perf_counter()
            async with self._session.get(f"http://127.0.0.1:{port}/page") as answer:
                await answer.read()
                self.answers[way].add((answer.status, answer.headers.get("x-name", "")))
            self.seconds[way].append(time.perf_counter() - started)

    @property
    def added(self) -> float:
        """Seconds that copying adds to the median."""
        return median(self.seconds["mirrored"]) - median(self.seconds["plain"])


@pytest.mark.apiserver
@pytest.mark.parametrize("fault", ["", "hang", "flood", "500", "break off", "away"])
async def test_clients_notice_nothing_of_a_candidate(
    tmp_path: Path, dsn: str, control: Version, candidate: Version, fault: str
) -> None:
    """Every answer is the primary's, and waits for no candidate; every copy is accounted for."""
    candidate.fault = fault
    if fault == "away":
        await candidate.end()
    limits = {"timeoutMs": WAITED_MILLISECONDS, "answerBytes": 4096, "queue": 100_000, "concurrency": 4}
    file = settings_file(tmp_path, control=control.address, candidate=candidate.address, limits=limits)
    async with (
        Version("primary").serving() as primary,
        collecting(tmp_path, dsn, file) as collector,
        envoy.running(tmp_path, primary.port, collector.ports["mirror"]) as gateway,
        aiohttp.ClientSession() as session,
    ):
        clients = Clients(session, gateway)
        for _ in range(ROUNDS):
            await clients.round()
        coverage = await collector.settled(ROUNDS)
    assert clients.answers["mirrored"] == clients.answers["plain"] == {(200, "primary")}
    assert clients.added < WAITED_MILLISECONDS / 1000 / 3
    assert int(coverage["received"]) == ROUNDS
    assert (coverage["damage"] == []) is (fault in {"", "500"})
