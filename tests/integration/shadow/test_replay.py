"""Replay by shards: real processes, killed and repeated, and the same bytes in the end."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from chaffinch_shadow.collect.evaluation import load
from chaffinch_shadow.collect.tally import Tally
from chaffinch_shadow.store import reads
from chaffinch_shadow.store.write import register
from integration.shadow.process import SECONDS, command, settings_file, until
from integration.shadow.versions import Version

RECORDS = 700


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Records with attacks, repeated ids, bad lines, writes, and a HAR."""
    found = tmp_path / "records"
    found.mkdir()
    lines = [
        {
            "id": f"r-{n % 650}",
            "target": f"/{'attack' if n % 7 == 0 else 'probe' if n % 11 == 0 else 'page'}/{n}",
            "method": "POST" if n % 50 == 0 else "GET",
            "label": int(n % 7 == 0 or n % 22 == 0),
        }
        for n in range(RECORDS - 5)
    ]
    texts = [json.dumps(line) for line in lines]
    texts[100], texts[200], texts[300] = "{", '{"label": 2, "target": "/"}', '{"target": "page"}'
    (found / "a.jsonl").write_text("\n".join(texts))
    request = {"method": "GET", "url": "https://shop.example/attack?x=1", "headers": [{"name": ":path", "value": "/"}]}
    (found / "b.har").write_text(json.dumps({"log": {"entries": [{"request": request, "_label": "attack"}] * 5}}))
    return found


class Run:
    """An evaluation of its own over the records."""

    def __init__(self, tmp_path: Path, dsn: str, folder: Path, control: Version, candidate: Version) -> None:
        candidate.words = ("attack", "probe")
        parts: dict[str, Any] = {"control": control.address, "candidate": candidate.address}
        self.file = settings_file(tmp_path, **parts, limits={"concurrency": 8})
        self.dsn, self.folder = dsn, folder

    def start(self, index: int, shards: int) -> subprocess.Popen[bytes]:
        """A worker's process, as an Indexed Job starts it."""
        environ = {
            **os.environ,
            "JOB_COMPLETION_INDEX": str(index),
            "CHAFFINCH_SHADOW_SHARDS": str(shards),
            "CHAFFINCH_SHADOW_EVALUATION": str(self.file),
            "CHAFFINCH_SHADOW_FOLDER": str(self.folder),
            "CHAFFINCH_SHADOW_DSN": self.dsn,
        }
        return subprocess.Popen(
            [sys.executable, "-m", "chaffinch_shadow", "shard"], env=environ, stderr=subprocess.DEVNULL
        )

    async def finish(self, index: int, shards: int) -> int:
        """A worker to its end."""
        return await asyncio.to_thread(self.start(index, shards).wait, SECONDS)

    async def tally(self, connection: asyncpg.Connection) -> Tally:
        """What all shards counted, without latencies, which no two runs share."""
        registered = await register(connection, load(self.file.read_bytes()))
        counts = (await reads.tally(connection, registered.key)).counts
        return Tally({key: n for key, n in counts.items() if key[0] != "latency"})


async def whole(run: Run, connection: asyncpg.Connection, shards: Sequence[int], of: int) -> Tally:
    """The counts after these shards were run."""
    for index in shards:
        assert await run.finish(index, of) == 0
    return await run.tally(connection)


async def test_shards_killed_repeated_and_out_of_order_give_the_same_bytes(
    tmp_path: Path, dsn: str, folder: Path, control: Version, candidate: Version, connection: asyncpg.Connection
) -> None:
    """One worker's plain run; three shards of which two are killed at work, repeated, and run again when done."""
    plain = Run(tmp_path, dsn, folder, control, candidate)
    expected = await whole(plain, connection, [0], 1)
    killed = Run(tmp_path, dsn, folder, control, candidate)
    for index in (2, 0):
        before = len(candidate.asked)
        process = killed.start(index, 3)

        async def at_work(since: int = before) -> bool:
            return len(candidate.asked) > since + 20

        await until(at_work, "the shard to be at work")
        process.kill()
        await asyncio.to_thread(process.wait)
    assert (await whole(killed, connection, [1, 2, 0, 2], 3)).to_json() == expected.to_json()
    assert sum(expected.cells) == int(expected.under("paired")["none",]) == 642
    assert {key[0]: n for key, n in expected.under("dropped").items()} == {
        "Duplicate": 44,
        "UnsafeMethod": 11,
        "Unreadable": 3,
    }


async def test_a_worker_that_was_thought_dead_ends_without_harm(
    tmp_path: Path, dsn: str, folder: Path, control: Version, candidate: Version, connection: asyncpg.Connection
) -> None:
    """Two processes of one shard at the same time: one of them finishes it, and the counts are those of one."""
    alone = Run(tmp_path, dsn, folder, control, candidate)
    expected = await whole(alone, connection, [0], 1)
    twice = Run(tmp_path, dsn, folder, control, candidate)
    first, second = await asyncio.gather(twice.finish(0, 1), twice.finish(0, 1))
    assert 0 in {first, second}
    assert (await whole(twice, connection, [0], 1)).to_json() == expected.to_json()


def test_bad_settings_of_a_shard_are_named(tmp_path: Path, dsn: str) -> None:
    """An index beyond the shards, a folder without records, another number of shards than before."""
    file = settings_file(tmp_path, control="http://127.0.0.1:1", candidate="http://127.0.0.1:1")
    empty = tmp_path / "empty"
    empty.mkdir()
    settings = {"EVALUATION": str(file), "DSN": dsn, "FOLDER": str(empty)}
    assert "index 3 is not below" in command("shard", "--shards", "3", "--index", "3", **settings).stderr
    assert "has no file that ends in .jsonl or .har" in command("shard", **settings).stderr
    (empty / "a.jsonl").write_text('{"target": "/"}\n')
    assert command("shard", **settings).returncode == 0
    assert "cannot go on in 2 shards" in command("shard", "--shards", "2", **settings).stderr
