"""Tiles hold what the tree has, however it grew."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_credits.audit.merkle import Frontier
from chaffinch_credits.audit.tiles import HASH, WIDTH, Tile, fold, grow, join, pieces, place
from unit.credits.test_merkle import leaves as few

MANY = [bytes([n & 255, n >> 8]) * 16 for n in range(1_400)]
PATHS = [
    ("0/001", Tile(0, 1)),
    ("0/001.p/5", Tile(0, 1, 5)),
    ("5/x123/x456/078", Tile(5, 123456078)),
    ("5/x123/x456/078.p/2", Tile(5, 123456078, 2)),
    ("0/x003/x057/500", Tile(0, 3057500)),
    ("0/x001/x234/067", Tile(0, 1234067)),
]
"""Of golang.org/x/mod v0.17.0 (sumdb/tlog, without the height) and of C2SP tlog-tiles."""


@pytest.mark.parametrize(("path", "tile"), PATHS)
def test_published_names_of_tiles_are_read_and_written(path: str, tile: Tile) -> None:
    """Both ways."""
    assert Tile.parse(path) == tile
    assert tile.path == path


@pytest.mark.parametrize(
    "path",
    [
        "5/123/456/078",
        "-1/123/456/078",
        "data/x003/x057/500",
        "0/x000/001",
        "0/1",
        "00/001",
        "6/000",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/300",
        "0/000.p/05",
        "0/000/",
        "",
    ],
)
def test_what_is_no_tile_is_refused(path: str) -> None:
    """One name a tile; the first three are published as bad."""
    with pytest.raises(ValueError, match="is no tile"):
        Tile.parse(path)


@given(st.lists(st.integers(0, 700), max_size=6))
def test_tiles_do_not_depend_on_how_the_tree_grew(cuts: list[int]) -> None:
    """In any pieces, the same full tiles and the same rest."""
    whole = grow(0, (), MANY)
    size, rest, full = 0, tuple[bytes, ...](), dict[tuple[int, int], bytes]()
    for cut in [*cuts, len(MANY)]:
        part = grow(size, rest, MANY[size : size + cut])
        size, rest = min(size + cut, len(MANY)), part.rest
        full.update(part.full)
    assert full == whole.full
    assert [r for r in rest if r] == [r for r in whole.rest if r]


@given(st.integers(0, 1_000), st.integers(1, 400))
def test_a_subtree_is_made_of_pieces(start: int, width: int) -> None:
    """From tiles, where they are full, and from the rest."""
    grown = grow(0, (), MANY)
    first = start & ~((1 << max(0, (width - 1).bit_length())) - 1)
    last = min(first + width, len(MANY))
    parts = []
    for height, number in pieces(first, last):
        (level, index), low, high = place(height, number)
        tile = grown.full.get((level, index), grown.rest[level] if level < len(grown.rest) else b"")
        parts.append(fold(tile[low * HASH : high * HASH]))
    assert join(parts) == Frontier().extended(MANY[first:last]).root


def test_a_full_tile_is_256_wide() -> None:
    """1,400 leaves fill five tiles of leaves, and none above."""
    assert sorted(grow(0, (), MANY).full) == [(0, n) for n in range(len(MANY) // WIDTH)]
    assert grow(0, (), few(3)).full == {}
