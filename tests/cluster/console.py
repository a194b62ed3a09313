"""Progress for people: one line per long step with the seconds it took, plain lines when nobody watches a terminal."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

REFRESH_SECONDS = 1.0
CLEAR_LINE = "\r\x1b[K"


class Console:
    """Writes progress to a stream; the terminal's last line counts seconds while a step runs."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()

    def say(self, text: str) -> None:
        """Write one line."""
        self._write(f"{text}\n")

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Announce `name`, run the body, then tell how long it took or that it failed."""
        started = time.monotonic()
        ticking = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(name, started, ticking), daemon=True)
        if self._live:
            ticker.start()
        else:
            self.say(f"{name} ...")
        outcome = "failed after"
        try:
            yield
            outcome = "ok"
        finally:
            ticking.set()
            if self._live:
                ticker.join()
                self._write(CLEAR_LINE)
            self.say(f"{name}: {outcome} {time.monotonic() - started:.1f} s")

    def _tick(self, name: str, started: float, ending: threading.Event) -> None:
        while True:
            self._write(f"{CLEAR_LINE}{name} ... {time.monotonic() - started:.0f} s")
            if ending.wait(REFRESH_SECONDS):
                return

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
