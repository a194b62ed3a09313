"""Signed notes and checkpoints, with the published examples of the format."""

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_credits.audit.note import BadNoteError, Checkpoint, Signer, Verifier, opened

NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNATURE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
ENOCHS = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
TREE = "go.sum database tree\n123456789012\nTszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=\n"
"""Keys, notes and checkpoints of the format's first implementation: golang.org/x/mod v0.17.0, sumdb/note and tlog."""


def signer(name: str = "ledger.example/shop", seed: int = 7) -> Signer:
    """A key that is the same each time."""
    return Signer(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def test_the_published_note_is_opened() -> None:
    """The example of the format's first implementation."""
    assert opened(f"{TEXT}\n{SIGNATURE}", Verifier.parse(NEUMANN)) == TEXT


@pytest.mark.parametrize(
    ("signatures", "known"),
    [
        (SIGNATURE + ENOCHS, [NEUMANN]),
        (SIGNATURE + ENOCHS, [NEUMANN, ENOCH]),
        (SIGNATURE + SIGNATURE + ENOCHS + ENOCHS, [NEUMANN]),
    ],
    ids=["one of two is known", "both are known", "the same twice"],
)
def test_published_notes_with_several_signatures_are_opened(signatures: str, known: list[str]) -> None:
    """One known key is enough."""
    assert opened(f"{TEXT}\n{signatures}", *map(Verifier.parse, known)) == TEXT


@pytest.mark.parametrize(
    "note",
    [
        TEXT,
        TEXT + "\n",
        f"{TEXT}\n{SIGNATURE[:-1]}",
        f"\x01{TEXT}\n{SIGNATURE}",
        f"{TEXT}\n— Bad Name {SIGNATURE.split(' ')[2]}",
        f"{TEXT}\n{SIGNATURE}Unexpected line.\n",
        f"{TEXT}\n{SIGNATURE * 101}",
        f"{TEXT}\n{SIGNATURE[:60]}ABCD{SIGNATURE[60:]}",
    ],
)
def test_notes_published_as_bad_are_refused(note: str) -> None:
    """The bad ones of the format's first implementation."""
    with pytest.raises(BadNoteError):
        opened(note, Verifier.parse(NEUMANN))


@pytest.mark.parametrize(
    "key",
    [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
    ids=["wrong length", "unknown algorithm"],
)
def test_keys_published_as_bad_are_refused(key: str) -> None:
    """Though their ids fit."""
    with pytest.raises(BadNoteError):
        Verifier.parse(key)


@pytest.mark.parametrize("more", ["", "JOE", "JOE\n", "JOE\n" * 1000])
def test_the_published_checkpoint_is_read(more: str) -> None:
    """Its root is the leaf hash of "hello world"; extension lines are ignored."""
    root = sha256(b"\0hello world").digest()
    assert Checkpoint.parse(TREE + more) == Checkpoint("go.sum database tree", 123456789012, root)
    assert Checkpoint("go.sum database tree", 123456789012, root).text == TREE


@pytest.mark.parametrize("bad", [("123456789012", "0xabcdef"), ("HmuwBb0=", "HmuwBTOOBIG=")])
def test_checkpoints_published_as_bad_are_refused(bad: tuple[str, str]) -> None:
    """A size that is no decimal, a root that is too long."""
    with pytest.raises(BadNoteError):
        Checkpoint.parse(TREE.replace(*bad))


def test_a_verifier_key_is_written_as_it_was_read() -> None:
    """name+id+key."""
    assert str(Verifier.parse(NEUMANN)) == NEUMANN


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1))
def test_what_is_signed_is_opened(text: str) -> None:
    """Any text of one line."""
    key = signer()
    assert opened(key.sign(text + "\n"), key.verifier) == text + "\n"


def test_a_changed_text_is_refused() -> None:
    """The signature does not hold any more."""
    with pytest.raises(BadNoteError, match="does not hold"):
        opened(f"{TEXT.replace('answer', 'question')}\n{SIGNATURE}", Verifier.parse(NEUMANN))


def test_a_stranger_is_no_witness() -> None:
    """A note that only unknown keys signed is refused; beside a known one they do not matter."""
    known, stranger = signer(), signer("elsewhere.example", 8)
    note = stranger.sign("a\n")
    with pytest.raises(BadNoteError, match="no signature of a known key"):
        opened(note, known.verifier)
    both = note + known.sign("a\n").rpartition("\n\n")[2]
    assert opened(both, known.verifier) == "a\n"


@pytest.mark.parametrize(
    "note",
    ["", "a", "a\n", "a\n\n", "a\n\nb\n", "a\n\n— x\n", "a\n\n— x ====\n", "a\r\n\n— x AAAAAA==\n", "a\n\n— x y z\n"],
)
def test_a_malformed_note_is_refused(note: str) -> None:
    """Not by a crash."""
    with pytest.raises(BadNoteError):
        opened(note, signer().verifier)


@pytest.mark.parametrize(
    "key", ["", "a", "a+b", "a+b+c", NEUMANN.replace("c74f20a3", "c74f20a4"), "a b+00000000+AQ==", NEUMANN[:-4]]
)
def test_a_malformed_key_is_refused(key: str) -> None:
    """Not by a crash."""
    with pytest.raises(BadNoteError):
        Verifier.parse(key)


@given(st.integers(0, 2**60), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_is_read_as_it_was_written(size: int, root: bytes) -> None:
    """Signed and opened."""
    key, checkpoint = signer(), Checkpoint("ledger.example/shop", size, root)
    assert Checkpoint.parse(opened(key.sign(checkpoint.text), key.verifier)) == checkpoint


@pytest.mark.parametrize(
    "text", ["", "a\n", "a\n-1\nAA==\n", "a\n01\nAA==\n", "\n1\nAA==\n", "a\n1\nAA==\n", "a\n1\n%\n"]
)
def test_a_malformed_checkpoint_is_refused(text: str) -> None:
    """Not by a crash."""
    with pytest.raises(BadNoteError):
        Checkpoint.parse(text)
