"""What can go wrong with the local cluster, each error with the way out in its message.

ClusterError
|-- PreconditionError   the machine cannot carry a cluster, or not yet; `fix` says what to do
|-- CommandError        a program that we ran failed; carries its command line and the end of its output
`-- NotReadyError       something did not become ready in time
"""

from __future__ import annotations

from collections.abc import Sequence
from shlex import join

OUTPUT_TAIL_CHARACTERS = 2000


class ClusterError(Exception):
    """The base of all errors that this package raises on purpose."""


class PreconditionError(ClusterError):
    """The machine lacks something that a cluster needs."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"{problem}\n  fix: {fix}")
        self.problem = problem
        self.fix = fix


class CommandError(ClusterError):
    """A program ended with a status other than zero."""

    def __init__(self, command: Sequence[str], status: int, output: str) -> None:
        tail = output.strip()[-OUTPUT_TAIL_CHARACTERS:]
        super().__init__(f"status {status} from: {join(command)}\n{tail}")
        self.command = tuple(command)
        self.status = status
        self.output = output


class NotReadyError(ClusterError):
    """A deadline passed before a condition came true."""
