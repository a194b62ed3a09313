"""Data keys as they lie in the database: wrapped. Made here, wrapped anew here, destroyed here; never in the clear."""

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chaffinch_credits.crypto.fields import FieldKeys
from chaffinch_credits.crypto.wrapping import KEY_BYTES, NONCE_BYTES, BadKekError, Keks, Purpose, Slot, Wrapped
from chaffinch_credits.store.connection import Connection
from chaffinch_credits.store.ledgers import LedgerView

_LIST = """
SELECT purpose, epoch, kek, wrapped, extract(epoch FROM now() - made_at)::float8 AS age
FROM dek WHERE ledger = $1 ORDER BY purpose, epoch"""
_ADD = """
INSERT INTO dek (ledger, purpose, epoch, kek, wrapped) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"""
_REWRAP = """
UPDATE dek SET kek = $4, wrapped = $5
WHERE ledger = $1 AND purpose = $2 AND epoch = $3 AND destroyed_at IS NULL"""
_DESTROY = """
UPDATE dek SET wrapped = NULL, destroyed_at = now() WHERE ledger = $1 AND destroyed_at IS NULL"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A data key in the database. age: seconds since it was made."""

    key: Wrapped
    age: float


def read_keks(folder: Path) -> Keks:
    """The KEKs in a folder, as a Secret is mounted: every file that does not begin with a dot.

    Raises:
        OSError, BadKekError: it cannot be read, or what is in it is no key.

    """
    files = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}
    return Keks.parse(files)


async def kept(connection: Connection, view: LedgerView) -> list[Kept]:
    """All data keys of a ledger, destroyed ones included."""
    rows = await connection.fetch(_LIST, view.key)
    return [
        Kept(Wrapped(Slot(view.id, Purpose(row["purpose"]), row["epoch"]), row["kek"], row["wrapped"]), row["age"])
        for row in rows
    ]


async def add(connection: Connection, view: LedgerView, keks: Keks, purpose: Purpose, epoch: int) -> None:
    """Make a data key; nothing happens when another process was faster."""
    made = keks.wrap(Slot(view.id, purpose, epoch), os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES))
    await connection.execute(_ADD, view.key, purpose, epoch, made.kek, made.body)


async def ensure(connection: Connection, view: LedgerView, keks: Keks, *, new_epoch: bool = False) -> list[Kept]:
    """All data keys, after those that are missing were made; new_epoch: and another one for fields."""
    found = await kept(connection, view)
    for purpose in Purpose:
        own = [one for one in found if one.key.slot.purpose is purpose]
        alive = [one for one in own if one.key.body is not None]
        if not alive or (new_epoch and purpose is Purpose.FIELD):
            await add(connection, view, keks, purpose, max((one.key.slot.epoch for one in own), default=0) + 1)
    return await kept(connection, view)


async def rewrap(connection: Connection, view: LedgerView, keks: Keks) -> int:
    """Wrap anew what another KEK than the newest wrapped; how many. Nothing that they encrypt is touched.

    Raises:
        BadKekError: a KEK that is still needed is not here; nothing was changed.

    """
    behind = [
        one.key for one in await kept(connection, view) if one.key.body is not None and one.key.kek != keks.newest
    ]
    made = [keks.wrap(key.slot, keks.unwrap(key), os.urandom(NONCE_BYTES)) for key in behind]
    async with connection.transaction():
        for one in made:
            await connection.execute(_REWRAP, view.key, one.slot.purpose, one.slot.epoch, one.kek, one.body)
    return len(made)


async def destroy(connection: Connection, view: LedgerView) -> None:
    """Destroy all data keys of a ledger: what they encrypted is gone, as soon as it is gone from backups, too."""
    await connection.execute(_DESTROY, view.key)


def opened(view: LedgerView, found: list[Kept], keks: Keks) -> FieldKeys:
    """The data keys that are alive, unwrapped.

    Raises:
        BadKekError: a KEK that is needed is not here, or a key was exchanged.

    """
    plain = {one.key.slot: keks.unwrap(one.key) for one in found if one.key.body is not None}
    epochs = {slot.epoch: AESGCM(key) for slot, key in plain.items() if slot.purpose is Purpose.FIELD}
    prints = {slot.epoch: key for slot, key in plain.items() if slot.purpose is Purpose.FINGERPRINT}
    if not epochs or not prints:
        raise BadKekError(f"ledger {view.name} has no data keys")
    return FieldKeys(view.id, epochs, prints[max(prints)])
