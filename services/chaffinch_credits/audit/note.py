"""Signed notes and checkpoints as C2SP has them (signed-note, tlog-checkpoint), with Ed25519 keys.

A note is text that ends in a newline, an empty line, and signature lines. A checkpoint is a note whose text is origin,
tree size in decimal and root in base64, a line each.
"""

import base64
import binascii
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_ED25519 = b"\x01"
_DASH = "— "
_KEY_ID_BYTES, _PUBLIC_BYTES = 4, 32
MAX_BYTES = 1_000_000
"""A larger note is not read."""
MOST_SIGNATURES = 100


class BadNoteError(ValueError):
    """A note, key or checkpoint is malformed, or its signature does not hold; the message says which."""


def key_id(name: str, public: bytes) -> bytes:
    """The first four bytes of SHA-256(name || newline || 0x01 || public key)."""
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:_KEY_ID_BYTES]


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key and its name, written `name+id+key`."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a verifier key. BadNoteError unless it is well formed and its id fits."""
        try:
            name, identity, encoded = text.strip().split("+", 2)
            raw = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error) as error:
            raise BadNoteError(f"{text.strip()!r} is no verifier key: write it as name+id+key") from error
        _check_name(name)
        if raw[:1] != _ED25519 or len(raw) != 1 + _PUBLIC_BYTES:
            raise BadNoteError(f"the key of {name} is no Ed25519 key")
        key = cls(name, raw[1:])
        if key.id.hex() != identity:
            raise BadNoteError(f"the key id of {name} is {identity}, but its key has {key.id.hex()}")
        return key

    @property
    def id(self) -> bytes:
        """Four bytes that tell keys of one name apart."""
        return key_id(self.name, self.public)

    def __str__(self) -> str:
        """As it is handed out."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    def check(self, text: str, signature: bytes) -> bool:
        """Whether the signature is this key's over the text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key and its name."""

    name: str
    key: Ed25519PrivateKey

    @property
    def verifier(self) -> Verifier:
        """The public half."""
        return Verifier(self.name, self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def sign(self, text: str) -> str:
        """The note. BadNoteError unless the text ends in a newline."""
        if not text.endswith("\n"):
            raise BadNoteError("the text of a note ends in a newline")
        raw = self.verifier.id + self.key.sign(text.encode())
        return f"{text}\n{_DASH}{self.name} {base64.b64encode(raw).decode()}\n"


def opened(note: str, *known: Verifier) -> str:
    """The text of a note that at least one known key has signed. Signatures of unknown keys are ignored.

    Raises:
        BadNoteError: malformed, a known key's signature that does not hold, or none by a known key.

    """
    text, signatures = _parts(note)
    signed = False
    for line in signatures:
        name, identity, signature = _signature(line)
        for key in known:
            if (key.name, key.id) == (name, identity):
                if not key.check(text, signature):
                    raise BadNoteError(f"the signature of {name} does not hold")
                signed = True
    if not signed:
        raise BadNoteError("the note has no signature of a known key")
    return text


def _parts(note: str) -> tuple[str, list[str]]:
    """The text and the signature lines."""
    if len(note) > MAX_BYTES:
        raise BadNoteError(f"the note is longer than {MAX_BYTES:,} characters")
    text, parted, lines = note.rpartition("\n\n")
    if not parted or not lines.endswith("\n") or any(c < " " and c != "\n" for c in note):
        raise BadNoteError("a note is text, an empty line, and signature lines")
    signatures = lines[:-1].split("\n")
    if len(signatures) > MOST_SIGNATURES:
        raise BadNoteError(f"the note has more than {MOST_SIGNATURES} signatures")
    return text + "\n", signatures


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a ledger commits to: so many entries, with this Merkle root.

    Attributes:
        origin: whose tree it is: the ledger.
        size: leaves, which is the last sequence.
        root: Merkle tree hash, 32 bytes.

    """

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """As it is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a checkpoint's text; more lines after the third are allowed. BadNoteError unless it is well formed."""
        lines = text.split("\n")
        try:
            origin, size, root = lines[:3]
            number, raw = int(size), base64.b64decode(root, validate=True)
        except (ValueError, binascii.Error) as error:
            raise BadNoteError("a checkpoint is origin, size and root, a line each") from error
        if not origin or str(number) != size or number < 0 or len(raw) != sha256().digest_size:
            raise BadNoteError(f"the checkpoint of {origin or 'nobody'} has a size or a root that is none")
        return cls(origin, number, raw)


def _signature(line: str) -> tuple[str, bytes, bytes]:
    try:
        name, encoded = line.removeprefix(_DASH).split(" ")
        raw = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error) as error:
        raise BadNoteError(f"{line!r} is no signature line") from error
    if not line.startswith(_DASH) or len(raw) <= _KEY_ID_BYTES:
        raise BadNoteError(f"{line!r} is no signature line")
    _check_name(name)
    return name, raw[:_KEY_ID_BYTES], raw[_KEY_ID_BYTES:]


def _check_name(name: str) -> None:
    if not name or "+" in name or any(c.isspace() for c in name):
        raise BadNoteError(f"{name!r} is no name of a key: it has no spaces and no plus")
