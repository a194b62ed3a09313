"""Volumes of the local cluster are opened to pods that are not root."""

import stat
from pathlib import Path

from cluster.volumes import hand_over


def test_folders_that_only_root_may_use_are_opened_once(tmp_path: Path) -> None:
    """What has another mode was given it by somebody, and stays."""
    fresh, chosen = tmp_path / "fresh", tmp_path / "chosen"
    fresh.mkdir()
    fresh.chmod(0o750)
    chosen.mkdir()
    chosen.chmod(0o700)
    (tmp_path / "link").symlink_to(chosen)
    assert hand_over(tmp_path) == [fresh]
    assert [stat.S_IMODE(each.stat().st_mode) for each in (fresh, chosen)] == [0o777, 0o700]
    assert hand_over(tmp_path) == []


def test_a_folder_that_is_not_there_yet_is_no_error(tmp_path: Path) -> None:
    """The provisioner makes it with the first volume."""
    assert hand_over(tmp_path / "none") == []
