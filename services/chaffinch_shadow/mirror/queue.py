"""Copies that wait for their turn: bounded in number and in bytes. What does not fit is refused at once."""

import asyncio
from collections import OrderedDict, deque

from chaffinch_shadow.collect.copies import Copy

_OVERHEAD = 2048
"""Bytes that a copy takes beside its body, about."""


class Waiting:
    """A queue that sheds load instead of growing."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._copies: deque[tuple[float, Copy]] = deque()
        self._bytes = 0
        self._news = asyncio.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._copies)

    def has_room(self, body_bytes: int) -> bool:
        """Whether a copy of this size fits."""
        return len(self._copies) < self._most and self._bytes + body_bytes + _OVERHEAD <= self._most_bytes

    async def put(self, copy: Copy, at: float) -> bool:
        """Take a copy, or say that there is no room. at: when, for `take` to tell how old it is."""
        if self._closed or not self.has_room(len(copy.body)):
            return False
        self._copies.append((at, copy))
        self._bytes += len(copy.body) + _OVERHEAD
        async with self._news:
            self._news.notify()
        return True

    async def take(self) -> tuple[float, Copy] | None:
        """The next copy, as soon as there is one; None when there will be no more."""
        async with self._news:
            await self._news.wait_for(lambda: bool(self._copies) or self._closed)
            if not self._copies:
                return None
            at, copy = self._copies.popleft()
            self._bytes -= len(copy.body) + _OVERHEAD
            return at, copy

    async def close(self) -> None:
        """Take no more; what waits can still be taken."""
        self._closed = True
        async with self._news:
            self._news.notify_all()


class Recent:
    """Request ids of the last copies, so that a repeated one is not sent again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._ids: OrderedDict[str, None] = OrderedDict()

    def seen(self, request_id: str) -> bool:
        """Whether the id was here before; it is remembered from now on."""
        if request_id in self._ids:
            self._ids.move_to_end(request_id)
            return True
        self._ids[request_id] = None
        if len(self._ids) > self._most:
            self._ids.popitem(last=False)
        return False
