"""Open-loop load: requests are due at fixed times, whatever the answers take.

Latency counts from when a request was due, so a stall is seen by all requests that it held up.
"""

import asyncio
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

from support.load.client import Client, Goal
from support.load.tally import Tally

MOST_LATE_SECONDS = 1.0
"""Requests further behind are skipped, not sent in a burst: the generator shares two cores with all else."""
_TICK_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Shape:
    """How much, and by how many clients."""

    rate: float
    clients: int = 24
    new_connections: float = 0.05
    """Share of requests that ask for their connection to be closed, so that some are always new."""

    @property
    def close_every(self) -> int:
        """Every so many requests one closes its connection; 0 for never."""
        return round(1 / self.new_connections) if self.new_connections > 0 else 0


class Generator:
    """Sends requests until stopped; `take` hands out what was counted since the last call."""

    def __init__(self, goal: Goal, shape: Shape) -> None:
        self._goal, self._shape = goal, shape
        self._due: asyncio.Queue[float] = asyncio.Queue()
        self._numbers = itertools.count(1)
        self._tally = Tally()

    def take(self) -> Tally:
        """What was counted since the last call."""
        taken, self._tally = self._tally, Tally()
        return taken

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop`, then let the requests that are under way end."""
        workers = [asyncio.create_task(self._work()) for _ in range(self._shape.clients)]
        try:
            await self._schedule(stop)
            await self._due.join()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _schedule(self, stop: asyncio.Event) -> None:
        clock: Callable[[], float] = asyncio.get_running_loop().time
        start, number = clock(), 0
        while not stop.is_set():
            passed = clock() - start
            first = math.ceil((passed - MOST_LATE_SECONDS) * self._shape.rate)
            if first > number:
                self._tally.skipped += first - number
                number = first
            while number <= passed * self._shape.rate:
                self._put(start + number / self._shape.rate)
                number += 1
            pause = max(_TICK_SECONDS, start + number / self._shape.rate - clock())
            await asyncio.sleep(pause)

    def _put(self, due: float) -> None:
        if self._due.qsize() < self._shape.rate * MOST_LATE_SECONDS:
            self._due.put_nowait(due)
        else:
            self._tally.skipped += 1

    async def _work(self) -> None:
        client, clock = Client(self._goal), asyncio.get_running_loop().time
        every = self._shape.close_every
        try:
            while True:
                due = await self._due.get()
                keep = not every or next(self._numbers) % every != 0
                outcome = await client.ask(keep=keep)
                self._tally.add(outcome, clock() - due)
                self._due.task_done()
        finally:
            client.close()
