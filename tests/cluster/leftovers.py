"""What a cluster can leave behind on the machine, one line each: taken before `up` and after `down`, and compared.

What belongs to other clusters that run at the same time is left out; they go on changing meanwhile. So are the kernel
settings: they are restored with the last cluster, whichever that is (host.release).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cluster import host
from cluster.cgroups import MOUNTS, mounted
from cluster.components import VOLUMES
from cluster.config import Config
from cluster.supervision import command_line
from cluster.teardown import (
    CNI_RESULTS,
    CONTAINER_LOGS,
    NAMESPACES,
    RUNC_STATE,
    cni_results,
    shim_bundles,
    shim_socket,
    volumes_in,
)

SHIM_SOCKETS = Path("/run/containerd/s")
INTERFACES = Path("/sys/class/net")


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another cluster on this machine, and what of the shared places is its own."""

    name: str
    root: Path

    def owned(self) -> Iterator[Path]:
        """Paths in shared places."""
        yield NAMESPACES / self.name
        for result, namespace in cni_results(self.name):
            yield result
            yield NAMESPACES / namespace
        for bundle in shim_bundles(self.root):
            yield RUNC_STATE / bundle.name
            if socket := shim_socket(bundle):
                yield socket
        yield from volumes_in(self.root / "etcd")
        yield from (link for link in CONTAINER_LOGS.glob("*") if str(link.readlink()).startswith(f"{self.root}/"))
        yield from (hierarchy.path / f"cluster-{self.name}" for hierarchy in mounted())


def neighbours(config: Config) -> list[Neighbour]:
    """The other clusters that run."""
    claims = host.CLAIMS.glob("*.claim")
    return [Neighbour(claim.stem, Path(claim.read_text())) for claim in claims if claim.stem != config.name]


def snapshot(config: Config) -> set[str]:
    """Everything that this cluster could have left, and the like of it that nobody owns."""
    others = neighbours(config)
    owned = {path for neighbour in others for path in neighbour.owned()}
    folders = (NAMESPACES, SHIM_SOCKETS, RUNC_STATE, CNI_RESULTS, CONTAINER_LOGS, VOLUMES)
    files = {path for folder in folders if folder.is_dir() for path in folder.iterdir()}
    cgroups = {path for hierarchy in mounted() for path in hierarchy.path.glob("cluster-*")}
    return {
        *(f"file {path}" for path in files - owned),
        *(f"cgroup {path}" for path in cgroups - owned),
        *(f"mount {point}" for point in _mounts(config) if Path(point) not in owned),
        *(f"process {text}" for text in _processes(config)),
        *(f"interface {path.name}" for path in INTERFACES.iterdir()),
    }


def _mounts(config: Config) -> list[str]:
    points = (line.split()[4] for line in MOUNTS.read_text().splitlines())
    return [point for point in points if point.startswith((f"{config.root}/", f"{NAMESPACES}/", "/var/lib/"))]


def _processes(config: Config) -> Iterator[str]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            ours = f"/{config.cgroup}" in (folder / "cgroup").read_text()
        except OSError:
            continue
        arguments = command_line(int(folder.name))
        if ours or any(str(config.root) + "/" in argument for argument in arguments):
            yield f"{folder.name} {' '.join(arguments)[:200]}"
