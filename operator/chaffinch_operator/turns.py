"""How many passes may run at the same time, and who is next. Knows nothing of what a pass does.

A thousand objects that fall due at one moment are looked at in turns, so that each pass is short and little is held in
memory; what was woken by a change goes before what is only due. A pass that waits for others, such as a slow metrics
store, steps aside after a moment: it keeps nobody from his turn. Not at once, because those who begin meanwhile would
mostly wait for the same answer, and then for one another.
"""

import asyncio
import sys
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from contextvars import ContextVar

ASIDE_SECONDS = 1.0
"""Who waits for others keeps the turn for so long."""
Queue = OrderedDict[Hashable, "asyncio.Future[None]"]


class Turns:
    """At most `limit` turns are held at any time; `waited` is told how many seconds each waited for."""

    def __init__(self, limit: int = sys.maxsize, *, waited: Callable[[float], None] = lambda _: None) -> None:
        self._free = limit
        self._waited = waited
        self._urgent: Queue = OrderedDict()
        self._patient: Queue = OrderedDict()

    @asynccontextmanager
    async def turn(self, key: Hashable, *, urgent: bool) -> AsyncIterator[None]:
        """Hold a turn within the block. `key` is by whom `hurry` finds one that waits."""
        clock = asyncio.get_running_loop().time
        began = clock()
        turn = _Turn(self)
        await turn.take(key, urgent=urgent)
        self._waited(clock() - began)
        token = _HELD.set(turn)
        try:
            yield
        finally:
            _HELD.reset(token)
            turn.give()

    def hurry(self, key: Hashable) -> None:
        """Let one that waits go before those that are only due."""
        future = self._patient.pop(key, None)
        if future is not None:
            self._urgent[key] = future

    async def take(self, key: Hashable, *, urgent: bool) -> None:
        """Wait until one is free, and hold it."""
        if self._free > 0:
            self._free -= 1
            return
        if key in self._urgent or key in self._patient:
            key = object()
        future = asyncio.get_running_loop().create_future()
        (self._urgent if urgent else self._patient)[key] = future
        try:
            await future
        except asyncio.CancelledError:
            for queue in (self._urgent, self._patient):
                if queue.get(key) is future:  # another may wait under the key once this one has its turn
                    del queue[key]
            if not future.cancelled():
                self.give()  # it came in the very moment
            raise

    def give(self) -> None:
        """Give one back: to who waits, else to nobody."""
        for queue in (self._urgent, self._patient):
            while queue:
                _, future = queue.popitem(last=False)
                if not future.done():
                    return future.set_result(None)
        self._free += 1
        return None


class _Turn:
    """One that may be laid aside meanwhile."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._held = False

    async def take(self, key: Hashable, *, urgent: bool) -> None:
        if not self._held:
            await self._turns.take(key, urgent=urgent)
            self._held = True

    def give(self) -> None:
        if self._held:
            self._held = False
            self._turns.give()


_HELD: ContextVar[_Turn | None] = ContextVar("turn", default=None)


@asynccontextmanager
async def aside() -> AsyncIterator[None]:
    """Let others have the turn if the block takes long, and wait for one at its end. Outside of a turn: nothing."""
    turn = _HELD.get()
    if turn is None:
        yield
        return
    giving = asyncio.get_running_loop().call_later(ASIDE_SECONDS, turn.give)
    try:
        yield
    finally:
        giving.cancel()
        await turn.take(turn, urgent=True)
