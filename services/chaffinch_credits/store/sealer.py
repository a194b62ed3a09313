"""Publishes checkpoints: reads the leaves that came since the last one, grows tiles and tree, signs the root."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from chaffinch_credits.audit import tiles
from chaffinch_credits.audit.merkle import Frontier
from chaffinch_credits.audit.note import Checkpoint, Signer
from chaffinch_credits.audit.tiles import HASH, HEIGHT, WIDTH, Place, Tile
from chaffinch_credits.store.connection import Connection

MOST_LEAVES = 50_000
_SLICE = 1_000
_root = lru_cache(maxsize=1_000)(tiles.fold)
"""Of full tiles, which never change: every proof of a large tree needs those of its right edge."""
_LOCK = 0x7365_616C
_SEALED = "SELECT coalesce(max(size), 0) FROM checkpoint WHERE ledger = $1"
_WRITTEN = "SELECT next_seq - 1 FROM ledger_head WHERE ledger = $1"
_TILES = "SELECT hashes FROM tile WHERE ledger = $1 AND level = $2 AND index >= $3 AND index < $4 ORDER BY index"
_LEAVES = "SELECT leaf FROM entry WHERE ledger = $1 AND seq > $2 AND seq <= $3 ORDER BY seq"


@dataclass(frozen=True, slots=True)
class Sealer:
    """Of one ledger. origin: the first line of its checkpoints."""

    key: int
    origin: str
    signer: Signer

    async def seal(self, connection: Connection) -> Checkpoint | None:
        """Publish a checkpoint over all that is written, at most MOST_LEAVES more; None when there is nothing new.

        One process at a time; a second one finds nothing to do.
        """
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1, $2)", _LOCK, self.key)
            size = await connection.fetchval(
                "SELECT coalesce(max(size), 0) FROM checkpoint WHERE ledger = $1", self.key
            )
            written = await connection.fetchval(_WRITTEN, self.key)
            goal = min(written, size + MOST_LEAVES)
            if goal == size:
                return None
            rest = await _rest(connection, self.key, size)
            rows = await connection.fetch(_LEAVES, self.key, size, goal)
            full = await _grown(size, rest, [row["leaf"] for row in rows])
            await connection.executemany(
                "INSERT INTO tile (ledger, level, index, hashes) VALUES ($1, $2, $3, $4)",
                [(self.key, level, index, hashes) for (level, index), hashes in full.items()],
            )
            root = await Tree(connection, self.key).root(goal)
            checkpoint = Checkpoint(self.origin, goal, root)
            await connection.execute(
                "INSERT INTO checkpoint (ledger, size, root, note) VALUES ($1, $2, $3, $4)",
                self.key,
                goal,
                root,
                self.signer.sign(checkpoint.text),
            )
            return checkpoint


@dataclass(frozen=True, slots=True)
class Tree:
    """The Merkle tree of a ledger, as it lies in tiles and leaves."""

    connection: Connection
    key: int

    async def root(self, size: int) -> bytes:
        """The root over the first leaves."""
        return await self.subtree(0, size) if size else Frontier().root

    async def subtree(self, first: int, last: int) -> bytes:
        """The hash over leaves [first, last), first aligned as in proofs."""
        return tiles.join([await self._perfect(height, number) for height, number in tiles.pieces(first, last)])

    async def tile(self, tile: Tile) -> bytes:
        """The hashes of a tile, which the tree must have."""
        start = tile.index * WIDTH
        return await self._hashes(tile.level, tile.index, start, start + tile.width)

    async def _perfect(self, height: int, number: int) -> bytes:
        (level, index), low, high = tiles.place(height, number)
        return tiles.fold(await self._hashes(level, index, index * WIDTH + low, index * WIDTH + high))

    async def _hashes(self, level: int, index: int, first: int, last: int) -> bytes:
        """Of nodes [first, last), which lie in one tile: out of it when it is full, else from what is below it."""
        tile: bytes | None = await self.connection.fetchval(
            "SELECT hashes FROM tile WHERE ledger = $1 AND level = $2 AND index = $3", self.key, level, index
        )
        if tile is None:
            return await _nodes(self.connection, self.key, level, first, last)
        start = index * WIDTH
        return tile[(first - start) * HASH : (last - start) * HASH]


async def _grown(size: int, rest: Sequence[bytes], leaves: Sequence[bytes]) -> dict[Place, bytes]:
    """The tiles that leaves complete. Requests are let in between slices: hashing is done where they are answered."""
    full = dict[Place, bytes]()
    for start in range(0, len(leaves), _SLICE):
        part = tiles.grow(size + start, rest, leaves[start : start + _SLICE])
        full.update(part.full)
        rest = part.rest
        await asyncio.sleep(0)
    return full


async def _rest(connection: Connection, key: int, size: int) -> list[bytes]:
    """The partial tile of each level of a tree, level 0 first."""
    rest, level = list[bytes](), 0
    while nodes := size >> (HEIGHT * level):
        rest.append(await _nodes(connection, key, level, nodes - nodes % WIDTH, nodes))
        level += 1
    return rest


async def _nodes(connection: Connection, key: int, level: int, first: int, last: int) -> bytes:
    """Hashes of nodes of a level, from leaves, or from the full tiles of the level below."""
    if level == 0:
        rows = await connection.fetch(_LEAVES, key, first, last)
        return b"".join(row["leaf"] for row in rows)
    full = await connection.fetch(_TILES, key, level - 1, first, last)
    return b"".join(_root(row["hashes"]) for row in full)
