"""Requests in files: JSON Lines and HAR, in the order of names. Every record has a number, also one that is unreadable.

A line of JSON: {"id", "method", "target" or "url", "headers", "body" or "bodyBase64", "label"}; target or url must be.
A record belongs to the shard that its request id hashes to, so that copies of one id meet in one shard, whatever the
number of shards; within a shard the first one counts.
"""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from chaffinch_shadow.collect.copies import REQUEST_ID, Copy, Headers

MOST_LINE = 64 << 20
MOST_HAR = 512 << 20
_LABELS: dict[object, bool] = {0: False, 1: True, "0": False, "1": True, "benign": False, "attack": True}


class ReplayError(Exception):
    """The files cannot be replayed; the message says why."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that is none. place: file and number."""

    ordinal: int
    place: str
    why: str


Record = Copy | Unreadable


def shard_of(request_id: str, shards: int) -> int:
    """Return the shard of a request id."""
    return int.from_bytes(blake2b(request_id.encode("utf-8", "replace"), digest_size=8).digest()) % shards


def read(folder: Path, shard: int, shards: int) -> Iterator[Record]:
    """The records of one shard. ReplayError when there are no files, or one is no HAR at all."""
    for record in _numbered(folder):
        name = record.request_id if isinstance(record, Copy) else record.place
        if shard_of(name or "", shards) == shard:
            yield record


def _numbered(folder: Path) -> Iterator[Record]:
    files = sorted(path for path in folder.glob("*") if path.suffix in {".jsonl", ".har"})
    if not files:
        raise ReplayError(f"{folder} has no file that ends in .jsonl or .har")
    ordinal = 0
    for path in files:
        for number, raw in enumerate(_har(path) if path.suffix == ".har" else _lines(path), start=1):
            yield _record(raw, ordinal, f"{path.name}:{number}")
            ordinal += 1


def _lines(path: Path) -> Iterator[object]:
    with path.open("rb") as file:
        while line := file.readline(MOST_LINE):
            if len(line) == MOST_LINE and not line.endswith(b"\n"):
                while (rest := file.readline(MOST_LINE)) and not rest.endswith(b"\n"):
                    pass
                yield ValueError(f"has more than {MOST_LINE} bytes")
            elif line.strip():
                yield _loaded(line)


def _loaded(line: bytes) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as problem:
        return ValueError(f"is no JSON: {problem}")


def _har(path: Path) -> Iterator[object]:
    if path.stat().st_size > MOST_HAR:
        raise ReplayError(f"{path} has more than {MOST_HAR} bytes: write JSON Lines, read line by line")
    try:
        entries = orjson.loads(path.read_bytes())["log"]["entries"]
        listed = list(entries)
    except (orjson.JSONDecodeError, KeyError, TypeError) as problem:
        raise ReplayError(f"{path} is no HAR: {type(problem).__name__} {problem}") from problem
    return (_from_har(entry) for entry in listed)


def _from_har(entry: Any) -> object:  # noqa: ANN401 - JSON
    try:
        request = entry["request"]
        headers = [[one["name"], one["value"]] for one in request.get("headers", [])]
        found = {"method": request["method"], "url": request["url"], "headers": headers, "label": entry.get("_label")}
        return {**found, "body": (request.get("postData") or {}).get("text")}
    except (KeyError, TypeError, AttributeError) as problem:
        return ValueError(f"is no entry of a HAR: {type(problem).__name__} {problem}")


def _record(raw: object, ordinal: int, place: str) -> Record:
    if isinstance(raw, ValueError):
        return Unreadable(ordinal, place, str(raw))
    try:
        return _copy(raw, ordinal, place)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as problem:
        return Unreadable(ordinal, place, f"{type(problem).__name__}: {problem}")


def _copy(raw: Any, ordinal: int, place: str) -> Copy:  # noqa: ANN401 - JSON
    headers = _headers(raw.get("headers") or [])
    request_id = str(raw.get("id") or dict(headers).get(REQUEST_ID) or place)
    others = tuple(header for header in headers if header[0] != REQUEST_ID)
    method = str(raw.get("method", "GET")).upper()
    return Copy(
        method, _target(raw), ((REQUEST_ID, request_id), *others), _body(raw), ordinal, _label(raw.get("label"))
    )


def _headers(raw: Any) -> Headers:  # noqa: ANN401 - JSON
    pairs = raw.items() if isinstance(raw, dict) else raw
    found = tuple((str(name).lower(), str(value)) for name, value in pairs if not str(name).startswith(":"))
    if any("\n" in value or "\r" in value or "\0" in value for _, value in found):
        raise ValueError("a header has more than one line")
    return found


def _target(raw: dict[str, Any]) -> str:
    if "target" in raw:
        target = str(raw["target"])
    else:
        parts = urlsplit(str(raw["url"]))
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not target.startswith("/"):
        raise ValueError('target must begin with "/"')
    return target


def _body(raw: dict[str, Any]) -> bytes:
    if raw.get("bodyBase64") is not None:
        return base64.b64decode(raw["bodyBase64"], validate=True)
    return str(raw.get("body") or "").encode()


def _label(raw: object) -> bool | None:
    if raw is None:
        return None
    if raw not in _LABELS:
        raise ValueError(f"label is {raw!r}; write 0, 1, benign, attack, or nothing")
    return _LABELS[raw]
