"""The receiver over real sockets: what it hands over, and how it refuses everything else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from chaffinch_operator import receiver
from chaffinch_operator.errors import Unavailable
from chaffinch_operator.settings import Settings
from unit.operator.desk import HEAD, POST, TOKEN, Desk, conversation, eventually, open_desk


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """As a Secret is mounted, with the newline that editors leave."""
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


def change(path: Path, content: str | None) -> None:
    """Write a file, or remove it."""
    if content is None:
        path.unlink()
    else:
        path.write_text(content)


def by_token(path: Path) -> Settings:
    """Settings of a receiver that wants the token."""
    return Settings(alerts_host="127.0.0.1", alerts_port=0, alerts_token_file=str(path))


@pytest.fixture
async def desk(token_file: Path) -> AsyncIterator[Desk]:
    """A receiver with a token."""
    async with open_desk(by_token(token_file)) as it:
        yield it


async def test_alerts_are_handed_over(desk: Desk) -> None:
    """And only then answered."""
    status, text, _ = await desk.send()
    assert (status, text) == (200, "1 new of 1\n")
    assert [a.fingerprint for a in desk.put[0]] == ["0123456789abcdef"]
    assert desk.answered == [200]


async def test_a_truncated_post_is_noticed(desk: Desk) -> None:
    """What it has is taken; for the rest somebody must ask."""
    assert (await desk.send(json.dumps({**POST, "truncatedAlerts": 2}).encode()))[0] == 200
    assert (desk.truncated, len(desk.put)) == (1, 1)


FORGED = [
    "",
    "Bearer",
    "Bearer ",
    "Bearer wrong",
    f"Bearer {TOKEN}x",
    f"Bearer {TOKEN[:-1]}",
    f"Basic {TOKEN}",
    TOKEN,
    "Bearer é",
]


@pytest.mark.parametrize("authorization", FORGED)
async def test_a_stranger_is_refused(desk: Desk, authorization: str) -> None:
    """Whatever the body is; a look at the answer tells nothing of the token."""
    for body in (None, b"{", b"x" * (receiver.MAX_BYTES + 1)):
        status, text, headers = await desk.send(body, Authorization=authorization)
        assert (status, text) == (401, "the bearer token is missing or wrong\n")
        assert headers["WWW-Authenticate"].startswith("Bearer")
    assert desk.put == []


async def test_a_renewed_token_counts_at_once(desk: Desk, token_file: Path) -> None:
    """The old one is worth nothing any more."""
    change(token_file, "another-token-of-good-length")
    assert (await desk.send())[0] == 401
    assert (await desk.send(Authorization="bearer another-token-of-good-length"))[0] == 200


@pytest.mark.parametrize(
    ("content", "said"), [("", "16 characters"), ("short", "16 characters"), (None, "No such file")]
)
async def test_without_a_token_nobody_is_believed(desk: Desk, token_file: Path, content: str | None, said: str) -> None:
    """Not even one who sends none; Alertmanager tries again, and the state says what is missing."""
    change(token_file, content)
    for authorization in ("", "Bearer ", f"Bearer {TOKEN}"):
        status, text, headers = await desk.send(Authorization=authorization)
        assert status == 503
        assert said in text
        assert headers["Retry-After"] == "1"
    assert desk.receiver is not None
    assert said in desk.receiver.state
    assert desk.put == []


UNUSABLE: dict[str, tuple[dict[str, Any], int, str]] = {
    "another method": ({"method": "GET", "body": b""}, 405, "Method Not Allowed"),
    "another path": ({"path": "/alert"}, 404, "Not Found"),
    "a form": ({"Content_Type": "application/x-www-form-urlencoded"}, 415, "application/json"),
    "compressed": ({"Content_Encoding": "gzip"}, 400, ""),
    "an unknown coding": ({"Content_Encoding": "zstd-9"}, 415, "Content-Encoding"),
    "too large": ({"body": b" " * (receiver.MAX_BYTES + 1)}, 413, "larger than 1024 KiB: set max_alerts"),
    "no JSON": ({"body": b"{"}, 400, "not JSON"),
    "another version": ({"body": b'{"version": "3"}'}, 400, "version"),
    "no fingerprint": ({"body": json.dumps({**POST, "alerts": [{}]}).encode()}, 400, "alerts[0].fingerprint"),
    "too many": ({"body": json.dumps({**POST, "alerts": [0] * 1001}).encode()}, 413, "max_alerts"),
}


@pytest.mark.parametrize("name", UNUSABLE)
async def test_what_cannot_be_used_is_refused_by_name(desk: Desk, name: str) -> None:
    """So that whoever set it up knows what to change."""
    request, wanted, said = UNUSABLE[name]
    status, text, _ = await desk.send(**request)
    assert status in ({wanted, 415} if name == "compressed" else {wanted})
    assert said in text
    assert desk.put == []


@pytest.mark.parametrize("trouble", [Unavailable("down"), None])
async def test_what_could_not_be_written_is_to_be_delivered_again(
    desk: Desk, trouble: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused by the API server, or not answered in time."""
    monkeypatch.setattr(receiver, "PUT_SECONDS", 0.05)
    desk.trouble, desk.hanging = trouble, trouble is None
    status, _, headers = await desk.send()
    assert (status, headers["Retry-After"]) == (503, "1")
    desk.trouble, desk.hanging = None, False
    assert (await desk.send())[0] == 200


async def test_a_body_that_does_not_come_is_not_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that stops, nor one whose end is never told; and others are served meanwhile."""
    monkeypatch.setattr(receiver, "BODY_SECONDS", 1.0)
    stops = conversation(desk.port, f"{HEAD}Content-Length: 100\r\n\r\n{{".encode())
    endless = conversation(desk.port, f"{HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n".encode())
    first, second, (status, _, _) = await asyncio.gather(stops, endless, desk.send())
    assert b" 408 " in first.splitlines()[0]
    assert b" 408 " in second.splitlines()[0]
    assert status == 200


async def test_a_body_without_a_length_is_bounded_too(desk: Desk) -> None:
    """Chunk by chunk, and not read beyond the limit."""
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    answer = await conversation(desk.port, f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode(), *[chunk] * 17)
    assert b" 413 " in answer.splitlines()[0] if answer else True
    assert desk.put == []
    assert desk.answered == [413]


async def test_a_body_that_is_cut_off_is_not_taken_for_whole(desk: Desk) -> None:
    """The connection ends in the midst of it."""
    body = json.dumps(POST).encode()
    head = f"{HEAD}Content-Length: {len(body) + 10}\r\n\r\n".encode()
    await conversation(desk.port, head + body, stop=True)
    assert desk.put == []


async def test_no_connection_lives_long(token_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says nothing, one that never ends its headers, one that goes on after an answer."""
    monkeypatch.setattr(receiver, "CONNECTION_SECONDS", 1.0)
    async with open_desk(by_token(token_file)) as it:
        silent, slow = await asyncio.gather(conversation(it.port), conversation(it.port, HEAD.encode()))
        assert (silent, slow) == (b"", b"")
        assert b" 401 " in (await conversation(it.port, b"POST /alerts HTTP/1.1\r\nHost: x\r\n\r\n")).splitlines()[0]


async def test_there_are_never_more_connections_than_are_allowed(
    token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One too many is ended; once there is room, posts are answered again."""
    monkeypatch.setattr(receiver, "MAX_CONNECTIONS", 2)
    async with open_desk(by_token(token_file)) as it:
        held = [await asyncio.open_connection("127.0.0.1", it.port) for _ in range(2)]
        assert await conversation(it.port, HEAD.encode()) == b""
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        await eventually(lambda: answered(it), 200)


async def answered(desk: Desk) -> int:
    """Status of a good post; 0 when there is no connection."""
    try:
        return (await desk.send())[0]
    except aiohttp.ClientError:
        return 0


async def test_without_a_way_to_tell_who_sends_it_is_off() -> None:
    """It does not even listen, and says why."""
    async with open_desk(Settings(alerts_host="127.0.0.1", alerts_port=0)) as it:
        assert it.port == 0
        assert it.receiver is not None
        assert it.receiver.state.startswith("off: neither CHAFFINCH_ALERTS_TOKEN_FILE nor")


async def test_a_port_in_use_is_waited_for(token_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator starts without, says so, and listens once it can."""
    monkeypatch.setattr(receiver, "LOOK_SECONDS", 0.05)
    theirs = by_token(token_file)
    async with open_desk(theirs) as other, open_desk(replace(theirs, alerts_port=other.port)) as it:
        assert it.receiver is not None
        assert f"CHAFFINCH_ALERTS_PORT={other.port}" in it.receiver.state
        assert other.receiver is not None
        await other.receiver.__aexit__(None, None, None)
        it.port = other.port
        await eventually(lambda: answered(it), 200)
        assert len(it.put) == 1
