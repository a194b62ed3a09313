"""An operator under test that the cluster's Alertmanager delivers to, and the way to let alerts fire there."""

import base64
import contextlib
import json
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from cluster import Access
from support.kubectl import Kubectl
from support.operator import NAMESPACE, Operator

SERVICE = "chaffinch-under-test"
"""Where Alertmanager delivers alerts of namespaces that begin with e2e- or bench-."""
ALERTS_PORT = 9095
_ADDRESS = (
    "import socket, sys\n"
    "with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:\n"
    "    s.connect((sys.argv[1], 9)); print(s.getsockname()[0])\n"
)
_POST = (
    "import sys, urllib.request\n"
    "for line in sys.stdin.buffer:\n"
    "    request = urllib.request.Request(sys.argv[1], line, {'Content-Type': 'application/json'})\n"
    "    print(urllib.request.urlopen(request, timeout=10).status, flush=True)\n"
)


@contextlib.contextmanager
def receiving_operator(access: Access, kubectl: Kubectl, namespaces: Sequence[str]) -> Iterator[Operator]:
    """An operator that leads, with a Service in the cluster that leads to it."""
    port = 20_000 + secrets.randbelow(10_000)
    with tempfile.TemporaryDirectory(prefix="chaffinch-token-") as folder:
        token = Path(folder) / "token"
        token.write_bytes(_token(kubectl))
        with access.reach("monitoring", "alertmanager", 9093) as alertmanager:
            environ = {
                "CHAFFINCH_ALERTS_PORT": str(port),
                "CHAFFINCH_ALERTS_TOKEN_FILE": str(token),
                "CHAFFINCH_ALERTMANAGER_URL": f"http://{alertmanager}",
            }
            operator = Operator(access, namespaces, environ=environ)
            try:
                kubectl.apply(*_service(_our_address(access, kubectl), port))
                yield operator.start().wait_ready()
            finally:
                operator.remove()
                kubectl("delete", f"--namespace={NAMESPACE}", "service,endpointslice", SERVICE, "--ignore-not-found")


class Alertmanager:
    """The cluster's, as Prometheus posts to it: one process for all posts, so that a post costs next to nothing."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._open = contextlib.ExitStack()
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        address = self._open.enter_context(self._access.reach("monitoring", "alertmanager", 9093))
        self._process = subprocess.Popen(
            [*self._access.command_prefix, sys.executable, "-c", _POST, f"http://{address}/api/v2/alerts"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=20)
        self._open.close()

    def fire(self, *alerts: Mapping[str, object]) -> float:
        """Post alerts; when that was done, in seconds since the epoch."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._turn:
            self._process.stdin.write(json.dumps(list(alerts)).encode() + b"\n")
            self._process.stdin.flush()
            assert self._process.stdout.readline() == b"200\n"
            return time.time()


def _token(kubectl: Kubectl) -> bytes:
    body = kubectl.get("secret", "chaffinch-alerts", "monitoring")
    assert body is not None, "the cluster's Alertmanager has no token: see tests/cluster/manifests/alertmanager.yaml"
    return base64.b64decode(body["data"]["token"])


def _our_address(access: Access, kubectl: Kubectl) -> str:
    """The address by which pods reach a process of ours: the one from which we would speak to their node."""
    path = "jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}"
    node = kubectl("get", "nodes", f"--output={path}").strip()
    command = [*access.command_prefix, sys.executable, "-c", _ADDRESS, node]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout.strip()


def _service(address: str, port: int) -> tuple[dict[str, object], dict[str, object]]:
    """A Service without a selector; nobody else looks after its endpoints."""
    meta = {"name": SERVICE, "namespace": NAMESPACE}
    return (
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"ports": [{"name": "alerts", "port": ALERTS_PORT}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**meta, "labels": {"kubernetes.io/service-name": SERVICE}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
            "ports": [{"name": "alerts", "port": port, "protocol": "TCP"}],
        },
    )
