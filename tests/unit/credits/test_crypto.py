"""Encrypted fields and wrapped keys: published vectors, and that nothing can be put where it was not meant to be."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_credits.crypto.fields import BadFieldError, FieldKeys, epoch_of
from chaffinch_credits.crypto.wrapping import BadKekError, Keks, Purpose, Slot
from chaffinch_credits.ledger.body import body_hash
from unit.credits.builders import request

VECTORS = json.loads((Path(__file__).parent / "vectors" / "aes_gcm_256_96_128.json").read_text())["tests"]
ONE, OTHER = UUID(int=1), UUID(int=2)
ROW, FIELD, NONCE = UUID(int=3), "metadata.body", b"n" * 12
SLOT = Slot(ONE, Purpose.FIELD, 1)


def keys(ledger: UUID = ONE, *epochs: int) -> FieldKeys:
    """Keys that are the same each time, one an epoch."""
    return FieldKeys(ledger, {n: AESGCM(bytes([n]) * 32) for n in epochs or (1,)}, b"f" * 32)


def sealed(own: FieldKeys, plain: bytes = b'{"a":1}') -> bytes:
    """A field of the row."""
    return own.seal(ROW, FIELD, plain, own.fingerprint_of(ROW, plain), NONCE)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"tc{v['tcId']}")
def test_published_vectors_of_the_cipher_hold(vector: dict[str, Any]) -> None:
    """Wycheproof: what is valid is made and opened, what is not is refused."""
    part = {name: bytes.fromhex(vector[name]) for name in ("key", "iv", "aad", "msg", "ct", "tag")}
    cipher, found = AESGCM(part["key"]), part["ct"] + part["tag"]
    if vector["result"] == "valid":
        assert cipher.encrypt(part["iv"], part["msg"], part["aad"]) == found
        assert cipher.decrypt(part["iv"], found, part["aad"]) == part["msg"]
    else:
        with pytest.raises(InvalidTag):
            cipher.decrypt(part["iv"], found, part["aad"])


def test_all_published_vectors_of_our_sizes_are_there() -> None:
    """Sixty-six, more than half of them valid."""
    assert (len(VECTORS), {v["result"] for v in VECTORS}) == (66, {"valid", "invalid"})


@given(st.binary(max_size=4096))
def test_what_is_sealed_is_opened(plain: bytes) -> None:
    """Any bytes, under the newest epoch; older ones are still opened."""
    before = sealed(keys(ONE, 1), plain)
    both = keys(ONE, 1, 2)
    assert both.open(ROW, FIELD, before) == plain
    assert (both.open(ROW, FIELD, sealed(both, plain)), epoch_of(sealed(both, plain))) == (plain, 2)


@pytest.mark.parametrize(
    ("own", "row", "field"),
    [(keys(OTHER), ROW, FIELD), (keys(), UUID(int=4), FIELD), (keys(), ROW, "metadata.other")],
    ids=["ledger", "row", "field"],
)
def test_a_field_is_opened_only_where_it_was_sealed(own: FieldKeys, row: UUID, field: str) -> None:
    """Put into another ledger, row or field it is refused, even under the same key."""
    with pytest.raises(BadFieldError):
        own.open(row, field, sealed(keys()))


def test_a_field_of_another_epoch_is_refused() -> None:
    """Even when both epochs had the same key."""
    same = FieldKeys(ONE, {n: AESGCM(b"k" * 32) for n in (1, 2)}, b"f" * 32)
    found = bytearray(sealed(same))
    found[4] = 1
    with pytest.raises(BadFieldError, match="not what was sealed"):
        same.open(ROW, FIELD, bytes(found))


@given(st.data())
def test_a_bent_field_is_refused(data: st.DataObject) -> None:
    """Any bit of it, the fingerprint's too, and any length."""
    found = sealed(keys())
    place, bit = data.draw(st.integers(0, len(found) - 1)), data.draw(st.integers(0, 7))
    bent = bytearray(found)
    bent[place] ^= 1 << bit
    for bad in (bytes(bent), found[:place]):
        with pytest.raises(BadFieldError):
            keys().open(ROW, FIELD, bad)


def test_a_fingerprint_tells_requests_and_says_nothing() -> None:
    """Equal for equal bodies of one id; another for another id, body, ledger or key."""
    own = keys()
    known = own.fingerprint_of(ROW, b"a")
    assert known == own.fingerprint_of(ROW, b"a")
    others = [
        own.fingerprint_of(ROW, b"b"),
        own.fingerprint_of(OTHER, b"a"),
        keys(OTHER).fingerprint_of(ROW, b"a"),
        replace(own, fingerprint=b"g" * 32).fingerprint_of(ROW, b"a"),
    ]
    assert known not in others


def test_an_entry_hashes_what_is_sealed() -> None:
    """So that a changed ciphertext is found without a key."""
    asked, found = request("void", 1, hold=ROW), sealed(keys())
    assert body_hash(asked, found) != body_hash(asked, found[:-1] + bytes([found[-1] ^ 1]))


def test_the_newest_key_wraps_and_all_unwrap() -> None:
    """By name: what an older one wrapped is opened as long as it is there."""
    old = Keks.parse({"2026-01": b"a" * 32})
    both = Keks.parse({"2026-01": b"a" * 32, "2026-11": (b"b" * 32).hex().encode() + b"\n"})
    before, after = old.wrap(SLOT, b"k" * 32, NONCE), both.wrap(SLOT, b"k" * 32, NONCE)
    assert (before.kek, after.kek) == ("2026-01", "2026-11")
    assert both.unwrap(before) == both.unwrap(after) == b"k" * 32
    with pytest.raises(BadKekError, match="2026-11, which is not here"):
        old.unwrap(after)


@pytest.mark.parametrize(
    "slot",
    [Slot(OTHER, Purpose.FIELD, 1), Slot(ONE, Purpose.FINGERPRINT, 1), Slot(ONE, Purpose.FIELD, 2)],
    ids=["ledger", "purpose", "epoch"],
)
def test_a_wrapped_key_is_unwrapped_only_where_it_belongs(slot: Slot) -> None:
    """Put into another row it is refused: keys cannot be exchanged in the database."""
    keks = Keks.parse({"a": b"a" * 32})
    moved = replace(keks.wrap(SLOT, b"k" * 32, NONCE), slot=slot)
    with pytest.raises(BadKekError, match="cannot be unwrapped"):
        keks.unwrap(moved)


def test_a_key_of_another_name_does_not_unwrap() -> None:
    """The KEK's name is bound, too."""
    keks = Keks.parse({"a": b"a" * 32, "b": b"a" * 32})
    moved = replace(keks.wrap(SLOT, b"k" * 32, NONCE), kek="a")
    with pytest.raises(BadKekError, match="cannot be unwrapped"):
        keks.unwrap(moved)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "keys make"),
        ({"a": b"short"}, "key a must have 32 bytes"),
        ({"a": b"z" * 64}, "key a must have 32 bytes"),
        ({"../a": b"a" * 32}, "no name of a key"),
    ],
)
def test_what_is_no_key_is_refused_by_name(files: dict[str, bytes], said: str) -> None:
    """And never shown."""
    with pytest.raises(BadKekError, match=said):
        Keks.parse(files)
