"""The cgroup layout of a machine is read from its mounts."""

from __future__ import annotations

from pathlib import Path

from cluster.cgroups import REQUIRED, SYSTEMD, hierarchies, missing_controllers

HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
UNIFIED = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"


def test_hybrid_layout_has_all_controllers() -> None:
    """Controllers may share a mount."""
    found = hierarchies(HYBRID)
    assert found[0].path == Path("/sys/fs/cgroup/cpu,cpuacct")
    assert not missing_controllers(found)


def test_version_two_is_a_hierarchy_without_controllers() -> None:
    """Kubelet makes folders there, too, which must be removed."""
    assert hierarchies(HYBRID)[-1].controllers == frozenset()


def test_version_two_alone_lacks_all() -> None:
    """The layout of most new machines is not supported."""
    assert missing_controllers(hierarchies(UNIFIED)) == {*REQUIRED, SYSTEMD}
