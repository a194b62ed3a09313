"""What clusters share of a machine: names are claimed, kernel settings outlive them all unchanged."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from cluster import host
from cluster.config import Config
from cluster.console import Console
from cluster.errors import PreconditionError

PANIC = "kernel/panic"


@pytest.fixture
def console() -> Console:
    """A console that nobody reads."""
    return Console(io.StringIO())


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of its own, and one of its kernel settings."""
    monkeypatch.setattr(host, "CLAIMS", tmp_path / "claims")
    monkeypatch.setattr(host, "KERNEL_SETTINGS", tmp_path / "sys")
    monkeypatch.setattr(host, "BOOT_ID", tmp_path / "boot_id")
    (tmp_path / "boot_id").write_text("first boot")
    for name in host.SYSCTLS:
        path = tmp_path / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("0\n")
    return tmp_path / "sys" / PANIC


def cluster(name: str, cache: str = "/c") -> Config:
    """A cluster's settings."""
    return Config(name, Path(cache))


def test_settings_are_restored_with_the_last_cluster(setting: Path, console: Console) -> None:
    """The second cluster finds changed values; the original ones come back when both have ended, in any order."""
    host.claim(cluster("one"), console)
    setting.write_text("10")  # kubelet
    host.claim(cluster("two"), console)
    host.release(cluster("one"), console)
    assert setting.read_text() == "10"
    host.release(cluster("two"), console)
    assert setting.read_text() == "0"


def test_releasing_twice_changes_nothing(setting: Path, console: Console) -> None:
    """What somebody set after the last cluster is theirs."""
    host.claim(cluster("one"), console)
    host.release(cluster("one"), console)
    setting.write_text("5")
    host.release(cluster("one"), console)
    assert setting.read_text() == "5"


@pytest.mark.usefixtures("setting")
def test_name_in_use_from_another_folder_is_refused(console: Console) -> None:
    """The message names the folder."""
    host.claim(cluster("one", "/c"), console)
    with pytest.raises(PreconditionError, match="runs from /c/clusters/one"):
        host.claim(cluster("one", "/d"), console)


def test_claims_end_with_the_boot(setting: Path, console: Console, tmp_path: Path) -> None:
    """After a reboot the name is free and the settings are what the new boot made them."""
    host.claim(cluster("one", "/c"), console)
    (tmp_path / "boot_id").write_text("second boot")
    setting.write_text("7")
    host.claim(cluster("one", "/d"), console)
    host.release(cluster("one", "/d"), console)
    assert setting.read_text() == "7"
