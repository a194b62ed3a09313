"""A whole cluster with Chaffinch's kinds and rights, an operator process per module, shops to release in.

The cluster is the one that CLUSTER and CHAFFINCH_CLUSTER name (make cluster-up). Sessions may share it: operators and
namespaces have names of their own.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from cluster import ClusterError, Config, connect
from support import sample
from support.kubectl import Kubectl
from support.operator import Operator, install, without_deployed_operator
from support.rollouts import Grounds, Shop, Street

NAMESPACES = 14


@pytest.fixture(scope="session")
def cluster() -> Iterator[Grounds]:
    """The cluster, with Chaffinch installed but for the operator's Deployment."""
    config = Config.from_env()
    if config.platform == "local" and not config.network_namespace.exists():
        pytest.skip(f"cluster {config.name} does not run: make cluster-up CHAFFINCH_CLUSTER={config.name}")
    try:
        access = connect(config)
    except ClusterError as error:
        pytest.skip(f"cluster {config.name} cannot be used: {error}")
    kubectl = Kubectl(access)
    access.build_image(sample.CONTAINERFILE, sample.IMAGE, sample.FOLDER)
    access.load_image(sample.IMAGE)
    install(kubectl)
    with access.reach("monitoring", "prometheus", 9090) as prometheus, without_deployed_operator(kubectl):
        yield Grounds(access, kubectl, access.gateway_address, prometheus)


@pytest.fixture(scope="module")
def operator(cluster: Grounds, request: pytest.FixtureRequest) -> Iterator[Operator]:
    """An operator that leads and watches this module's namespaces only."""
    stem = f"e2e-{request.path.stem.removeprefix('test_').replace('_', '-')[:20]}-{secrets.token_hex(3)}"
    process = Operator(cluster.access, [f"{stem}-{number}" for number in range(NAMESPACES)])
    try:
        yield process.start().wait_ready()
    finally:
        process.remove()


@pytest.fixture(scope="module")
def street(cluster: Grounds, operator: Operator) -> Iterator[Street]:
    """Shops of this module; removed at its end, while the operator still runs."""
    made = Street(cluster, operator)
    yield made
    made.close()


@pytest.fixture
def shop(street: Street) -> Shop:
    """A shop at rest, in a namespace that no other test uses."""
    return street.open()
