"""A real Envoy with a port that copies requests to a collector and one that does not, in front of the same service."""

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from cluster.apiserver import free_ports
from cluster.build import Cache
from cluster.config import Config

_SECONDS = 30.0
_TYPES = "type.googleapis.com/envoy.extensions.filters"


@dataclass(frozen=True, slots=True)
class Envoy:
    """Its ports."""

    plain: int
    mirrored: int


@contextlib.asynccontextmanager
async def running(folder: Path, primary: int, mirror: int) -> AsyncIterator[Envoy]:
    """An Envoy in front of `primary`, which copies what comes to its second port to `mirror`."""
    cache = Cache.of(Config.from_env().cache)
    if not cache.has("envoy"):
        pytest.skip("no envoy: make cluster-build")
    plain, mirrored, admin = free_ports(3)
    file = folder / "envoy.json"
    file.write_text(json.dumps(_bootstrap({"plain": plain, "mirrored": mirrored}, admin, primary, mirror)))
    program = cache.program("envoy", "envoy")
    with (folder / "envoy.log").open("wb") as log:
        command = (program, "-c", file, "--concurrency", "1", "--use-dynamic-base-id")
        process = await asyncio.create_subprocess_exec(*command, stderr=log, stdout=subprocess.DEVNULL)
    try:
        await _ready(admin)
        yield Envoy(plain, mirrored)
    finally:
        process.terminate()
        await process.wait()


async def _ready(admin: int) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(_SECONDS):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"http://127.0.0.1:{admin}/ready") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.05)


def _bootstrap(ports: dict[str, int], admin: int, primary: int, mirror: int) -> dict[str, Any]:
    return {
        "admin": {"address": _address(admin)},
        "static_resources": {
            "listeners": [_listener(name, port, copies=name == "mirrored") for name, port in ports.items()],
            "clusters": [_cluster("primary", primary), _cluster("mirror", mirror)],
        },
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(name: str, port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(port)}}
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": assignment}


def _listener(name: str, port: int, *, copies: bool) -> dict[str, Any]:
    route: dict[str, Any] = {"cluster": "primary", "timeout": "15s"}
    if copies:
        route["request_mirror_policies"] = [{"cluster": "mirror"}]
    hosts = [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": route}]}]
    router = {"@type": f"{_TYPES}.http.router.v3.Router"}
    manager = {
        "@type": f"{_TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "route_config": {"name": name, "virtual_hosts": hosts},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {"name": name, "address": _address(port), "filter_chains": [chain]}
