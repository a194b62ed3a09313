"""The Merkle tree of RFC 6962 (section 2.1) over leaf hashes: roots, inclusion and consistency proofs, their checks.

A `Frontier` is what must be kept to go on appending: the roots of the perfect subtrees, largest first.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

EMPTY = sha256(b"").digest()
"""Root of the tree without leaves."""


def node(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """A tree of `size` leaves, as the roots of its perfect subtrees, largest first."""

    size: int = 0
    roots: tuple[bytes, ...] = ()

    def extended(self, leaves: Iterable[bytes]) -> "Frontier":
        """The tree with more leaves."""
        size, roots = self.size, list(self.roots)
        for leaf in leaves:
            top, level = leaf, size
            while level & 1:
                top = node(roots.pop(), top)
                level >>= 1
            roots.append(top)
            size += 1
        return Frontier(size, tuple(roots))

    @property
    def root(self) -> bytes:
        """The Merkle tree hash."""
        if not self.roots:
            return EMPTY
        root = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            root = node(left, root)
        return root


Subtree = Callable[[int, int], bytes]
"""Hash of the subtree over leaves [first, last): what proofs are made of. Perfect ones can be looked up in tiles."""


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """PATH(index, D[size]). ValueError unless 0 <= index < size."""
    if not 0 <= index < size:
        raise ValueError(f"index must lie in [0, {size}), got {index}")
    path: list[bytes] = []
    first, last = 0, size
    while last - first > 1:
        middle = first + _split(last - first)
        if index < middle:
            path.append(subtree(middle, last))
            last = middle
        else:
            path.append(subtree(first, middle))
            first = middle
    path.reverse()
    return path


def consistency_proof(old: int, size: int, subtree: Subtree) -> list[bytes]:
    """PROOF(old, D[size]). ValueError unless 1 <= old <= size."""
    if not 1 <= old <= size:
        raise ValueError(f"old size must lie in [1, {size}], got {old}")
    path: list[bytes] = []
    first, last, whole = 0, size, True
    while old != last:
        middle = first + _split(last - first)
        if old <= middle:
            path.append(subtree(middle, last))
            last = middle
        else:
            path.append(subtree(first, middle))
            first, whole = middle, False
    if not whole:
        path.append(subtree(first, last))
    path.reverse()
    return path


def root_from_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes:
    """The root that a proof leads to (RFC 9162, section 2.1.3.2). ValueError when it has the wrong length."""
    if not 0 <= index < size:
        raise ValueError(f"index must lie in [0, {size}), got {index}")
    inner = (index ^ (size - 1)).bit_length()
    border = (index >> inner).bit_count()
    if len(proof) != inner + border:
        raise ValueError(f"a proof of leaf {index} in {size} has {inner + border} hashes, got {len(proof)}")
    root = leaf
    for level, other in enumerate(proof[:inner]):
        root = node(other, root) if index >> level & 1 else node(root, other)
    for other in proof[inner:]:
        root = node(other, root)
    return root


def consistent(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether a proof shows the tree of `old` leaves to be the beginning of that of `size` (RFC 9162, 2.1.4.2)."""
    if not 1 <= old <= size:
        return False
    if old == size:
        return not proof and old_root == root
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        return False
    fn, sn = _above_ones(old - 1, size - 1)
    first = second = path[0]
    for other in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            first, second = node(other, first), node(other, second)
            fn, sn = _above_zeros(fn, sn)
        else:
            second = node(second, other)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and first == old_root and second == root


def _above_ones(fn: int, sn: int) -> tuple[int, int]:
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return fn, sn


def _above_zeros(fn: int, sn: int) -> tuple[int, int]:
    while fn and not fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return fn, sn


def _split(width: int) -> int:
    """The largest power of two below the width."""
    return 1 << ((width - 1).bit_length() - 1)
