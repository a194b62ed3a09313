"""Whether the cluster has what Git says, asked over and over while a canary runs."""

import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from support.kubectl import KubectlError
from support.rollouts import Shop

_PAUSE_SECONDS = 0.7


@dataclass(slots=True)
class DriftWatch:
    """Runs `kubectl diff` of the user's manifests while the context is entered."""

    shop: Shop
    phases: set[str] = field(default_factory=set)
    """Phases that a whole diff lay in."""
    found: list[str] = field(default_factory=list)
    """Differences, each with its phase."""
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        if self._thread is not None:
            self._thread.join(60)

    def _run(self) -> None:
        while not self._ending.wait(_PAUSE_SECONDS):
            with self.shop.writing:
                before = self._phase()
                if difference := self._difference():
                    self.found.append(f"{before}: {difference}")
                if before == self._phase():
                    self.phases.add(before)

    def _difference(self) -> str:
        """What differs three times running: kubectl reads twice; a status written in between is told."""
        told = ""
        for _ in range(3):
            try:
                self.shop.diff()
            except KubectlError as error:
                told = str(error)
            else:
                return ""
        return told

    def _phase(self) -> str:
        last = self.shop.timeline.last
        return last.status.phase if last else ""
