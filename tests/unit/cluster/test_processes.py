"""How components are described, recognised, and what of them is found on a machine."""

from __future__ import annotations

import io
import json
import struct
import sys
from pathlib import Path

import pytest

from cluster import host, teardown
from cluster.addons import manifest, recipe
from cluster.build import Cache
from cluster.cli import parser
from cluster.command import run, succeeds
from cluster.components import Blueprint, Component
from cluster.config import ADDONS, Config
from cluster.console import Console
from cluster.deadline import wait_until
from cluster.environment import exports
from cluster.errors import ClusterError, CommandError, NotReadyError
from cluster.namespace import dns_query
from cluster.supervision import runs_program


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A cluster whose components seem to be built."""
    config = Config("demo", tmp_path)
    programs = {
        "k8s": ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet"],
        "etcd": ["etcd"],
        "tools": ["kubectl", "helm"],
    }
    for component, names in programs.items():
        folder = Cache.of(tmp_path).path(component) / "bin"
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).touch()
    return config


def flag(component: Component, name: str) -> list[str]:
    """The values of an option."""
    return [word.partition("=")[2] for word in component.command if word.startswith(f"--{name}=")]


def test_all_files_are_filled_in(config: Config) -> None:
    """No placeholder is left."""
    contents = [content for component in Blueprint(config).all() for _, content in component.files]
    assert len(contents) == 5
    assert not any("$" in content for content in contents)


def test_everything_written_lies_in_the_clusters_folder(config: Config) -> None:
    """So a purge removes it."""
    files = [file for component in Blueprint(config).all() for file, _ in component.files]
    assert all(file.is_relative_to(config.root) for file in files)


def test_network_plugin_config_is_json(config: Config) -> None:
    """The name of the network tells whose a pod's addresses are."""
    _, network = Blueprint(config).containerd().files
    assert json.loads(network[1])["name"] == "demo"


def test_kubelet_joins_the_clusters_cgroup(config: Config) -> None:
    """Pods are found and killed by it."""
    settings = dict(Blueprint(config).kubelet().files)
    assert any(f"cgroupRoot: /{config.cgroup}\n" in content for content in settings.values())


def test_apiserver_serves_what_its_certificate_says(config: Config) -> None:
    """Certificate and address come from one place."""
    assert flag(Blueprint(config).apiserver(), "advertise-address") == [host.NODE_ADDRESS]


def test_unknown_component_is_refused_with_the_known_ones(config: Config) -> None:
    """A typo is answered with the list."""
    with pytest.raises(ClusterError, match="known: etcd, containerd"):
        Blueprint(config).named("docker")


@pytest.mark.parametrize(
    ("arguments", "program", "found"),
    [
        (["/c/etcd-1/bin/etcd", "--data-dir=/x"], "etcd", True),
        (["/usr/bin/python3", "/tests/cluster/netpol.py"], "netpol.py", True),
        (["/usr/bin/containerd-shim-runc-v2", "-namespace"], "containerd", False),
        (["nsenter", "--net=/run/netns/demo", "--", "/c/bin/etcd"], "etcd", False),
        ([], "etcd", False),
    ],
    ids=["itself", "a script", "a name that only begins so", "not yet started", "a zombie"],
)
def test_component_is_recognised(arguments: list[str], program: str, found: bool) -> None:
    """By the file name of its program."""
    assert runs_program(arguments, program) is found


def test_manifests_are_filled_in() -> None:
    """Versions stand in versions.py only."""
    names = (
        "dns.yaml",
        "storage.yaml",
        "gateway.yaml",
        "prometheus.yaml",
        "alertmanager.yaml",
        "metrics/kustomization.yaml",
    )
    assert not any("${" in manifest(name) for name in names)


def test_addons_have_recipes_of_their_own() -> None:
    """Each is applied again only when it changed itself."""
    assert len({recipe(addon) for addon in ADDONS}) == len(ADDONS)


def test_exports_are_shell(config: Config) -> None:
    """A shell can evaluate them."""
    shell = f'{exports(config)}\nprintf %s "$KUBECONFIG|$CHAFFINCH_CLUSTER|$CHAFFINCH_INSIDE"'
    prefix = f"nsenter --net={config.network_namespace} --"
    assert run(["sh", "-c", shell]) == f"{config.kubeconfig}|demo|{prefix}"


def test_volumes_are_read_from_the_stores_files(tmp_path: Path) -> None:
    """Without a running store; each once."""
    folder = "/tmp/hostpath_pv/0123abcd-0123-4567-89ab-0123456789ab"
    (tmp_path / "member").mkdir()
    (tmp_path / "member" / "db").write_bytes(b"\0" + folder.encode() + b"\x12" + folder.encode() + b"/tmp/hostpath_pv/")
    assert teardown.volumes_in(tmp_path) == [Path(folder)]


def test_mounts_are_listed_deepest_first_and_only_ours() -> None:
    """A cluster whose name begins like ours keeps its mounts."""
    points = ("/c/demo/a", "/c/demo/a/b", "/c/demo-two/a", "/")
    table = "".join(f"1 2 0:1 / {point} rw - tmpfs tmpfs rw\n" for point in points)
    assert teardown.mounts_below(Path("/c/demo"), table) == ["/c/demo/a/b", "/c/demo/a"]


def test_cni_results_of_other_networks_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback's file of the same pod is ours, a network whose name begins like ours is not."""
    monkeypatch.setattr(teardown, "CNI_RESULTS", tmp_path)
    for name, network, namespace in (
        ("demo-1-eth0", "demo", "cni-aa"),
        ("cni-loopback-1-lo", "cni-loopback", "cni-aa"),
        ("demo-two-2-eth0", "demo-two", "cni-bb"),
    ):
        (tmp_path / name).write_text(f'{{"networkName":"{network}","netns":"/var/run/netns/{namespace}"}}')
    assert sorted(path.name for path, _ in teardown.cni_results("demo")) == ["cni-loopback-1-lo", "demo-1-eth0"]


def test_dns_query_asks_for_an_address() -> None:
    """One question, recursion desired, type A, class IN."""
    query = dns_query("a.bc")
    assert struct.unpack(">6H", query[:12])[1:3] == (0x0100, 1)
    assert query[12:] == b"\x01a\x02bc\x00\x00\x01\x00\x01"


def test_failed_command_tells_its_line_and_output() -> None:
    """Enough to run it by hand."""
    with pytest.raises(CommandError, match=r"status 3 from: sh -c 'echo why >&2; exit 3'\nwhy"):
        run(["sh", "-c", "echo why >&2; exit 3"])


def test_command_that_takes_too_long_fails() -> None:
    """A hanging program does not hang us."""
    assert not succeeds([sys.executable, "-c", "input()"], timeout=0) or not succeeds(["false"])


def test_deadline_tells_what_was_awaited() -> None:
    """And what is wrong still."""
    with pytest.raises(NotReadyError, match="spring not reached within 0 s because of snow"):
        wait_until(lambda: False, "spring", seconds=0, explain=lambda: "because of snow")


def test_steps_are_plain_lines_without_a_terminal() -> None:
    """A log file can be read."""
    stream = io.StringIO()
    with Console(stream).step("build etcd"):
        pass
    assert stream.getvalue() == "build etcd ...\nbuild etcd: ok 0.0 s\n"


def test_failed_step_says_so() -> None:
    """The line does not claim success."""
    stream = io.StringIO()
    with pytest.raises(ClusterError), Console(stream).step("build etcd"):
        raise ClusterError("no space")
    assert "failed after" in stream.getvalue()


@pytest.mark.parametrize(
    "arguments",
    [
        ["up", "--addons", "dns"],
        ["down", "--purge"],
        ["status", "-o", "json"],
        ["build", "k8s", "etcd"],
        ["env"],
        ["exec", "--", "kubectl", "get", "pods", "-A"],
        ["restart", "etcd"],
        ["kill", "apiserver"],
        ["image", "build", "Containerfile", "localhost/a:1", "--context", "."],
        ["image", "import", "a.tar"],
    ],
    ids=" ".join,
)
def test_command_lines_are_understood(arguments: list[str]) -> None:
    """Each command has a function."""
    assert callable(parser().parse_args(arguments).run)
