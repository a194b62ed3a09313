"""Runs Python functions inside a cluster's network namespace, so that readiness is judged by real requests.

A thread enters the namespace and ends with the call; the other threads of the process stay where they are.
"""

from __future__ import annotations

import ctypes
import http.client
import os
import socket
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

CLONE_NEWNET = 0x40000000
REQUEST_SECONDS = 3
DNS_PORT = 53
DNS_REPLY_BYTES = 512
RESPONSE_CODE_MASK = 0x0F

Result = TypeVar("Result")


def call_inside(namespace: Path, function: Callable[[], Result]) -> Result:
    """Call `function` in a thread that has entered the network namespace."""

    def enter_and_call() -> Result:
        with namespace.open("rb") as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(namespace))
        return function()

    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(enter_and_call).result()


def http_get(host: str, port: int, path: str) -> tuple[int, bytes]:
    """The status and body of a response; status 0 when there was none."""
    connection = http.client.HTTPConnection(host, port, timeout=REQUEST_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def dns_query(name: str) -> bytes:
    """A DNS question for the IPv4 addresses of `name`."""
    header = struct.pack(">6H", 1, 0x0100, 1, 0, 0, 0)
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return header + labels + b"\0" + struct.pack(">2H", 1, 1)


def dns_resolves(server: str, name: str) -> bool:
    """Whether the DNS server answers with at least one record."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        query.settimeout(REQUEST_SECONDS)
        try:
            query.sendto(dns_query(name), (server, DNS_PORT))
            reply = query.recv(DNS_REPLY_BYTES)
        except OSError:
            return False
    flags: int
    answers: int
    flags, _, answers = struct.unpack(">3H", reply[2:8])
    return answers > 0 and flags & RESPONSE_CODE_MASK == 0
