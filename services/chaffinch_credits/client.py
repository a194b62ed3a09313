"""A client in Python, with the standard library only: typed answers, and repetitions that are safe.

with Client("https://credits:8080", "shop", key="...") as shop:
    done = shop.transfer("alice", "bob", 30)

Each request has its id before it is sent. While there is no answer, or one that says "later" (429, 503), the same
request is sent again with the same id: it is done once, whatever happened.
"""

import http.client
import json
import random
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack
from urllib.parse import quote, urlsplit
from uuid import UUID, uuid4

_LATER = {429, 503}
_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.05, 2.0


class More(TypedDict, total=False):
    """What every request may say besides. effective_at: a time with its zone, RFC 3339."""

    id: UUID
    effective_at: str
    metadata: Mapping[str, Any]


class Coded(More, total=False):
    """code: what it is for, your own number."""

    code: int


class Ending(Coded, total=False):
    """expires_at: when it ends by itself, RFC 3339."""

    expires_at: str


class Lot(Ending, total=False):
    """priority: the lowest is drawn first."""

    priority: int


class CreditsError(Exception):
    """What the service answered. status: of HTTP; code: stable, see the API reference; field: where one is wrong."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(f"{body.get('code')}: {body.get('title')}")
        self.status, self.code, self.field = status, str(body.get("code", "")), str(body.get("field", ""))
        self.body = body


class RefusedError(CreditsError):
    """The ledger decided against it, for ever under this id. available: what could be spent, where that was why."""

    @property
    def available(self) -> int | None:
        """In the smallest unit of the asset."""
        found = self.body.get("available")
        return None if found is None else int(found)


class UnavailableError(Exception):
    """No answer in time. Whether it was done is not known: the same call with `id` tells."""

    def __init__(self, request: UUID | None, why: str) -> None:
        super().__init__(f"no answer in time ({why}); ask again with id={request}" if request else why)
        self.id = request


@dataclass(frozen=True, slots=True)
class Done:
    """A request that was done. replayed: it had been decided before."""

    id: UUID
    seq: int
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """An account after the entry `seq`; amounts in the smallest unit of the asset, which has `scale` decimals."""

    name: str
    asset: str
    scale: int
    balance: int
    held: int
    available: int
    seq: int


class Client:
    """Of one ledger. One connection: use one client per thread.

    Args:
        base: such as https://credits:8080.
        ledger: its name.
        key: API key.
        tls: for https, with the client's certificate where one is asked for.
        patience: seconds to go on repeating a request.
        timeout: seconds to wait for one answer.

    """

    def __init__(
        self,
        base: str,
        ledger: str,
        *,
        key: str = "",
        tls: ssl.SSLContext | None = None,
        patience: float = 30.0,
        timeout: float = 10.0,
    ) -> None:
        parts = urlsplit(base)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{base} is no address of a service, such as https://credits:8080")
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._base, self._tls = f"/v1/ledgers/{quote(ledger, safe='')}", tls
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._patience, self._timeout = patience, timeout
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def open_account(self, account: str, asset: str, *, allow_negative: bool = False, **more: Unpack[More]) -> Done:
        """Open an account. allow_negative: a source or a counterparty."""
        return self._ask("accounts", account=account, asset=asset, allow_negative=allow_negative, **more)

    def close_account(self, account: str, **more: Unpack[More]) -> Done:
        """Close an account that is empty."""
        return self._ask(f"accounts/{quote(account)}:close", **more)

    def transfer(self, debit: str, credit: str, amount: int, **more: Unpack[Coded]) -> Done:
        """Move an amount, in the smallest unit."""
        return self._ask("transfers", debit=debit, credit=credit, amount=str(amount), **more)

    def hold(self, debit: str, credit: str, amount: int, **more: Unpack[Ending]) -> Done:
        """Reserve an amount; its id is that of the hold."""
        return self._ask("holds", debit=debit, credit=credit, amount=str(amount), **more)

    def post(self, hold: UUID, amount: int | None = None, **more: Unpack[More]) -> Done:
        """Post a hold, in full or in part."""
        return self._ask(f"holds/{hold}:post", **({} if amount is None else {"amount": str(amount)}), **more)

    def void(self, hold: UUID, **more: Unpack[More]) -> Done:
        """Release a hold."""
        return self._ask(f"holds/{hold}:void", **more)

    def grant(self, source: str, account: str, amount: int, **more: Unpack[Lot]) -> Done:
        """Credit a lot."""
        return self._ask("grants", source=source, account=account, amount=str(amount), **more)

    def reverse(self, transfer: UUID, **more: Unpack[More]) -> Done:
        """Undo a transfer or a posted hold."""
        return self._ask(f"transfers/{transfer}:reverse", **more)

    def batch(self, requests: Sequence[Mapping[str, Any]], *, atomic: bool = False) -> list[Mapping[str, Any]]:
        """Decide up to 500 requests together, each with type and id; their replies, in order, refused or not."""
        body = {"mode": "atomic" if atomic else "independent", "requests": list(requests)}
        try:
            found = self._patiently("POST", "requests:batch", body, None)
        except RefusedError as refused:
            found = refused.body
        return list(found["replies"])

    def account(self, name: str, *, at_seq: int | None = None) -> Account:
        """An account now, or as it was after an entry."""
        query = "" if at_seq is None else f"?at_seq={at_seq}"
        found = self._patiently("GET", f"accounts/{quote(name)}{query}", None, None)
        balance, held, available = (int(found[each]) for each in ("balance", "held", "available"))
        return Account(found["account"], found["asset"], found["scale"], balance, held, available, found["seq"])

    def entries(self, name: str) -> Iterator[Mapping[str, Any]]:
        """All entries of an account, newest first."""
        before = ""
        while True:
            page = self._patiently("GET", f"accounts/{quote(name)}/entries?limit=500{before}", None, None)
            yield from page["entries"]
            if page["next_before"] is None:
                return
            before = f"&before={page['next_before']}"

    def _ask(self, path: str, **fields: object) -> Done:
        own = UUID(str(fields.pop("id", None) or uuid4()))
        found = self._patiently("POST", path, {"id": str(own), **fields}, own)
        return Done(UUID(found["id"]), found["seq"], found.get("replayed", False))

    def _patiently(self, method: str, path: str, body: object, own: UUID | None) -> Mapping[str, Any]:
        """The answer, once there is one that does not say "later"."""
        raw, until, pause = None if body is None else json.dumps(body).encode(), self._until(), _SHORTEST_SECONDS
        while True:
            try:
                status, wait, found = self._once(method, path, raw)
                if status not in _LATER:
                    return _good(status, found)
                why = str(found.get("code"))
            except (OSError, http.client.HTTPException, ValueError) as problem:
                self.close()
                wait, why = 0.0, f"{type(problem).__name__}: {problem}"
            # a random part of the pause, so that many clients do not come back at once
            wait = max(wait, random.uniform(pause / 2, pause))  # noqa: S311 - no secret
            if time.monotonic() + wait > until:
                raise UnavailableError(own, why)
            time.sleep(wait)
            pause = min(2 * pause, _LONGEST_SECONDS)

    def _until(self) -> float:
        return time.monotonic() + self._patience

    def _once(self, method: str, path: str, raw: bytes | None) -> tuple[int, float, Mapping[str, Any]]:
        """Status, seconds to wait, and body. ValueError when the body is no JSON."""
        if self._connection is None:
            self._connection = self._opened()
        kind = {"Content-Type": "application/json"} if raw is not None else {}
        self._connection.request(method, f"{self._base}/{path}", raw, {**self._headers, **kind})
        response = self._connection.getresponse()
        found = json.loads(response.read())
        return response.status, float(response.headers.get("Retry-After", 0)), found

    def _opened(self) -> http.client.HTTPConnection:
        if self._secure:
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._tls)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)


def _good(status: int, found: Mapping[str, Any]) -> Mapping[str, Any]:
    if status in {200, 201}:
        return found
    raise (RefusedError if "outcome" in found or "replies" in found else CreditsError)(status, found)
