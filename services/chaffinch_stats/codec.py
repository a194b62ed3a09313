"""Text form of evidence: strings only, bit-exact, small, and refusing to load when damaged.

A custom resource's status has no floats, so the sums travel as the base64 of their IEEE 754 doubles. The layout, one
string per part: kind and version, design fingerprint, integer counts, sums, CRC-32 of the four before it.
"""

import binascii
import math
import struct
import zlib
from collections.abc import Sequence

_PARTS = 5


def fingerprint(design: object) -> str:
    """Return 8 hex digits identifying a design by its `repr`, for telling a state of another design apart."""
    return f"{zlib.crc32(repr(design).encode()):08x}"


def encode(kind: str, design: str, counts: Sequence[int], sums: Sequence[float]) -> list[str]:
    """Return the five strings of one evidence record; doubles round-trip exactly.

    Args:
        kind: record type and version, such as "count/1".
        design: fingerprint of the gate's design.
        counts: shape (c,), non-negative integers.
        sums: shape (s,), finite doubles.

    """
    packed = binascii.b2a_base64(struct.pack(f"<{len(sums)}d", *sums), newline=False).decode("ascii")
    parts = [kind, design, " ".join(map(str, counts)), packed]
    return [*parts, _checksum(parts)]


def decode(
    kind: str, design: str, state: Sequence[str], counts: int, sums: int | None
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return the counts and sums of a record written by `encode`; `sums` None takes as many as there are.

    Raises:
        ValueError: wrong number of parts, another kind, damaged text, another design, wrong lengths or a sum that
            is not finite. Damage is reported before a design mismatch, so that the message names the true cause.

    """
    _require_intact(kind, state)
    if state[1] != design:
        raise ValueError(f"state belongs to another design of the gate (design {state[1]}, now {design}): start anew")
    try:
        integers = tuple(int(part) for part in state[2].split())
        raw = binascii.a2b_base64(state[3], strict_mode=True)
    except (ValueError, binascii.Error) as error:
        raise ValueError(f"damaged state: {kind} counts or sums cannot be read") from error
    if len(integers) != counts or len(raw) % 8 or (sums is not None and len(raw) != 8 * sums):
        raise ValueError(f"damaged state: {kind} needs {counts} counts and {sums or 'whole'} sums")
    values = struct.unpack(f"<{len(raw) // 8}d", raw)
    if min(integers) < 0 or not all(map(math.isfinite, values)):
        raise ValueError(f"damaged state: {kind} holds a negative count or a sum that is not finite")
    return integers, values


def _require_intact(kind: str, state: Sequence[str]) -> None:
    if len(state) != _PARTS:
        raise ValueError(f"damaged state: {len(state)} parts instead of {_PARTS}")
    if state[0] != kind:
        raise ValueError(f"state is of kind {state[0]!r}, expected {kind!r}")
    if state[4] != _checksum(state[:4]):
        raise ValueError(f"damaged state: checksum of {kind} does not match")


def _checksum(parts: Sequence[str]) -> str:
    return f"{zlib.crc32(chr(10).join(parts).encode()):08x}"
