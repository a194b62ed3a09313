"""Whether this machine can carry a cluster: checked before anything is changed, each refusal with the way out."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from cluster import cgroups
from cluster.command import reaching_registries, run, succeeds
from cluster.console import Console
from cluster.errors import PreconditionError
from cluster.versions import DEBIAN_PACKAGES

GIGABYTE = 10**9
COLD_DISK_GIGABYTES = 12
WARM_DISK_GIGABYTES = 3
MEMORY_GIGABYTES = 6
KIND = "or use CLUSTER=kind where a Docker engine runs, or CLUSTER=current with a cluster of your own"
SUPPORTED = "supported: root on x86-64 Debian 12 (or a like system with apt), cgroup v1 or hybrid"
BRIDGE_FILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


@dataclass(frozen=True, slots=True)
class Machine:
    """The facts that decide."""

    system: str
    architecture: str
    user: int
    network_namespaces: bool
    file_systems: frozenset[str]
    bridge_filter: bool
    missing_controllers: frozenset[str]
    apt: bool
    memory_bytes: int
    free_disk_bytes: int

    @classmethod
    def present(cls, cache: Path) -> Machine:
        """Look at the machine that we are on."""
        linux = platform.system() == "Linux"
        cache.mkdir(parents=True, exist_ok=True)
        return cls(
            system=platform.system(),
            architecture=platform.machine(),
            user=os.geteuid(),
            network_namespaces=Path("/proc/self/ns/net").exists(),
            file_systems=frozenset(file_systems(Path("/proc/filesystems").read_text())) if linux else frozenset(),
            bridge_filter=BRIDGE_FILTER.exists() or succeeds(["modprobe", "br_netfilter"]),
            missing_controllers=frozenset(cgroups.missing_controllers(cgroups.mounted()) if linux else ()),
            apt=shutil.which("apt-get") is not None,
            memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            free_disk_bytes=shutil.disk_usage(cache).free,
        )


def file_systems(text: str) -> list[str]:
    """The file systems in the text of /proc/filesystems."""
    return [line.split()[-1] for line in text.splitlines() if line.strip()]


def check(machine: Machine, *, cold: bool) -> None:
    """Raise PreconditionError for the first thing that is missing; `cold`: there is something to build."""
    need_disk = COLD_DISK_GIGABYTES if cold else WARM_DISK_GIGABYTES
    refusals: list[tuple[bool, str, str]] = [
        (machine.system != "Linux", f"this is {machine.system}, the local cluster needs Linux", KIND),
        (machine.architecture != "x86_64", f"no recipes for {machine.architecture}; {SUPPORTED}", KIND),
        (machine.user != 0, "the local cluster needs root", f"run it with sudo -E, {KIND}"),
        (not machine.network_namespaces, "the kernel has no network namespaces", f"CONFIG_NET_NS=y, {KIND}"),
        ("overlay" not in machine.file_systems, "the kernel has no overlayfs", f"modprobe overlay, {KIND}"),
        (not machine.bridge_filter, "the kernel has no br_netfilter", f"modprobe br_netfilter, {KIND}"),
        (
            bool(machine.missing_controllers),
            f"cgroup v1 lacks {', '.join(sorted(machine.missing_controllers))} (cgroup v2 alone is not supported)",
            f"boot with systemd.unified_cgroup_hierarchy=0, {KIND}",
        ),
        (not machine.apt, f"no apt-get; {SUPPORTED}", KIND),
        (
            machine.memory_bytes < MEMORY_GIGABYTES * GIGABYTE,
            f"{machine.memory_bytes / GIGABYTE:.1f} GB of memory, {MEMORY_GIGABYTES} needed",
            f"use a larger machine, {KIND}",
        ),
        (
            machine.free_disk_bytes < need_disk * GIGABYTE,
            f"{machine.free_disk_bytes / GIGABYTE:.1f} GB free on the disk of the cache, {need_disk} needed",
            "free some, or set CHAFFINCH_CACHE to a folder on another disk",
        ),
    ]
    for refused, problem, fix in refusals:
        if refused:
            raise PreconditionError(problem, fix)


def check_for_build(machine: Machine) -> None:
    """The part of `check` that building alone asks for: no root, no kernel features."""
    check(
        replace(
            machine,
            user=0,
            network_namespaces=True,
            file_systems=frozenset({"overlay"}),
            bridge_filter=True,
            missing_controllers=frozenset(),
        ),
        cold=True,
    )


def installed_packages() -> set[str]:
    """The Debian packages that are installed."""
    lines = run(["dpkg-query", "-W", "-f=${Package} ${db:Status-Status}\n"]).splitlines()
    return {line.split()[0] for line in lines if line.endswith(" installed")}


def install_packages(console: Console, wanted: Iterable[str] = DEBIAN_PACKAGES) -> None:
    """Install the Debian packages that are missing; refresh the list of packages only if apt does not know one."""
    installed = installed_packages()
    missing = [package for package in wanted if package not in installed]
    if not missing:
        return
    if os.geteuid():
        raise PreconditionError(f"missing: {', '.join(missing)}", f"sudo apt-get install {' '.join(missing)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with console.step(f"install {' '.join(missing)}"):
        install = reaching_registries(["apt-get", "install", "-yq", "--no-install-recommends", *missing])
        if succeeds(install, env=quiet):
            return
        run(reaching_registries(["apt-get", "update", "-q"]), env=quiet)
        run(install, env=quiet)
