"""The cluster's own cgroup in every hierarchy: says which processes are ours, and holds them all, whatever they fork.

Only cgroup v1, alone or as hybrid: Debian's containerd 1.6 with kubelet 1.36 was proven there and nowhere else.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
REQUIRED = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "pids")
SYSTEMD = "name=systemd"


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A mounted cgroup hierarchy; `controllers` is empty for cgroup v2."""

    path: Path
    controllers: frozenset[str]


def hierarchies(mountinfo: str) -> list[Hierarchy]:
    """The cgroup mounts in the text of a mountinfo file."""
    found = []
    for line in mountinfo.splitlines():
        mount, _, kind = line.partition(" - ")
        fields, kinds = mount.split(), kind.split()
        if kinds[0] == "cgroup":
            options = kinds[2].split(",")
            found.append(Hierarchy(Path(fields[4]), frozenset(options) & {*REQUIRED, "blkio", "hugetlb", SYSTEMD}))
        elif kinds[0] == "cgroup2":
            found.append(Hierarchy(Path(fields[4]), frozenset()))
    return found


def mounted() -> list[Hierarchy]:
    """The hierarchies of this machine."""
    return hierarchies(MOUNTS.read_text())


def missing_controllers(found: Iterable[Hierarchy]) -> set[str]:
    """The v1 controllers that a cluster needs and the machine does not mount."""
    return {*REQUIRED, SYSTEMD} - {controller for hierarchy in found for controller in hierarchy.controllers}


@dataclass(frozen=True, slots=True)
class ClusterCgroup:
    """The cgroup `name` at the top of each hierarchy."""

    name: str

    def create(self) -> None:
        """Make the cgroup in each v1 hierarchy; a cpuset takes no process before it has CPUs and memory."""
        for hierarchy in mounted():
            if not hierarchy.controllers:
                continue
            folder = hierarchy.path / self.name
            folder.mkdir(exist_ok=True)
            if "cpuset" in hierarchy.controllers:
                for setting in ("cpuset.cpus", "cpuset.mems"):
                    if not (folder / setting).read_text().strip():
                        (folder / setting).write_text((hierarchy.path / setting).read_text())

    def entrances(self) -> list[str]:
        """The files that take the number of a process which shall belong to the cluster."""
        return [str(hierarchy.path / self.name / "cgroup.procs") for hierarchy in mounted() if hierarchy.controllers]

    def folders(self) -> list[Path]:
        """Where it exists; also in cgroup v2, where kubelet makes it unasked."""
        return [folder for hierarchy in mounted() if (folder := hierarchy.path / self.name).is_dir()]

    def own_processes(self) -> list[int]:
        """The processes directly in the cgroup: components and shims, not what runs in pods."""
        return sorted({number for folder in self.folders() for number in _numbers(folder / "cgroup.procs")})

    def all_processes(self) -> list[int]:
        """The processes of the whole tree, pods included."""
        files = (file for folder in self.folders() for file in folder.rglob("cgroup.procs"))
        return sorted({number for file in files for number in _numbers(file)})

    def kill(self) -> bool:
        """Send SIGKILL to all; whether there was anything to kill."""
        processes = self.all_processes()
        for number in processes:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        return bool(processes)

    def remove(self) -> None:
        """Remove the empty tree, the deepest folders first."""
        for folder in self.folders():
            for directory, _, _ in os.walk(folder, topdown=False):
                with suppress(FileNotFoundError):
                    Path(directory).rmdir()


def _numbers(file: Path) -> list[int]:
    try:
        return [int(number) for number in file.read_text().split()]
    except OSError:
        return []
