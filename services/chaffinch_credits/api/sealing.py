"""The field keys of one ledger at work: unwrapped in memory, looked at from time to time, renewed when they age."""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from chaffinch_credits.api.bodies import Read
from chaffinch_credits.api.problems import Problem
from chaffinch_credits.crypto.fields import BadFieldError, FieldKeys
from chaffinch_credits.crypto.wrapping import NONCE_BYTES, BadKekError, Purpose
from chaffinch_credits.ledger.body import SEALED, body_hash, canonical
from chaffinch_credits.ledger.requests import AnyRequest
from chaffinch_credits.store import dek
from chaffinch_credits.store.connection import Connection
from chaffinch_credits.store.dek import Kept
from chaffinch_credits.store.ledgers import LedgerView

_LOG = logging.getLogger(__name__)
METADATA = "metadata.body"
SECRET = "webhook.secret"  # noqa: S105 - name of a field
PLAIN = b"\x00"
LOOK_SECONDS = 30.0
MOST_SEALED = 2**27
"""By one process under one key; with 32 of them a key seals 2^32 messages, the limit for random nonces."""
ROTATION_SECONDS = 90 * 86_400.0


@dataclass(frozen=True, slots=True)
class Encryption:
    """What the service is told.

    Attributes:
        folder: of key-encryption keys.
        rotation_seconds: the life of a data key.
        look_seconds: between two looks at the folder and the database.

    """

    folder: Path
    rotation_seconds: float = ROTATION_SECONDS
    look_seconds: float = LOOK_SECONDS


@dataclass(slots=True)
class Sealing:
    """Seals the metadata of one ledger. encryption: None leaves it as it is, which a ledger with keys refuses."""

    view: LedgerView
    encryption: Encryption | None
    clock: Callable[[], float] = time.monotonic
    age: float = 0.0
    """Of the newest data key for fields, in seconds."""
    behind: int = 0
    """Data keys that another KEK than the newest wrapped."""
    problem: str = ""
    """Why the keys cannot be used, or not all of them."""
    _keys: FieldKeys | None = None
    _locked: bool = False
    _sealed: int = 0
    _looked: float | None = None

    async def look(self, connection: Connection) -> None:
        """Read the keys, unless that was done lately; make what is missing or too old. What cannot be read stays."""
        now, pause = self.clock(), LOOK_SECONDS if self.encryption is None else self.encryption.look_seconds
        if self._looked is not None and now - self._looked < pause:
            return
        self._looked = now
        if self.encryption is None:
            self._locked = bool(await dek.kept(connection, self.view))
            return
        try:
            await self._read(connection, self.encryption)
        except (OSError, BadKekError) as problem:
            self.problem = str(problem)
            _LOG.warning("ledger %s: field keys stay as they were: %s", self.view.name, problem)

    async def _read(self, connection: Connection, encryption: Encryption) -> None:
        keks = dek.read_keks(encryption.folder)
        found = await dek.ensure(connection, self.view, keks)
        keys = dek.opened(self.view, found, keks)
        if _age(found) >= encryption.rotation_seconds or self._sealed >= MOST_SEALED:
            found = await dek.ensure(connection, self.view, keks, new_epoch=True)
            keys = dek.opened(self.view, found, keks)
        if self._keys is None or max(keys.epochs) != max(self._keys.epochs):
            self._sealed = 0
        self._keys, self.age, self.problem = keys, _age(found), ""
        self.behind = sum(one.key.body is not None and one.key.kek != keks.newest for one in found)

    def sealed(self, one: Read) -> Read:
        """The request with its metadata sealed. Problem 503 while the keys cannot be used."""
        if not one.metadata or (self.encryption is None and not self._locked):
            return one
        if self._keys is None:
            title = "metadata cannot be encrypted: the service has no keys; nothing was done"
            raise Problem(503, "keys_unavailable", title, retry_after=int(LOOK_SECONDS))
        asked = one.request
        fingerprint = self._keys.fingerprint_of(asked.id, canonical(asked, one.metadata))
        metadata = self._keys.seal(asked.id, METADATA, one.metadata, fingerprint, os.urandom(NONCE_BYTES))
        self._sealed += 1
        request: AnyRequest = replace(
            asked, body_hash=body_hash(asked, metadata), known_by=(fingerprint, asked.body_hash)
        )
        return Read(request, metadata)

    def kept_secret(self, webhook: UUID, secret: bytes) -> bytes:
        """A webhook's secret as it is kept: sealed, when the ledger is encrypted. Problem 503 while it cannot be."""
        if self.encryption is None and not self._locked:
            return PLAIN + secret
        if self._keys is None:
            raise Problem(503, "keys_unavailable", "the service has no keys; nothing was done", retry_after=30)
        fingerprint = self._keys.fingerprint_of(webhook, secret)
        return self._keys.seal(webhook, SECRET, secret, fingerprint, os.urandom(NONCE_BYTES))

    def secret(self, webhook: UUID, kept: bytes) -> bytes:
        """A webhook's secret; nothing, when there is no key for it."""
        if kept.startswith(PLAIN):
            return kept.removeprefix(PLAIN)
        try:
            return self._keys.open(webhook, SECRET, kept) if self._keys is not None else b""
        except BadFieldError:
            return b""

    def opened(self, row: UUID, metadata: bytes) -> bytes:
        """Metadata as it was sent; nothing, when there is no key for it."""
        if not metadata.startswith(SEALED):
            return metadata
        try:
            return self._keys.open(row, METADATA, metadata) if self._keys is not None else b""
        except BadFieldError as problem:
            _LOG.warning("ledger %s, request %s: %s", self.view.name, row, problem)
            return b""


def _age(found: list[Kept]) -> float:
    """Of the newest key for fields that is alive."""
    return min((one.age for one in found if one.key.slot.purpose is Purpose.FIELD and one.key.body), default=0.0)
