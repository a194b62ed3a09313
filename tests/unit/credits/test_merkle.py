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
"""Of the reference implementation of Certificate Transparency: github.com/transparency-dev/merkle v0.0.2, proof."""
A, B, C = (
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
)
D, E = (
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
)
F, G = (
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
)
INCLUSIONS = [(0, 8, [A, B, C]), (5, 8, [D, E, ROOTS[3]]), (2, 3, [ROOTS[1]]), (1, 5, [ROOTS[0], B, D])]
CONSISTENCIES = [(1, 1, []), (1, 8, [A, B, C]), (6, 8, [F, E, ROOTS[3]]), (2, 5, [B, D]), (6, 7, [F, G, ROOTS[3]])]
SOME = bytes.fromhex("abacaba000000000000000000000000000000000000000000060061e00123456")
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


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSIONS)
def test_published_inclusion_proofs_are_made_and_checked(index: int, size: int, proof: list[str]) -> None:
    """The same hashes in the same order; none that is bent as the publisher bends them leads to the root."""
    tree = published(8)
    assert [h.hex() for h in inclusion_proof(index, size, lambda a, b: mth(tree[a:b]))] == proof
    hashes, root = [bytes.fromhex(text) for text in proof], bytes.fromhex(ROOTS[size - 1])
    assert root_from_inclusion(index, size, tree[index], hashes) == root
    for bad_index, bad_size, bad_proof in [
        *((bad, size, hashes) for bad in (index - 1, index + 1, index ^ 2)),
        *((index, bad, hashes) for bad in (size * 2, size // 2)),
        *((index, size, bad) for bad in bent(hashes, root, 8)),
    ]:
        assert not leads_to(root, bad_index, bad_size, tree[index], bad_proof)
    assert not leads_to(root, index, size, b"WrongLeaf", hashes)


@pytest.mark.parametrize(("old", "size", "proof"), CONSISTENCIES)
def test_published_consistency_proofs_are_made_and_checked(old: int, size: int, proof: list[str]) -> None:
    """The same hashes in the same order; none that is bent as the publisher bends them holds."""
    tree = published(8)
    assert [h.hex() for h in consistency_proof(old, size, lambda a, b: mth(tree[a:b]))] == proof
    hashes = [bytes.fromhex(text) for text in proof]
    old_root, root = bytes.fromhex(ROOTS[old - 1]), bytes.fromhex(ROOTS[size - 1])
    assert consistent(old, old_root, size, root, hashes)
    if old == size:
        return
    for bad_old, bad_size in [(old - 1, size), (old + 1, size), (old ^ 2, size), (old, size * 2), (old, size // 2)]:
        assert not consistent(bad_old, old_root, bad_size, root, hashes)
    for bad_old_root, bad_root in [(b"WrongRoot", root), (old_root, b"WrongRoot"), (root, old_root)]:
        assert not consistent(old, bad_old_root, size, bad_root, hashes)
    for bad in [[], [hashes[0], *hashes], [old_root, *hashes], [*hashes, old_root], *bent(hashes, root, 16)]:
        assert not consistent(old, old_root, size, root, bad)


@pytest.mark.parametrize(
    ("old", "size", "old_root", "root", "proof"),
    [
        (1, 1, b"one", b"other", []),
        (1, 0, b"one", b"other", []),
        (2, 1, b"one", b"other", []),
        (1, 2, b"one", b"other", []),
        (1, 1, EMPTY, b"other", []),
        (1, 1, EMPTY, EMPTY, [EMPTY]),
    ],
)
def test_proofs_published_as_bad_do_not_hold(
    old: int, size: int, old_root: bytes, root: bytes, proof: list[bytes]
) -> None:
    """Back in time, nothing shown, roots that differ, and more than is needed."""
    assert not consistent(old, old_root, size, root, proof)


def published(count: int) -> list[bytes]:
    """Leaf hashes of the reference implementation's inputs."""
    return [sha256(b"\x00" + bytes.fromhex(text)).digest() for text in INPUTS[:count]]


def bent(proof: list[bytes], root: bytes, bit: int) -> list[list[bytes]]:
    """Proofs with garbage, with a hash too few or too many, or with one bit another."""
    flipped = [[bytes([p[0] ^ bit]) + p[1:] if n == at else p for n, p in enumerate(proof)] for at in range(len(proof))]
    return [[*proof, b""], [*proof, root], [b"", *proof], [root, *proof], proof[:-1], [SOME, *proof[1:]], *flipped]


def leads_to(root: bytes, index: int, size: int, leaf: bytes, proof: list[bytes]) -> bool:
    """Whether a proof is well formed and leads to the root."""
    try:
        return root_from_inclusion(index, size, leaf, proof) == root
    except ValueError:
        return False


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
