"""Runs other programs, and keeps their output for the error message should they fail.

Programs that need a package registry are started in the network namespace of the machine (`reaching_registries`), so an
image can be built from a test which itself runs inside a cluster's namespace.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.errors import CommandError

HOST_NETWORK = Path("/proc/1/ns/net")
OWN_NETWORK = Path("/proc/self/ns/net")
TIMED_OUT = 124


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    timeout: float | None = None,
) -> str:
    """Run `command` to its end and return its standard output; `env` is added to the present environment."""
    try:
        finished = subprocess.run(
            command,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            input=stdin or "",
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(command, TIMED_OUT, f"no end after {timeout:.0f} s") from error
    if finished.returncode:
        raise CommandError(command, finished.returncode, finished.stdout + finished.stderr)
    return finished.stdout


def succeeds(command: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float | None = None) -> bool:
    """Whether `command` ends with status zero, in time."""
    try:
        run(command, env=env, timeout=timeout)
    except (CommandError, OSError):
        return False
    return True


def reaching_registries(command: Sequence[str]) -> list[str]:
    """`command`, led out of a cluster's network namespace if we are inside one."""
    try:
        outside = HOST_NETWORK.stat().st_ino == OWN_NETWORK.stat().st_ino
    except OSError:
        outside = True
    return [*([] if outside else ["nsenter", f"--net={HOST_NETWORK}", "--"]), *command]
