"""Waiting for a condition with a deadline: the one place where this package sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable

from cluster.errors import NotReadyError

POLL_SECONDS = 0.1


def wait_until(
    condition: Callable[[], bool],
    what: str,
    *,
    seconds: float,
    poll: float = POLL_SECONDS,
    explain: Callable[[], str] = str,
) -> None:
    """Return once `condition` holds; after `seconds` raise NotReadyError with what was awaited and `explain()`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            raise NotReadyError(f"{what} not reached within {seconds:.0f} s {explain()}".rstrip())
        time.sleep(poll)
