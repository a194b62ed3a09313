"""API keys: who may do what, and when that changes."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from chaffinch_credits.api.keys import BadKeysError, Keys, parse
from integration.credits.http import LEDGER, Api, serving


def key(secret: str, **ledgers: list[str]) -> dict[str, Any]:
    """One entry of the file."""
    return {"name": secret.upper(), "sha256": sha256(secret.encode()).hexdigest(), "ledgers": ledgers}


def write(path: Path, *keys: dict[str, Any]) -> None:
    """Replace the file as a mounted Secret is replaced: by another file."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"keys": keys}))
    os.replace(new, path)  # noqa: PTH105 - what is meant


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An admin, a reader of this ledger, and a writer of another."""
    path = tmp_path / "keys.json"
    write(
        path,
        {**key("admin"), "ledgers": {"*": ["read", "write", "admin"]}},
        key("reader", shop=["read"]),
        key("stranger", other=["read", "write"]),
    )
    return path


@pytest_asyncio.fixture
async def api(dsn: str, file: Path) -> AsyncIterator[Api]:
    """A service that asks for keys, with a ledger."""
    async with serving(dsn, Keys(file)) as found:
        made = await found.send("PUT", LEDGER, {"assets": {"CREDIT": 0}}, Authorization="Bearer admin")
        assert made.status == 200
        yield found


async def status(api: Api, method: str, secret: str) -> int:
    """Of a read, of opening an account, or of adding an asset, with a key."""
    path = {"GET": "audit/checkpoint", "POST": "accounts", "PUT": LEDGER}[method]
    body = None if method == "GET" else b"{}"
    return (await api.send(method, path, body, Authorization=f"Bearer {secret}")).status


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("authorization", ["", "reader", "Bearer nobody", "Basic cmVhZGVy", "Bearer ", "Bearer ü"])
async def test_nobody_comes_in_without_a_known_key(api: Api, method: str, authorization: str) -> None:
    """401, before anything is read."""
    path = LEDGER if method == "PUT" else "accounts/a" if method == "GET" else "accounts"
    answer = await api.send(method, path, b"{" if method != "GET" else None, Authorization=authorization)
    assert (answer.status, answer.body["code"]) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("secret", "expected"),
    [("admin", (404, 400, 400)), ("reader", (404, 403, 403)), ("stranger", (403, 403, 403))],
)
async def test_a_key_opens_what_its_scopes_say(api: Api, secret: str, expected: tuple[int, ...]) -> None:
    """On the ledgers that it names and no other; 404 and 400 come from behind the door."""
    assert tuple([await status(api, method, secret) for method in ("GET", "POST", "PUT")]) == expected


async def test_a_key_that_is_taken_out_opens_nothing(api: Api, file: Path) -> None:
    """From the next request on, and a new one is known at once."""
    write(file, key("newcomer", shop=["read"]))
    assert await status(api, "GET", "reader") == 401
    assert await status(api, "GET", "newcomer") == 404


async def test_a_file_that_breaks_changes_nothing(api: Api, file: Path) -> None:
    """Nobody is locked out, and nobody let in, by half a file."""
    await asyncio.to_thread(file.write_text, '{"keys": [')
    assert await status(api, "GET", "reader") == 404
    assert await status(api, "GET", "nobody") == 401


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b'{"keys": 7}',
        b'{"keys": [{}]}',
        b'{"keys": [{"name": "a", "sha256": "00", "ledgers": {}}]}',
        json.dumps({"keys": [key("a", shop=["everything"])]}).encode(),
        json.dumps({"keys": [{**key("a"), "rate": {"per_second": 0, "burst": 1}}]}).encode(),
    ],
)
def test_a_wrong_file_is_refused(raw: bytes) -> None:
    """With the page that explains it."""
    with pytest.raises(BadKeysError, match=r"docs/credits/operations\.md"):
        parse(raw)


async def test_a_key_may_have_a_rate(api: Api, file: Path) -> None:
    """429 with the seconds to wait, for this key alone."""
    write(file, {**key("busy", shop=["read"]), "rate": {"per_second": 0.01, "burst": 2}}, key("other", shop=["read"]))
    assert [await status(api, "GET", "busy") for _ in range(3)] == [404, 404, 429]
    answer = await api.send("GET", "audit/checkpoint", Authorization="Bearer busy")
    assert (answer.body["code"], 50 < int(answer.headers["Retry-After"]) <= 100) == ("rate_limited", True)
    assert await status(api, "GET", "other") == 404
