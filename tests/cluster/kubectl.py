"""The cluster's kubectl, run inside its network namespace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cluster.build import Cache
from cluster.command import run
from cluster.config import Config

COMMAND_SECONDS = 120


class Kubectl:
    """Runs kubectl as the administrator."""

    def __init__(self, config: Config) -> None:
        program = Cache.of(config.cache).program("tools", "kubectl")
        # discovery results beside the cluster, not in $HOME: they go when it goes
        options = [f"--kubeconfig={config.kubeconfig}", f"--cache-dir={config.root / 'kube-cache'}"]
        self._command = [*config.command_prefix, str(program), *options]

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run it and return its output."""
        return run([*self._command, *arguments], stdin=stdin, timeout=COMMAND_SECONDS)

    def json(self, *arguments: str) -> Any:
        """Run it and parse its output."""
        return json.loads(self(*arguments, "-o=json"))

    def raw(self, path: str) -> Any:
        """GET a path of the API."""
        return json.loads(self("get", f"--raw={path}"))

    def apply(self, manifest: str) -> None:
        """Server-side apply: some definitions are too large for the annotation of client-side apply."""
        self("apply", "--server-side", "--force-conflicts", "--field-manager=cluster", "-f=-", stdin=manifest)

    def apply_folder(self, folder: Path) -> None:
        """Apply a kustomization."""
        self("apply", "--server-side", "--force-conflicts", "--field-manager=cluster", f"-k={folder}")

    def wait(self, condition: str, *target: str, seconds: int) -> None:
        """Wait until the target has the condition."""
        self("wait", f"--for={condition}", *target, f"--timeout={seconds}s")
