"""The two firewalls as plain processes of this machine, and one client that asks them one request after another."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cluster.deadline import wait_until
from support.waf.requests import Labelled

PROGRAM = Path(__file__).with_name("service.py")
RULES = "usr/share/modsecurity-crs/rules"
CONTROL, CANDIDATE = 1, 2
"""Paranoia levels of the versions."""
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Firewalls:
    """Where control and candidate listen on this machine."""

    control: int
    candidate: int


@contextlib.contextmanager
def running(files: Path) -> Iterator[Firewalls]:
    """Both, ready; they end with the block. files: of the Debian packages."""
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(_process(level, files)) for level in (CONTROL, CANDIDATE)]
        for port in ports:
            wait_until(partial(_answers, port), f"port {port} to answer", seconds=_SECONDS, poll=0.1)
        yield Firewalls(*ports)


@contextlib.contextmanager
def _process(level: int, files: Path) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = int(listening.getsockname()[1])
    environ = {**os.environ, "PARANOIA": str(level), "RULES": str(files / RULES), "PORT": str(port)}
    with subprocess.Popen([sys.executable, str(PROGRAM)], env=environ) as process:
        try:
            yield port
        finally:
            process.kill()


def _answers(port: int) -> bool:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        client.request("GET", "/healthz")
        return client.getresponse().status == 200
    except OSError:
        return False
    finally:
        client.close()


def one_after_another(firewalls: Firewalls, requests: Sequence[Labelled]) -> dict[str, int]:
    """The cell of each request by its id, 4*label + 2*control + candidate, by a client of a few lines."""
    ports = (firewalls.control, firewalls.candidate)
    with ThreadPoolExecutor(len(ports)) as threads:
        control, candidate = threads.map(lambda port: _blocked(port, requests), ports)
    return {
        each.request_id: 4 * each.attack + 2 * control[each.request_id] + candidate[each.request_id]
        for each in requests
    }


def _blocked(port: int, requests: Sequence[Labelled]) -> Mapping[str, bool]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    found = {}
    for each in requests:
        headers = {**each.headers, "x-request-id": each.request_id}
        client.request("GET", each.target, headers=headers)
        answer = client.getresponse()
        answer.read()
        found[each.request_id] = {200: False, 403: True}[answer.status]
    client.close()
    return found
