"""Two paranoia levels of a real firewall on the same requests: a plain client counts the same, and the verdict is no.

The candidate loses no detection and gains some; it also blocks texts that people type, and that is what decides.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.config import Config
from cluster.console import Console
from integration.shadow.process import Collector, collecting, settings_file
from support.waf import packages, processes
from support.waf.processes import Firewalls, one_after_another
from support.waf.requests import ATTACKS, CLASS, WHOLE, requests, write

SHARDS = 2
SAMPLE = 300
LOST, GAINED, NEW_FALSE_ALARM = 6, 5, 1
_MOST_SECONDS = 7200


@pytest.fixture(scope="session")
def files() -> Path:
    """Files of the Debian packages."""
    return packages.unpacked(Config.from_env().cache, Console())


@pytest.fixture(scope="session")
def firewalls(files: Path) -> Iterator[Firewalls]:
    """Control and candidate."""
    with processes.running(files) as found:
        yield found


@dataclass(frozen=True, slots=True)
class Replayed:
    """An evaluation whose shards are done."""

    collector: Collector
    folder: Path
    cells: Mapping[str, int]

    async def analysis(self) -> dict[str, Any]:
        """What `analyze` says of the stored rows, at one attack in a hundred requests."""
        rows = self.folder / "rows.csv"
        rows.write_text((await self.collector.api("/v1/rows.csv")).body)
        asked = ("--prevalence", "0.01", "--expected", str(len(self.cells)), "-o", "json")
        said = await asyncio.to_thread(_run, "analyze", "--rows", str(rows), *asked)
        found: dict[str, Any] = json.loads(said)
        return found

    async def listed(self, listing: str) -> set[str]:
        """Ids of the samples of a list, over all its pages."""
        found, path = set[str](), f"/v1/samples/{listing}?limit=500"
        while path:
            page = (await self.collector.api(path)).body
            found |= {one["requestId"] for one in page["samples"]}
            path = f"/v1/samples/{listing}?limit=500&after={page['next']}" if page["next"] else ""
        return found

    def of(self, cell: int) -> set[str]:
        """Ids of the requests in a cell, by the plain client."""
        return {name for name, found in self.cells.items() if found == cell}


async def check(tmp_path: Path, dsn: str, files: Path, firewalls: Firewalls, count: int) -> dict[str, Any]:
    """Plain client, replay by shards, and that they agree; what `analyze` says."""
    asked = requests(files, count)
    plain = await asyncio.to_thread(one_after_another, firewalls, asked)
    folder = tmp_path / "requests"
    write(folder, asked)
    evaluation = settings_file(
        tmp_path,
        control=f"http://127.0.0.1:{firewalls.control}",
        candidate=f"http://127.0.0.1:{firewalls.candidate}",
        compare={"strata": {"header": CLASS, "values": [*ATTACKS]}},
        hypothesis={"design": "FixedN", "prevalence": "0.01"},
        limits={"concurrency": 4, "timeoutMs": 60_000},
    )
    await asyncio.gather(*(asyncio.to_thread(_shard, index, evaluation, folder, dsn) for index in range(SHARDS)))
    async with collecting(tmp_path, dsn, evaluation) as collector:
        found = Replayed(collector, tmp_path, plain)
        said = await found.analysis()
        own = (await collector.api("/v1/evaluation")).body
        assert without_order({name: own[name] for name in said}) == without_order(said)
        assert said["cells"] == [Counter(plain.values())[cell] for cell in range(8)]
        assert await found.listed("lost") == found.of(LOST)
        assert await found.listed("gained") == found.of(GAINED)
        assert await found.listed("new-false-alarms") == found.of(NEW_FALSE_ALARM)
        return said


def without_order(said: dict[str, Any]) -> dict[str, Any]:
    """A document without the peak over looks, for which rows have an order and the service's counts have none."""
    discordant = json.loads(json.dumps(said["discordant"]))
    for one in (discordant, discordant["positive"], discordant["negative"]):
        del one["pAlwaysValid"]
    return {**said, "discordant": discordant}


def _shard(index: int, evaluation: Path, folder: Path, dsn: str) -> None:
    settings = {"EVALUATION": str(evaluation), "FOLDER": str(folder), "DSN": dsn, "SHARDS": str(SHARDS)}
    _run("shard", "--index", str(index), **settings)


def _run(*arguments: str, **settings: str) -> str:
    environ = {**os.environ, **{f"CHAFFINCH_SHADOW_{name}": value for name, value in settings.items()}}
    command = [sys.executable, "-m", "chaffinch_shadow", *arguments]
    return subprocess.run(
        command, env=environ, check=True, timeout=_MOST_SECONDS, stdout=subprocess.PIPE, text=True
    ).stdout


def require_rejected_for_false_alarms(said: dict[str, Any]) -> None:
    """Not promoted, and the guardrail on false alarms is the first reason."""
    assert (said["verdict"], said["reasons"][0]["reason"]) == ("Reject", "GuardrailBreached")
    assert said["reasons"][0]["metric"] == "falsePositiveRate"
    assert said["discordant"]["positive"]["lost"] < said["discordant"]["positive"]["gained"]


async def test_a_stricter_firewall_is_rejected_for_its_false_alarms(
    tmp_path: Path, dsn: str, files: Path, firewalls: Firewalls
) -> None:
    """On a sample of the requests, of which shards and a plain client say the same."""
    require_rejected_for_false_alarms(await check(tmp_path, dsn, files, firewalls, SAMPLE))


@pytest.mark.long
async def test_the_whole_set_is_counted_as_a_plain_client_counts_it(
    tmp_path: Path, dsn: str, files: Path, firewalls: Firewalls
) -> None:
    """37,000 requests; what came out is written to build/bench/shadow-waf.json."""
    said = await check(tmp_path, dsn, files, firewalls, WHOLE)
    require_rejected_for_false_alarms(said)
    assert sum(said["cells"]) == WHOLE
    path = Path(__file__).parents[3] / "build" / "bench" / "shadow-waf.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(said, indent=1))
