"""One real Prometheus for each module."""

import threading
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from chaffinch_operator.ports.prometheus import HttpPrometheus
from cluster.apiserver import free_ports
from cluster.build import Cache
from cluster.config import Config
from support.real_prometheus import CONFIG, Exporter, start


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    """The exporter, serving."""
    with Exporter() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def address(exporter: Exporter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prometheus that scrapes the exporter."""
    cache = Cache.of(Config.from_env().cache)
    if not cache.has("prometheus"):
        pytest.skip("no prometheus: make cluster-build")
    folder, port = tmp_path_factory.mktemp("prometheus"), free_ports(1)[0]
    config = folder / "prometheus.yml"
    config.write_text(CONFIG.format(port=exporter.server_port))
    process = start(cache.program("prometheus", "prometheus"), config, folder, port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
async def prometheus(address: str) -> AsyncIterator[HttpPrometheus]:
    """Our port to it."""
    async with aiohttp.ClientSession() as session:
        yield HttpPrometheus(address, session=session)
