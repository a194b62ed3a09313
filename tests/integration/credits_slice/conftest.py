"""An API server with CRDs and Roles, and a namespace for each test."""

import subprocess
from collections.abc import AsyncIterator

import pytest

from cluster.apiserver import ApiServer
from integration.credits_slice.world import ROOT, World, world


@pytest.fixture(scope="module")
def installed(api_with_crd: ApiServer) -> ApiServer:
    """CRDs and Roles."""
    kubectl = [str(api_with_crd.kubectl), f"--kubeconfig={api_with_crd.kubeconfig}"]
    files = [f"--filename={ROOT / 'manifests/base' / name}" for name in ("namespace.yaml", "rbac.yaml")]
    subprocess.run([*kubectl, "apply", "--server-side", *files], check=True, capture_output=True, timeout=60)
    return api_with_crd


@pytest.fixture
async def here(installed: ApiServer, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A namespace named after the test."""
    name = request.node.originalname.removeprefix("test_").replace("_", "-")[:50].strip("-")
    async with world(installed, name) as made:
        yield made
