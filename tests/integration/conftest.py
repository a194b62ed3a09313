"""One real API server with our CRD for all integration tests that need no other one."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.apiserver import ApiServer, available

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
    for arguments in (
        ("apply", "--server-side", "-k", ROOT / "crds"),
        ("wait", "--for=condition=Established", "crd/canaryrollouts.chaffinch.dev", "--timeout=30s"),
    ):
        subprocess.run(
            [api.kubectl, "--kubeconfig", api.kubeconfig, *arguments], check=True, capture_output=True, timeout=60
        )
    return api
