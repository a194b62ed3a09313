"""Native histograms in Prometheus' protobuf exposition format, by hand: client libraries for Python have none."""

import struct
from collections.abc import Mapping

VARINT, FIXED64, BYTES = 0, 1, 2
HISTOGRAM = 4


def native_histogram(name: str, labels: Mapping[str, str], schema: int, observed: Mapping[int, int]) -> bytes:
    """A family with one histogram. observed: observations by index; index i holds (base^(i-1), base^i]."""
    count = sum(observed.values())
    first, last = min(observed, default=0), max(observed, default=-1)
    counts = [observed.get(index, 0) for index in range(first, last + 1)]
    deltas = [value - before for before, value in zip([0, *counts], counts, strict=False)]
    span = _field(1, VARINT, _zigzag(first)) + _field(2, VARINT, _varint(len(counts)))
    histogram = (
        _field(1, VARINT, _varint(count))
        + _field(2, FIXED64, struct.pack("<d", float(count)))
        + _field(5, VARINT, _zigzag(schema))
        + _field(6, FIXED64, struct.pack("<d", 1e-9))
        + _field(7, VARINT, _varint(0))
        + _message(12, span)
        + _message(13, b"".join(_zigzag(delta) for delta in deltas))
    )
    pairs = b"".join(_message(1, _text(1, key) + _text(2, value)) for key, value in labels.items())
    family = _text(1, name) + _field(3, VARINT, _varint(HISTOGRAM)) + _message(4, pairs + _message(7, histogram))
    return _varint(len(family)) + family


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _zigzag(number: int) -> bytes:
    return _varint((number << 1) ^ (number >> 63))


def _field(number: int, kind: int, content: bytes) -> bytes:
    return _varint(number << 3 | kind) + content


def _message(number: int, content: bytes) -> bytes:
    return _field(number, BYTES, _varint(len(content)) + content)


def _text(number: int, text: str) -> bytes:
    return _message(number, text.encode())
