"""The load generator as a process of its own, and its counts by time."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from support.load.tally import Tally, total

TESTS = Path(__file__).resolve().parents[2]
STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Second:
    """What clients saw in one second."""

    at: float
    """When it began, in seconds since the epoch."""
    tally: Tally


class LoadError(Exception):
    """The load generator ended by itself; the message has what it said."""


class Load:
    """Steady load while the context is entered; ends with it, and with this process whatever happens."""

    def __init__(self, options: Mapping[str, str | float], *, prefix: Sequence[str] = ()) -> None:
        given = (f"--{name.replace('_', '-')}={value}" for name, value in options.items())
        self._command = [*prefix, sys.executable, "-m", "support.load", *given]
        self._seconds: list[Second] = []
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 -- closed in __exit__

    def __enter__(self) -> Self:
        # a session of its own: Ctrl-C in the terminal ends the demo, which then ends the load in good order
        self._process = subprocess.Popen(
            self._command,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=TESTS,
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            start_new_session=True,
        )
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        assert process is not None
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._reader.join(STOP_SECONDS)
        assert process.stdout is not None
        process.stdout.close()
        self._errors.close()

    def check(self) -> None:
        """Raise LoadError if it does not run any more."""
        if self._process is None or self._process.poll() is None:
            return
        self._errors.seek(0)
        raise LoadError(
            f"the load generator ended with status {self._process.returncode}: "
            f"{self._errors.read()[-2000:].strip() or 'it said nothing'}"
        )

    def seconds(self, since: float = 0.0, until: float = float("inf")) -> list[Second]:
        """Whole seconds that began at or after `since` and ended by `until`."""
        with self._lock:
            return [s for s in self._seconds if s.at >= since and s.at + 1.0 <= until]

    def between(self, since: float = 0.0, until: float = float("inf")) -> Tally:
        """What clients saw in those seconds."""
        return total(s.tally for s in self.seconds(since, until))

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for text in self._process.stdout:
            line = json.loads(text)
            if not line["final"]:
                with self._lock:
                    self._seconds.append(Second(float(line["at"]), Tally.from_json(line)))
