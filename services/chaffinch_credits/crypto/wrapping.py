"""Keys that wrap keys (KEK): data keys are kept in the database, wrapped by AES-256-GCM, and never in the clear.

What a wrapped key is for (ledger, purpose, epoch, KEK) is bound to it: one that is put in another's place cannot be
unwrapped.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 12, 16
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class BadKekError(ValueError):
    """A KEK, or what it wrapped, cannot be used; the message says which, never what."""


class Purpose(StrEnum):
    """What a data key is for."""

    FIELD = "field"
    """Encrypts fields; a new one each epoch."""
    FINGERPRINT = "fingerprint"
    """Tells equal requests by a keyed hash; stays for the life of the ledger."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Which data key. epoch: from 1 for each purpose of a ledger."""

    ledger: UUID
    purpose: Purpose
    epoch: int


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A data key as it is kept. kek: name of the key that wrapped it; body: None once it was destroyed."""

    slot: Slot
    kek: str
    body: bytes | None


def packed(*parts: bytes) -> bytes:
    """Parts with their lengths before them, so that none can reach into its neighbour."""
    return b"".join(len(part).to_bytes(4) + part for part in parts)


@dataclass(frozen=True, slots=True)
class Keks:
    """KEKs by name; the one whose name sorts last wraps what is new."""

    keys: Mapping[str, bytes]

    @classmethod
    def parse(cls, files: Mapping[str, bytes]) -> "Keks":
        """From file names and contents: 32 bytes, or 64 hexadecimal digits. BadKekError names what is wrong."""
        if not files:
            raise BadKekError("there is no key-encryption key: make one with chaffinch-credits keys make")
        return cls({name: _key(name, raw) for name, raw in files.items()})

    @property
    def newest(self) -> str:
        """Name of the one that wraps what is new."""
        return max(self.keys)

    def wrap(self, slot: Slot, key: bytes, nonce: bytes) -> Wrapped:
        """Wrap a data key by the newest KEK. nonce: 12 random bytes."""
        kek = self.newest
        return Wrapped(slot, kek, nonce + AESGCM(self.keys[kek]).encrypt(nonce, key, _bound(slot, kek)))

    def unwrap(self, wrapped: Wrapped) -> bytes:
        """The data key. BadKekError when its KEK is not here, or it is not what was wrapped for this place."""
        slot, body = wrapped.slot, wrapped.body
        what = f"data key {slot.purpose} {slot.epoch}"
        if body is None:
            raise BadKekError(f"{what} was destroyed")
        if wrapped.kek not in self.keys:
            raise BadKekError(
                f"{what} is wrapped by {wrapped.kek}, which is not here (there is: {', '.join(self.keys)})"
            )
        try:
            return AESGCM(self.keys[wrapped.kek]).decrypt(
                body[:NONCE_BYTES], body[NONCE_BYTES:], _bound(slot, wrapped.kek)
            )
        except (InvalidTag, ValueError) as error:
            raise BadKekError(f"{what} cannot be unwrapped by {wrapped.kek}: one of them is not what it was") from error


def _bound(slot: Slot, kek: str) -> bytes:
    return packed(b"dek v1", slot.ledger.bytes, slot.purpose.encode(), slot.epoch.to_bytes(4), kek.encode())


def _key(name: str, raw: bytes) -> bytes:
    if not _NAME.fullmatch(name):
        raise BadKekError(f"{name!r} is no name of a key: up to 63 of A-Z a-z 0-9 . _ -")
    if len(raw) == KEY_BYTES:
        return raw
    try:
        found = bytes.fromhex(raw.decode().strip())
    except ValueError:
        found = b""
    if len(found) != KEY_BYTES:
        raise BadKekError(f"key {name} must have 32 bytes, or 64 hexadecimal digits")
    return found
