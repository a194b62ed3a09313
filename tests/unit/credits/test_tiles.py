"""Tiles hold what the tree has, however it grew."""

from hypothesis import given
from hypothesis import strategies as st

from chaffinch_credits.audit.merkle import Frontier
from chaffinch_credits.audit.tiles import HASH, WIDTH, fold, grow, join, pieces, place
from unit.credits.test_merkle import leaves as few

MANY = [bytes([n & 255, n >> 8]) * 16 for n in range(1_400)]


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
