"""The port that the gateway copies requests to: plain ASGI, since any method and path may come.

The answer says nothing about the copy, and comes as soon as the copy is whole. A gateway ignores it.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from chaffinch_shadow.collect.copies import Copy, Headers
from chaffinch_shadow.collect.pairing import refusal
from chaffinch_shadow.collect.words import Drop
from chaffinch_shadow.mirror.collector import Collector

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_MOST_READING = 512
"""Bodies that are read at the same time."""


class Mirror:
    """The ASGI application."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._reading = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one copy."""
        if scope["type"] != "http":
            return
        headers = tuple((_text(name).lower(), _text(value)) for name, value in scope["headers"])
        if self._reading >= _MOST_READING:
            self._collector.refused(Drop.QUEUE_FULL, 0)
            await _answer(send)
            return
        self._reading += 1
        try:
            await self._read(scope, headers, receive)
        finally:
            self._reading -= 1
        await _answer(send)

    async def _read(self, scope: Scope, headers: Headers, receive: Receive) -> None:
        most = self._collector.evaluation.mirror.max_body_bytes
        body, size, more = bytearray(), 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                self._collector.refused(Drop.UNREADABLE, size)
                return
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            if size <= most:
                body += part
            elif size > 2 * most:
                break
        copy = Copy(scope["method"], _target(scope), headers, bytes(body))
        if size > most:
            self._collector.refused(refusal(self._collector.evaluation, copy) or Drop.TOO_LARGE, size)
        else:
            await self._collector.offer(copy)


def _target(scope: Scope) -> str:
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string", b"")
    return _text(path + (b"?" + query if query else b""))


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


async def _answer(send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})
