"""A machine that cannot carry a cluster is told why, and what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cluster.errors import PreconditionError
from cluster.preconditions import Machine, check, check_for_build, file_systems

GOOD = Machine(
    system="Linux",
    architecture="x86_64",
    user=0,
    network_namespaces=True,
    file_systems=frozenset({"ext4", "overlay"}),
    bridge_filter=True,
    missing_controllers=frozenset(),
    apt=True,
    memory_bytes=8 * 10**9,
    free_disk_bytes=20 * 10**9,
)


def test_good_machine_passes() -> None:
    """Nothing to say."""
    check(GOOD, cold=True)


@pytest.mark.parametrize(
    ("machine", "problem", "fix"),
    [
        (replace(GOOD, system="Darwin"), "this is Darwin", "CLUSTER=kind"),
        (replace(GOOD, architecture="aarch64"), "no recipes for aarch64", "CLUSTER=kind"),
        (replace(GOOD, user=1000), "needs root", "sudo -E"),
        (replace(GOOD, network_namespaces=False), "no network namespaces", "CONFIG_NET_NS"),
        (replace(GOOD, file_systems=frozenset({"ext4"})), "no overlayfs", "modprobe overlay"),
        (replace(GOOD, bridge_filter=False), "no br_netfilter", "modprobe br_netfilter"),
        (replace(GOOD, missing_controllers=frozenset({"cpu"})), "lacks cpu", "unified_cgroup_hierarchy=0"),
        (replace(GOOD, apt=False), "no apt-get", "CLUSTER=kind"),
        (replace(GOOD, memory_bytes=4 * 10**9), "4.0 GB of memory, 6 needed", "larger machine"),
        (replace(GOOD, free_disk_bytes=5 * 10**9), "5.0 GB free", "CHAFFINCH_CACHE"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_lack_is_refused_with_its_fix(machine: Machine, problem: str, fix: str) -> None:
    """The message names the problem and the way out."""
    with pytest.raises(PreconditionError) as refusal:
        check(machine, cold=True)
    assert problem in refusal.value.problem
    assert fix in refusal.value.fix


def test_warm_start_needs_less_disk() -> None:
    """What is built already needs no room to build."""
    check(replace(GOOD, free_disk_bytes=5 * 10**9), cold=False)


def test_building_needs_neither_root_nor_kernel_features() -> None:
    """The API server of the integration tests runs as any user."""
    check_for_build(replace(GOOD, user=1000, bridge_filter=False, missing_controllers=frozenset({"cpu"})))


def test_building_needs_disk() -> None:
    """Room to compile is asked for in advance."""
    with pytest.raises(PreconditionError, match="GB free"):
        check_for_build(replace(GOOD, free_disk_bytes=10**9))


def test_file_systems_are_the_last_words() -> None:
    """The list marks those without a device."""
    assert file_systems("nodev\tproc\n\text4\nnodev\toverlay\n") == ["proc", "ext4", "overlay"]


def test_present_machine_can_be_looked_at(tmp_path: Path) -> None:
    """Looking changes nothing but that the cache folder exists."""
    machine = Machine.present(tmp_path / "cache")
    assert machine.memory_bytes > 0
