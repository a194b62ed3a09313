"""Tiles of the Merkle tree, 256 hashes wide (C2SP tlog-tiles, height 8), and subtrees made from them. Pure.

Tile (level, index) holds the hashes of the nodes of height 8 * level from number 256 * index on. What is not in a full
tile is made from the leaves above the last full one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from chaffinch_credits.audit.merkle import EMPTY, node

HEIGHT = 8
WIDTH = 1 << HEIGHT
HASH = 32
Place = tuple[int, int]
"""(level, index)."""


_PATH = re.compile(r"(0|[1-9][0-9]?)/((?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")
_MOST_LEVELS = 6


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile by its name. width: how many hashes it has, from 1 to WIDTH."""

    level: int
    index: int
    width: int = WIDTH

    @classmethod
    def parse(cls, path: str) -> Self:
        """Read `level/index[.p/width]`, the index in groups of three digits, all but the last with an x before it.

        ValueError unless it is the name of a tile (C2SP tlog-tiles).
        """
        found = _PATH.fullmatch(path)
        if found is None:
            raise ValueError(f"{path!r} is no tile: write it as level/index, such as 0/x001/234 or 0/000.p/7")
        level, index, width = int(found[1]), int(found[2].replace("x", "").replace("/", "")), int(found[3] or WIDTH)
        made = cls(level, index, width)
        if level >= _MOST_LEVELS or width > WIDTH or (found[3] and width == WIDTH) or made.path != path:
            raise ValueError(f"{path!r} is no tile: a level is below {_MOST_LEVELS}, a part narrower than {WIDTH}")
        return made

    @property
    def path(self) -> str:
        """As it is read."""
        groups, rest = [f"{self.index % 1000:03}"], self.index // 1000
        while rest:
            groups.insert(0, f"x{rest % 1000:03}")
            rest //= 1000
        part = f".p/{self.width}" if self.width < WIDTH else ""
        return f"{self.level}/{'/'.join(groups)}{part}"

    def within(self, size: int) -> bool:
        """Whether the tree of `size` leaves has it."""
        return self.index * WIDTH + self.width <= size >> (HEIGHT * self.level)


@dataclass(frozen=True, slots=True)
class Grown:
    """Full tiles that leaves complete, and the partial ones that are left at each level."""

    full: Mapping[Place, bytes]
    rest: tuple[bytes, ...]


def grow(size: int, rest: Sequence[bytes], leaves: Sequence[bytes]) -> Grown:
    """Append leaves to a tree of `size`; rest: the hashes of the partial tile of each level, level 0 first."""
    levels, full = [bytearray(part) for part in rest], dict[Place, bytes]()
    done = [size >> (HEIGHT * level) for level in range(len(levels))]
    pending = [(0, leaf) for leaf in reversed(leaves)]
    while pending:
        level, one = pending.pop()
        if level == len(levels):
            levels.append(bytearray())
            done.append(0)
        levels[level] += one
        done[level] += 1
        if len(levels[level]) == WIDTH * HASH:
            tile = bytes(levels[level])
            full[level, done[level] // WIDTH - 1] = tile
            levels[level].clear()
            pending.append((level + 1, fold(tile)))
    return Grown(full, tuple(bytes(part) for part in levels))


def fold(hashes: bytes) -> bytes:
    """Root of the perfect tree over a power of two of hashes."""
    row = [hashes[at : at + HASH] for at in range(0, len(hashes), HASH)]
    while len(row) > 1:
        row = [node(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0] if row else EMPTY


def pieces(first: int, last: int) -> list[tuple[int, int]]:
    """The perfect, aligned subtrees that the tree over leaves [first, last) is made of: (height, number), in order.

    `first` is aligned to the width, as in every proof of RFC 6962.
    """
    found: list[tuple[int, int]] = []
    while first < last:
        height = (last - first).bit_length() - 1
        found.append((height, first >> height))
        first += 1 << height
    return found


def join(parts: Sequence[bytes]) -> bytes:
    """The hash of a tree from those of its pieces, left to right."""
    root = parts[-1]
    for left in reversed(parts[:-1]):
        root = node(left, root)
    return root


def place(height: int, number: int) -> tuple[Place, int, int]:
    """Where a perfect subtree is found: the tile, and the range of hashes in it that it is the root of."""
    level, within = divmod(height, HEIGHT)
    start = number << within
    return (level, start // WIDTH), start % WIDTH, start % WIDTH + (1 << within)
