"""Checking all of a ledger, and proofs out of a tree of ten million leaves."""

import json
import os
import random
import time
import urllib.request
from pathlib import Path
from typing import Any

import asyncpg

from chaffinch_credits.audit.tiles import HASH, WIDTH, fold
from chaffinch_credits.store import ledgers
from integration.credits.process import command
from perf.credits import rig

LEAVES = int(os.environ.get("CHAFFINCH_BENCH_LEAVES", "10000000")) // WIDTH * WIDTH
"""Of the tree that proofs are asked of: a whole number of tiles."""
PROOFS = 300


def verification(folder: Path, dsn: str) -> dict[str, Any]:
    """Entries a second that the command verifies, its start and the reading of all rows included."""
    key = rig.verifier_key(folder, dsn)
    started, before = time.perf_counter(), os.times()
    done = command(dsn, "verify", "shop", "--key", key, "-o", "json")
    seconds, after = time.perf_counter() - started, os.times()
    assert done.returncode == 0, (done.stdout + done.stderr)[:1000]
    entries = json.loads(done.stdout)["entries"]
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return {
        "entries": entries,
        "seconds": round(seconds, 2),
        "perSecond": round(entries / seconds, 1),
        "verifierCoreSeconds": round(used, 2),
        "perCoreSecondOfVerifier": round(entries / used, 1),
    }


async def grow_tree(dsn: str) -> None:
    """A ledger `deep` whose tiles are there, of random leaves, and whose entries are not: proofs need none."""
    connection = await asyncpg.connect(dsn)
    view = await ledgers.ensure(connection, "deep", {"CREDIT": 0})
    hashes, level, chance = b"", 0, random.Random(1)
    nodes = LEAVES
    while nodes >= WIDTH:
        above = bytearray()
        tiles = []
        for index in range(nodes // WIDTH):
            tile = chance.randbytes(WIDTH * HASH) if level == 0 else hashes[index * WIDTH * HASH :][: WIDTH * HASH]
            tiles.append((view.key, level, index, tile))
            above += fold(tile)
        await connection.copy_records_to_table("tile", records=tiles, columns=("ledger", "level", "index", "hashes"))
        hashes, nodes, level = bytes(above), nodes // WIDTH, level + 1
    await connection.execute(
        "INSERT INTO checkpoint (ledger, size, root, note) VALUES ($1, $2, $3, '')", view.key, LEAVES, bytes(HASH)
    )
    await connection.execute("UPDATE ledger_head SET next_seq = $2 WHERE ledger = $1", view.key, LEAVES + 1)
    await connection.close()


def inclusion(port: int) -> dict[str, Any]:
    """Inclusion proofs of random entries over HTTP, one after the other."""
    chance, taken, most = random.Random(2), list[float](), 0
    path = f"http://127.0.0.1:{port}/v1/ledgers/deep/audit/proofs/inclusion"
    for _ in range(PROOFS):
        started = time.perf_counter()
        with urllib.request.urlopen(f"{path}?seq={chance.randint(1, LEAVES)}&size={LEAVES}", timeout=30) as answer:
            hashes = json.loads(answer.read())["hashes"]
        taken.append(time.perf_counter() - started)
        most = max(most, len(hashes) * HASH)
    ordered = sorted(taken)
    return {
        "leaves": LEAVES,
        "milliseconds": {
            "p50": round(ordered[len(ordered) // 2] * 1e3, 3),
            "p99": round(ordered[int(len(ordered) * 0.99)] * 1e3, 3),
            "first": round(taken[0] * 1e3, 3),
        },
        "mostBytes": most,
    }
