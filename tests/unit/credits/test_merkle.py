"""The Merkle tree against RFC 6962's own recursive definition, and against the vectors of Certificate Transparency."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_credits.audit.merkle import (
    EMPTY,
    Frontier,
    consistency_proof,
    consistent,
    inclusion_proof,
    root_from_inclusion,
)

INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""Of the reference implementation of Certificate Transparency."""
sizes = st.integers(1, 70)


def leaves(count: int) -> list[bytes]:
    """Different leaf hashes."""
    return [sha256(b"\x00" + bytes([n])).digest() for n in range(count)]


def mth(tree: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it is written."""
    if not tree:
        return sha256(b"").digest()
    if len(tree) == 1:
        return tree[0]
    split = 1
    while split * 2 < len(tree):
        split *= 2
    return sha256(b"\x01" + mth(tree[:split]) + mth(tree[split:])).digest()


@pytest.mark.parametrize(("count", "root"), list(enumerate(ROOTS, start=1)))
def test_published_roots_are_reproduced(count: int, root: str) -> None:
    """One to eight leaves of the reference implementation."""
    hashes = [sha256(b"\x00" + bytes.fromhex(text)).digest() for text in INPUTS[:count]]
    assert Frontier().extended(hashes).root.hex() == root


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    """RFC 6962, section 2.1."""
    assert Frontier().root == EMPTY == mth([])


@given(sizes, st.data())
def test_a_tree_grows_in_any_pieces(size: int, data: st.DataObject) -> None:
    """The root is the definition's, however the leaves were appended."""
    tree, cut = leaves(size), data.draw(st.integers(0, size))
    assert Frontier().extended(tree[:cut]).extended(tree[cut:]).root == mth(tree)


@given(sizes, st.data())
def test_every_leaf_can_be_proven(size: int, data: st.DataObject) -> None:
    """The proof leads to the root; for another leaf it does not."""
    tree, index = leaves(size), data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, lambda first, last: mth(tree[first:last]))
    assert root_from_inclusion(index, size, tree[index], proof) == mth(tree)
    assert root_from_inclusion(index, size, EMPTY, proof) != mth(tree)


@given(sizes, st.data())
def test_a_bent_inclusion_proof_fails(size: int, data: st.DataObject) -> None:
    """One flipped bit leads to another root; a hash too many or too few is refused."""
    tree, index = leaves(size), data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, lambda first, last: mth(tree[first:last]))
    with pytest.raises(ValueError, match="hashes"):
        root_from_inclusion(index, size, tree[index], [*proof, EMPTY])
    if proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        bent = [bytes([p[0] ^ 1]) + p[1:] if n == place else p for n, p in enumerate(proof)]
        assert root_from_inclusion(index, size, tree[index], bent) != mth(tree)


@given(sizes, st.data())
def test_growth_can_be_proven(size: int, data: st.DataObject) -> None:
    """An older tree is shown to be the beginning; another history is not."""
    tree, old = leaves(size), data.draw(st.integers(1, size))
    proof = consistency_proof(old, size, lambda first, last: mth(tree[first:last]))
    assert consistent(old, mth(tree[:old]), size, mth(tree), proof)
    forged = [EMPTY, *tree[1:old]]
    assert not consistent(old, mth(forged), size, mth(tree), proof)
    assert not consistent(old, mth(tree[:old]), size, mth([EMPTY, *tree[1:]]), proof)
    assert not consistent(old, mth(tree[:old]), size, mth(tree), [*proof, EMPTY])


def nothing(first: int, last: int) -> bytes:
    """No subtree at all."""
    raise AssertionError(f"asked for [{first}, {last})")


def test_proofs_of_what_is_not_there_are_refused() -> None:
    """An index or an old size outside of the tree."""
    with pytest.raises(ValueError, match="index"):
        inclusion_proof(3, 3, nothing)
    with pytest.raises(ValueError, match="old size"):
        consistency_proof(0, 3, nothing)
