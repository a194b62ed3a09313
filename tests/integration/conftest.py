"""One real API server with our CRD for all integration tests that need no other one."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.apiserver import ApiServer, available
from support.crd import wait_established

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def api() -> Iterator[ApiServer]:
    """An empty API server."""
    if not available():
        pytest.skip("no etcd and kube-apiserver: make cluster-build")
    with ApiServer() as server:
        yield server


@pytest.fixture(scope="session")
def api_with_crd(api: ApiServer) -> ApiServer:
    """The same one, with the CRD of CanaryRollout."""

    def kubectl(*arguments: str | Path) -> str:
        command = [api.kubectl, "--kubeconfig", api.kubeconfig, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    kubectl("apply", "--server-side", "-k", ROOT / "crds")
    wait_established(kubectl)
    return api
