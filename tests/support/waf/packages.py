"""Debian packages that the example needs, unpacked into the cache and installed nowhere."""

import shutil
import tempfile
from pathlib import Path

from cluster.command import reaching_registries, run, succeeds
from cluster.console import Console
from cluster.lock import exclusive

NAMES = ("modsecurity-crs", "wfuzz", "fortunes", "fortunes-min")
"""Rules; strings of attacks; texts in English."""


def unpacked(cache: Path, console: Console) -> Path:
    """The folder that holds the files of all packages, as they would lie below `/`."""
    folder = cache / "waf"
    cache.mkdir(parents=True, exist_ok=True)
    with exclusive(cache / "waf.lock", console):
        if not folder.is_dir():
            with console.step(f"download {' '.join(NAMES)}"), tempfile.TemporaryDirectory(dir=cache) as made:
                _download(Path(made))
                target = Path(made) / "files"
                for archive in sorted(Path(made).glob("*.deb")):
                    run(["dpkg-deb", "--extract", str(archive), str(target)])
                shutil.move(target, folder)
    return folder


def _download(folder: Path) -> None:
    """Refresh the list of packages only if apt does not know one."""
    download = reaching_registries(["apt-get", "download", "-q", *NAMES])
    if not succeeds(["env", f"--chdir={folder}", *download]):
        run(reaching_registries(["apt-get", "update", "-q"]))
        run(download, cwd=folder)
