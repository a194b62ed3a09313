"""Starts, finds and stops the cluster's processes.

There are no pid files that could go stale: a component is the process in the cluster's cgroup that runs its program.
That holds after a crash, a reboot and an interrupted start alike.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cluster.cgroups import ClusterCgroup
from cluster.command import run
from cluster.components import Component
from cluster.config import Config
from cluster.console import Console
from cluster.deadline import wait_until
from cluster.errors import NotReadyError

STOP_SECONDS = 2
KILL_SECONDS = 10
LOG_LIMIT_BYTES = 32 << 20
PROGRAM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# The shell enters every cgroup, then starts the command and ends: the command has no parent of ours that would have to
# wait for it. A clean environment: a proxy setting of the caller must not reach the components.
START = 'for file in $ENTRANCES; do echo $$ > "$file" || exit 1; done; setsid env -i PATH="$PATH" HOME=/root "$@" \
>> "$LOG" 2>&1 < /dev/null &'


def command_line(process: int) -> list[str]:
    """The arguments of a running process; nothing for one that is gone or a zombie."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def runs_program(arguments: list[str], program: str) -> bool:
    """Whether a command line runs `program`, itself or as an interpreter's script."""
    return program in [Path(argument).name for argument in arguments[:2]]


class Supervisor:
    """Looks after the components of one cluster."""

    def __init__(self, config: Config, console: Console) -> None:
        self._config = config
        self._console = console
        self._cgroup = ClusterCgroup(config.cgroup)
        self._logs = config.root / "log"

    def find(self, component: Component) -> int | None:
        """The number of the component's process, if it runs."""
        for process in self._cgroup.own_processes():
            if runs_program(command_line(process), component.program):
                return process
        return None

    def ensure(self, component: Component) -> bool:
        """Start the component unless it runs as described; whether it was started.

        It is stopped before its files change, so that an interruption in between leaves it stopped, not outdated.
        """
        running = self.find(component)
        outdated = [file for file, content in component.files if not file.exists() or file.read_text() != content]
        if running and (outdated or command_line(running) != list(component.command)):
            self._console.say(f"{component.name} has changed: stopping it")
            self.stop([component])
            running = None
        for file, content in component.files:
            if file in outdated:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(content)
        if not running:
            self._start(component)
        return not running

    def stop(self, components: Iterable[Component]) -> None:
        """SIGTERM, and SIGKILL two seconds later: API server and etcd wait much longer for clients that stay."""
        stopping = list(components)
        for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
            if not self._signal(stopping, number):
                return
            with suppress(NotReadyError):
                wait_until(lambda: not any(map(self.find, stopping)), "end of processes", seconds=seconds)
        if left := [component.name for component in stopping if self.find(component)]:
            raise NotReadyError(f"{', '.join(left)} did not end after SIGKILL")

    def kill(self, component: Component) -> None:
        """SIGKILL, as a crash would end it."""
        self._signal([component], signal.SIGKILL)
        wait_until(lambda: not self.find(component), f"end of {component.name}", seconds=KILL_SECONDS)

    def log_tail(self, component: Component, lines: int = 15) -> str:
        """The end of a component's log, for error messages."""
        log = self._log(component)
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""

    def _signal(self, components: Iterable[Component], number: signal.Signals) -> bool:
        processes = [process for component in components if (process := self.find(component))]
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, number)
        return bool(processes)

    def _start(self, component: Component) -> None:
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._log(component)
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".old.log"))
        settings = {
            "ENTRANCES": " ".join(self._cgroup.entrances()),
            "LOG": str(log),
            "PATH": PROGRAM_PATH,
        }
        run(["sh", "-c", START, "start", *self._config.command_prefix, *component.command], env=settings)
        self._console.say(f"started {component.name}")
        wait_until(
            lambda: self.find(component) is not None,
            f"start of {component.name}",
            seconds=KILL_SECONDS,
            explain=lambda: self.log_tail(component),
        )

    def _log(self, component: Component) -> Path:
        return self._logs / f"{component.name}.log"
