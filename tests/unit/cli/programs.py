"""Running the plugin as the shell starts it, in a place where there is no cluster at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PATH = os.pathsep.join(str(ROOT / root) for root in ("operator", "services"))
SAMPLE = ROOT / "manifests/samples/backtest"


def chaffinch(
    *args: str, stdin: str = "", cwd: Path | None = None, seconds: float = 120.0
) -> subprocess.CompletedProcess[str]:
    """One command; no kubeconfig, no kubectl, no home."""
    return subprocess.run(
        [sys.executable, "-m", "chaffinch_operator.cli", *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": PATH, "HOME": "/nonexistent", "PYTHONIOENCODING": "utf-8"},
    )
