"""Ends a cluster so that nothing is left: processes, mounts, namespaces, cgroups, sockets, links, kernel settings.

What stays is the data in the cluster's folder (unless purged): to it the next `up` looks like a start after a power
cut. Works on a cluster in any state, half-started and half-dead ones too: nothing here needs the API server.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from cluster import host
from cluster.build import Cache
from cluster.cgroups import MOUNTS, ClusterCgroup
from cluster.command import succeeds
from cluster.components import Blueprint
from cluster.config import Config
from cluster.console import Console
from cluster.deadline import wait_until
from cluster.lock import exclusive
from cluster.supervision import Supervisor

STOP_ORDER = (
    ("kubelet", "netpol", "volumes", "proxy", "scheduler", "controller-manager"),
    ("apiserver",),
    ("etcd", "containerd"),
)
KILL_SECONDS = 20
UNMOUNT_ROUNDS = 5
VOLUME = re.compile(rb"/tmp/hostpath_pv/[0-9a-f-]{36}")
CNI_RESULTS = Path("/var/lib/cni/results")
CNI_NAMESPACE = re.compile(r"/netns/(cni-[0-9a-f-]+)")
CONTAINER_LOGS = Path("/var/log/containers")
RUNC_STATE = Path("/run/containerd/runc/k8s.io")
NAMESPACES = Path("/run/netns")
EPHEMERAL = ("containerd/state", "containerd/ipam", "addons", "helm", "kube-cache")


def down(config: Config, *, purge: bool = False, console: Console | None = None) -> None:
    """End the cluster; `purge` also removes its data, volumes and certificates, but no built component."""
    console = console or Console()
    with exclusive(config.lock_file, console), console.step(f"down {config.name}"):
        host.check_owner(config)
        volumes = volumes_in(config.root / "etcd") if purge else []
        end(config, console)
        if purge:
            for path in [config.root, *volumes]:
                shutil.rmtree(path, ignore_errors=True)
    if purge:
        config.lock_file.unlink(missing_ok=True)


def end(config: Config, console: Console) -> None:
    """End what runs and remove what is not data."""
    _stop_components(config, console)
    cgroup = ClusterCgroup(config.cgroup)
    wait_until(lambda: not cgroup.kill(), "end of all processes in the cluster's cgroup", seconds=KILL_SECONDS)
    _remove_runtime_leftovers(config)
    _unmount(config.root)
    host.remove_network(config)
    cgroup.remove()
    host.release(config, console)
    for name in EPHEMERAL:
        shutil.rmtree(config.root / name, ignore_errors=True)


def volumes_in(etcd: Path) -> list[Path]:
    """The folders of dynamic volumes, read from the store's files: it need not run for that.

    They lie outside the cluster's folder, at a place that Kubernetes has fixed and that all clusters share.
    """
    found: set[bytes] = set()
    for file in etcd.rglob("*"):
        if file.is_file():
            found.update(VOLUME.findall(file.read_bytes()))
    return sorted(Path(os.fsdecode(path)) for path in found)


def mounts_below(root: Path, mountinfo: str) -> list[str]:
    """The mount points below `root`, the deepest first."""
    points = (line.split()[4] for line in mountinfo.splitlines())
    return sorted((point for point in points if point.startswith(f"{root}/")), reverse=True)


def _stop_components(config: Config, console: Console) -> None:
    if not Cache.of(config.cache).has("k8s"):
        return  # never started from this cache; the cgroup tells what runs anyhow
    supervisor, blueprint = Supervisor(config, console), Blueprint(config)
    for names in STOP_ORDER:
        supervisor.stop([blueprint.named(name) for name in names])


def _remove_runtime_leftovers(config: Config) -> None:
    """What containerd, the CNI plugins and kubelet keep outside the cluster's folder."""
    for bundle in shim_bundles(config.root):
        shutil.rmtree(RUNC_STATE / bundle.name, ignore_errors=True)
        if socket := shim_socket(bundle):
            socket.unlink(missing_ok=True)
    for result, namespace in cni_results(config.name):
        succeeds(["ip", "netns", "del", namespace])
        result.unlink(missing_ok=True)
    for link in CONTAINER_LOGS.glob("*"):
        if link.is_symlink() and str(link.readlink()).startswith(f"{config.root}/"):
            link.unlink()


def shim_bundles(root: Path) -> list[Path]:
    """The folders containerd keeps of running containers."""
    return list((root / "containerd" / "state" / "io.containerd.runtime.v2.task" / "k8s.io").glob("*"))


def shim_socket(bundle: Path) -> Path | None:
    """The socket of a container's shim; the containers of a pod share the one of its sandbox."""
    try:
        return Path((bundle / "address").read_text().removeprefix("unix://"))
    except OSError:
        return None


def cni_results(network: str) -> Iterator[tuple[Path, str]]:
    """The result files of a network's pods with the namespace of each; loopback's files name the same namespaces."""
    texts = {path: path.read_text(errors="replace") for path in CNI_RESULTS.glob("*")}
    own = {
        found[1]
        for path, text in texts.items()
        if path.name.startswith(f"{network}-") and f'"networkName":"{network}"' in text
        if (found := CNI_NAMESPACE.search(text))
    }
    for path, text in texts.items():
        found = CNI_NAMESPACE.search(text)
        if found and found[1] in own:
            yield path, found[1]


def _unmount(root: Path) -> None:
    for _ in range(UNMOUNT_ROUNDS):
        points = mounts_below(root, MOUNTS.read_text())
        if not points:
            return
        for point in points:
            succeeds(["umount", point])
    for point in mounts_below(root, MOUNTS.read_text()):
        succeeds(["umount", "--lazy", point])
