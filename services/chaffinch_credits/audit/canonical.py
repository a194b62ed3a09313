"""Bytes of an entry, and the hashes over them. Fixed widths, so that no value can reach into its neighbour.

leaf  = SHA-256(0x00 || version || ledger || all fields of the entry), the leaf hash of RFC 6962, section 2.1
block = SHA-256(0x02 || version || ledger || number || first || last || previous block || leaves)

Vectors are in tests; the version changes with any change of the layout.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from chaffinch_credits.ledger.entries import Entry
from chaffinch_credits.ledger.words import OUTCOME_NUMBERS

VERSION = 1
GENESIS = bytes(32)
"""What the first block of a ledger has in the place of the previous one."""
_ENTRY = struct.Struct(">BB16sQ16sBB16sQQQqqqqIiqqq32s")
_BLOCK = struct.Struct(">BB16sQQQ32s")
_NONE = UUID(int=0).bytes
_NEVER = -(2**63)


@dataclass(frozen=True, slots=True)
class Block:
    """The entries of one batch, bound to all blocks before it.

    Attributes:
        number: from 1, without gaps.
        first: sequence of its first entry.
        last: sequence of its last entry.
        previous: hash of the block before, GENESIS for the first.
        hash: its own.

    """

    number: int
    first: int
    last: int
    previous: bytes
    hash: bytes


def leaf_bytes(ledger: UUID, entry: Entry) -> bytes:
    """The bytes that are hashed, with the prefix 0x00 of a leaf."""
    return _ENTRY.pack(
        0,
        VERSION,
        ledger.bytes,
        entry.seq,
        entry.id.bytes,
        entry.kind,
        OUTCOME_NUMBERS[entry.outcome],
        entry.target.bytes if entry.target is not None else _NONE,
        entry.debit,
        entry.credit,
        entry.amount,
        entry.debit_balance,
        entry.debit_held,
        entry.credit_balance,
        entry.credit_held,
        entry.code,
        entry.priority,
        entry.effective_at,
        entry.created_at,
        entry.expires_at if entry.expires_at is not None else _NEVER,
        entry.body_hash,
    )


def leaf_hash(ledger: UUID, entry: Entry) -> bytes:
    """The entry's leaf, 32 bytes."""
    return sha256(leaf_bytes(ledger, entry)).digest()


def seal(ledger: UUID, number: int, first: int, leaves: Sequence[bytes], previous: bytes) -> Block:
    """The block of a batch. ValueError without leaves."""
    if not leaves:
        raise ValueError("a block has at least one entry")
    last = first + len(leaves) - 1
    header = _BLOCK.pack(2, VERSION, ledger.bytes, number, first, last, previous)
    return Block(number, first, last, previous, sha256(header + b"".join(leaves)).digest())
