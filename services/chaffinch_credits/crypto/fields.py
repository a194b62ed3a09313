"""Encrypted fields: AES-256-GCM, bound to ledger, field, row and key epoch.

    sealed = version (1) || epoch (4) || fingerprint (32) || nonce (12) || ciphertext || tag (16)

Version, ledger, field, row, epoch and fingerprint are authenticated: a field that is put into another row, ledger or
epoch cannot be opened. The fingerprint is a keyed hash of the request, by which its repetition is told without the
plain text. Entries hash what is sealed, so a history is verified without keys, and stays sound when they are destroyed.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chaffinch_credits.crypto.wrapping import NONCE_BYTES, TAG_BYTES, packed
from chaffinch_credits.ledger.body import SEALED

_EPOCH_BYTES = 4
_HEAD = len(SEALED) + _EPOCH_BYTES + sha256().digest_size


class BadFieldError(ValueError):
    """A sealed field cannot be opened; the message says why, never what is in it."""


@dataclass(frozen=True, slots=True)
class FieldKeys:
    """The data keys of one ledger.

    Attributes:
        ledger: its id.
        epochs: ciphers by epoch; the highest seals.
        fingerprint: key of the fingerprints, 32 bytes.

    """

    ledger: UUID
    epochs: Mapping[int, AESGCM]
    fingerprint: bytes

    def fingerprint_of(self, row: UUID, body: bytes) -> bytes:
        """What tells a request: a keyed hash over its id and its plain canonical body."""
        return hmac.digest(self.fingerprint, packed(b"request", self.ledger.bytes, row.bytes, body), sha256)

    def seal(self, row: UUID, field: str, plain: bytes, fingerprint: bytes, nonce: bytes) -> bytes:
        """Encrypt a field under the newest epoch. nonce: 12 random bytes, never the same twice."""
        epoch = max(self.epochs)
        head = SEALED + epoch.to_bytes(_EPOCH_BYTES) + fingerprint
        return head + nonce + self.epochs[epoch].encrypt(nonce, plain, self._bound(row, field, head))

    def open(self, row: UUID, field: str, sealed: bytes) -> bytes:
        """The plain field. BadFieldError when its key was destroyed, or it is not what was sealed for this place."""
        if len(sealed) < _HEAD + NONCE_BYTES + TAG_BYTES or not sealed.startswith(SEALED):
            raise BadFieldError(f"{field} is no sealed field")
        epoch, head, rest = epoch_of(sealed), sealed[:_HEAD], sealed[_HEAD:]
        if epoch not in self.epochs:
            raise BadFieldError(f"{field} is sealed under epoch {epoch}, whose key is not here")
        try:
            return self.epochs[epoch].decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], self._bound(row, field, head))
        except InvalidTag as error:
            raise BadFieldError(f"{field} is not what was sealed for this row") from error

    def _bound(self, row: UUID, field: str, head: bytes) -> bytes:
        return packed(head, self.ledger.bytes, field.encode(), row.bytes)


def epoch_of(sealed: bytes) -> int:
    """The key epoch of a sealed field."""
    return int.from_bytes(sealed[len(SEALED) : len(SEALED) + _EPOCH_BYTES])
