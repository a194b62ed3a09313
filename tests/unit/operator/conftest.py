"""Virtual time: hours of back-off pass in milliseconds, and nothing sleeps."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

import pytest


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Virtual seconds since the start."""
        return self.now


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("the test waits for something that never comes")
        self._loop.now += timeout
        return []


@pytest.fixture
def virtually() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run a coroutine to its end in virtual time; an hour of it is the deadline."""

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(3600):
                return await work

        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(bounded())

    return run
