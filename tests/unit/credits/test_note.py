"""Signed notes and checkpoints, with the published example of the format."""

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


def signer(name: str = "ledger.example/shop", seed: int = 7) -> Signer:
    """A key that is the same each time."""
    return Signer(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def test_the_published_note_is_opened() -> None:
    """The example of the format's first implementation."""
    assert opened(f"{TEXT}\n{SIGNATURE}", Verifier.parse(NEUMANN)) == TEXT


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
