"""A circuit breaker: after failures in a row nobody waits for a database that is away; one at a time tries again."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from chaffinch_credits.api.problems import Problem

FAILURES = 5
SHORTEST_SECONDS, LONGEST_SECONDS = 0.5, 8.0


class State(StrEnum):
    """Of a breaker."""

    CLOSED = "closed"
    """All may ask."""
    OPEN = "open"
    """Nobody may, until the pause is over."""
    HALF_OPEN = "half_open"
    """One may; what becomes of it decides."""


@dataclass(slots=True)
class Breaker:
    """Opens after FAILURES outages in a row; each failed trial doubles the pause. Refusals of a ledger do not count."""

    clock: Callable[[], float] = time.monotonic
    state: State = State.CLOSED
    _failures: int = 0
    _pause: float = SHORTEST_SECONDS
    _until: float = 0.0

    def admit(self) -> None:
        """Go on, or Problem 503 with the seconds to wait. Whoever goes on while it is half open is the trial."""
        if self.state is State.CLOSED:
            return
        now = self.clock()
        if now < self._until:
            title = "the database is away, nothing was done; send the same request again later"
            raise Problem(503, "database_unavailable", title, retry_after=max(1, math.ceil(self._until - now)))
        # a trial that never comes back must not keep the breaker half open: the next one may go after a pause
        self.state, self._until = State.HALF_OPEN, now + self._pause

    def succeeded(self) -> None:
        """The database answered."""
        self.state, self._failures, self._pause = State.CLOSED, 0, SHORTEST_SECONDS

    def failed(self) -> None:
        """The database is away."""
        self._failures += 1
        if self.state is State.HALF_OPEN:
            self._pause = min(2 * self._pause, LONGEST_SECONDS)
        elif self._failures < FAILURES:
            return
        self.state, self._until = State.OPEN, self.clock() + self._pause
