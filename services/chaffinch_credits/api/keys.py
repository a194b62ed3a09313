"""API keys: who may do what on which ledger. The file holds SHA-256 hashes, and is read again when it changes.

{"keys": [{"name": "shop", "sha256": "<hex>", "ledgers": {"shop": ["read", "write"], "*": ["read"]},
           "rate": {"per_second": 100, "burst": 200}}]}
"""

import hmac
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

from chaffinch_credits.api.problems import Problem
from chaffinch_credits.api.rate import Bucket, Rate

_LOG = logging.getLogger(__name__)
_ANY = "*"
_BEARER = "Bearer "


class Scope(StrEnum):
    """What a key may do on a ledger. None includes another."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"
    """Make the ledger, and add assets to it."""


class BadKeysError(ValueError):
    """The file of API keys cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key, as its hash. ledgers: scopes by name, `*` for every ledger; rate: None, it has no limit."""

    name: str
    digest: bytes
    ledgers: Mapping[str, frozenset[Scope]]
    rate: Rate | None = None

    def allows(self, ledger: str, scope: Scope) -> bool:
        """Whether it may do this."""
        return scope in self.ledgers.get(ledger, ()) or scope in self.ledgers.get(_ANY, ())


def parse(raw: bytes) -> tuple[Key, ...]:
    """The keys in a file. BadKeysError names what is wrong, without the hashes."""
    try:
        listed = json.loads(raw)["keys"]
        return tuple(_key(one) for one in listed)
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise BadKeysError(
            f"no list of API keys ({type(problem).__name__}: {problem}); see docs/credits/operations.md"
        ) from problem


def _key(one: Mapping[str, Any]) -> Key:
    digest = bytes.fromhex(one["sha256"])
    if len(digest) != sha256().digest_size:
        raise ValueError(f"sha256 of {one['name']} must have 64 hexadecimal digits")
    ledgers = {name: frozenset(Scope(scope) for scope in scopes) for name, scopes in one["ledgers"].items()}
    return Key(str(one["name"]), digest, ledgers, _rate(one["rate"]) if "rate" in one else None)


def _rate(one: Mapping[str, Any]) -> Rate:
    found = Rate(float(one["per_second"]), float(one["burst"]))
    if not (found.per_second > 0 and found.burst >= 1 and math.isfinite(found.per_second + found.burst)):
        raise ValueError("rate.per_second must be more than 0, and rate.burst at least 1")
    return found


class Keys:
    """The file of keys, as it is now. A file that breaks while the service runs leaves the keys as they were."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._buckets: dict[bytes, Bucket] = {}
        self._seen = self._state()
        self._keys = self._read()

    def require(self, authorization: str, ledger: str, scope: Scope) -> str:
        """The key's name. Problem 401 without a known key, 403 when it may not do this, 429 when it asks too often."""
        self._refresh()
        found = self._find(authorization)
        if found is None:
            raise Problem(401, "unauthenticated", "send a known API key, as Authorization: Bearer KEY")
        if not found.allows(ledger, scope):
            raise Problem(403, "forbidden", f'the key "{found.name}" has no scope {scope} on this ledger')
        self._limit(found)
        return found.name

    def _limit(self, key: Key) -> None:
        if key.rate is None:
            return
        now, bucket = self._clock(), self._buckets.get(key.digest)
        if bucket is None or bucket.rate != key.rate:
            bucket = self._buckets[key.digest] = Bucket.full(key.rate, now)
        if wait := bucket.take(now):
            title = f'the key "{key.name}" may ask {key.rate.per_second:g} times a second'
            raise Problem(429, "rate_limited", title, retry_after=math.ceil(wait))

    def _find(self, authorization: str) -> Key | None:
        """Compares with every key, each in constant time, so that time tells nothing."""
        if not authorization.startswith(_BEARER):
            return None
        digest = sha256(authorization.removeprefix(_BEARER).strip().encode()).digest()
        fitting = [key for key in self._keys if hmac.compare_digest(key.digest, digest)]
        return fitting[0] if fitting else None

    def _refresh(self) -> None:
        try:
            state = self._state()
            if state != self._seen:
                self._seen, self._keys = state, self._read()
                _LOG.warning("API keys were read again: %d", len(self._keys))
        except (OSError, BadKeysError) as problem:
            _LOG.warning("API keys stay as they were: %s", problem)

    def _state(self) -> tuple[int, int, int]:
        found = self._path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> tuple[Key, ...]:
        return parse(self._path.read_bytes())
