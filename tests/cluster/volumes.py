"""Lets pods that are not root use volumes: opens their folders to everybody, where `fsGroup` would do.

    volumes.py FOLDER ROOT          started by the supervisor; ROOT only tells whose process it is

kubelet does not apply fsGroup to host paths, and their provisioner makes them root:root 0750. For tests only.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
from pathlib import Path

POLL_SECONDS = 0.2
OPEN = 0o777


def hand_over(folder: Path) -> list[Path]:
    """Open the folders that root alone may use; those that were opened."""
    opened = []
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(folder):
            with contextlib.suppress(FileNotFoundError):
                if entry.is_dir(follow_symlinks=False) and stat.S_IMODE(entry.stat().st_mode) == 0o750:
                    Path(entry.path).chmod(OPEN)
                    opened.append(Path(entry.path))
    return opened


def main() -> None:
    """Look until ended."""
    folder = Path(sys.argv[1])
    while True:
        hand_over(folder)
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main()
