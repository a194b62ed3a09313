"""A Service's port on loopback, by `kubectl port-forward`, for clusters whose network we are not in."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from cluster.errors import ClusterError

FORWARDING = re.compile(r"Forwarding from (127\.0\.0\.1:\d+)")
STOP_SECONDS = 5


@contextmanager
def forwarded_port(command: list[str], port: int, env: Mapping[str, str]) -> Iterator[str]:
    """The address under which `port` is reachable while the block runs; kubectl chooses a free one and tells it."""
    full = [*command, "--address=127.0.0.1", f":{port}"]
    with subprocess.Popen(full, stdout=subprocess.PIPE, text=True, env={**os.environ, **env}) as process:
        assert process.stdout is not None
        try:
            yield forwarded_address(process.stdout.readline())
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def forwarded_address(line: str) -> str:
    """The address in kubectl's first line of output."""
    found = FORWARDING.search(line)
    if not found:
        raise ClusterError("kubectl port-forward ended at once: is there a ready pod behind the Service?")
    return found[1]
