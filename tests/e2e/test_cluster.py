"""The local cluster keeps its promises: it comes up from any state, works, and leaves nothing behind.

On a second cluster of its own, with fewer add-ons, beside the main one; what is built is shared through the cache.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from string import Template

import pytest

from cluster import CommandError, Config, down, host, up
from cluster.build import Cache
from cluster.components import Blueprint
from cluster.config import parse_addons
from cluster.console import Console
from cluster.deadline import wait_until
from cluster.images import PYTHON_TAG
from cluster.kubectl import Kubectl
from cluster.leftovers import neighbours, snapshot
from cluster.lifecycle import kill, needed_components
from cluster.status import status
from cluster.supervision import Supervisor

TESTS = Path(__file__).resolve().parents[1]
NAME = "chaffinch-second"
SCALE_SECONDS = 90
VOLUME_SECONDS = 60
LEFT_SECONDS = 20
PROOFS = TESTS / "cluster" / "proofs"

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture(scope="module")
def config() -> Config:
    """A second cluster, whose components must be built already: building takes a quarter of an hour."""
    second = replace(Config.from_env(), name=NAME, platform="local", addons=parse_addons(["dns", "storage", "metrics"]))
    if os.geteuid() != 0:
        pytest.skip("the local cluster needs root")
    if not all(map(Cache.of(second.cache).has, needed_components(second))):
        pytest.skip("components are not built: make cluster-build")
    return second


@pytest.fixture(scope="module")
def before(config: Config) -> set[str]:
    """The machine before the second cluster."""
    down(config, purge=True)
    return snapshot(config)


@pytest.fixture(scope="module")
def running(config: Config, before: set[str]) -> Iterator[Config]:
    """The second cluster, running."""
    up(config)
    yield config
    down(config, purge=True)


@pytest.fixture
def kubectl(running: Config) -> Kubectl:
    """The second cluster's kubectl."""
    return Kubectl(running)


def process_numbers(config: Config) -> dict[str, int | None]:
    """The process of each component."""
    supervisor = Supervisor(config, Console())
    return {component.name: supervisor.find(component) for component in Blueprint(config).all()}


def command(config: Config, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the tool as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "cluster", *arguments],
        cwd=TESTS,
        env={**os.environ, "CHAFFINCH_CLUSTER": config.name, "CHAFFINCH_CACHE": str(config.cache)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def proof(name: str) -> str:
    """A manifest of something to try."""
    return Template((PROOFS / name).read_text()).substitute(PYTHON=PYTHON_TAG)


def holds(check: Callable[[], bool]) -> Callable[[], bool]:
    """A condition that is false while kubectl fails."""

    def checked() -> bool:
        try:
            return check()
        except CommandError:
            return False

    return checked


def test_second_up_restarts_nothing(running: Config) -> None:
    """`up` on a running cluster leaves every process alone."""
    processes = process_numbers(running)
    up(running)
    assert process_numbers(running) == processes


def test_status_tells_ready_as_json(running: Config) -> None:
    """`status -o json` exits with zero and says ready."""
    found = command(running, "status", "-o", "json")
    assert (found.returncode, json.loads(found.stdout)["state"]) == (0, "ready")


def test_exec_runs_inside_the_cluster(running: Config) -> None:
    """`exec` gives the command the cluster's kubectl and returns its output."""
    found = command(running, "exec", "--", "kubectl", "get", "nodes", "-o=name")
    assert found.stdout == f"node/{running.name}\n"


def test_killed_apiserver_and_etcd_come_back(running: Config, kubectl: Kubectl) -> None:
    """After SIGKILL of the API server and the store, `up` brings both back with their data and restarts no other."""
    kubectl("create", "configmap", "kept", "--from-literal=answer=42")
    processes = process_numbers(running)
    for name in ("apiserver", "etcd"):
        kill(running, name, Console())
    assert status(running).state == "degraded"
    up(running)
    assert kubectl("get", "configmap", "kept", "-o=jsonpath={.data.answer}") == "42"
    survivors = process_numbers(running).items() & processes.items()
    assert len(survivors) == len(processes) - 2


def test_dynamic_volume_keeps_data(running: Config, kubectl: Kubectl) -> None:
    """A claim without a class gets a volume; what one pod writes, the next one reads."""
    kubectl.apply(proof("volume.yaml"))
    for pod in ("writer", "reader"):
        kubectl.wait("jsonpath={.status.phase}=Succeeded", f"pod/{pod}", seconds=VOLUME_SECONDS)
    assert kubectl("logs", "reader").strip() == "written"


def test_autoscaler_scales_up_under_load(running: Config, kubectl: Kubectl) -> None:
    """An HPA on CPU adds replicas to a busy Deployment."""
    kubectl.apply(proof("busy.yaml"))
    wait_until(
        holds(lambda: kubectl("get", "deployment", "busy", "-o=jsonpath={.status.replicas}") == "2"),
        "two replicas",
        seconds=SCALE_SECONDS,
        explain=lambda: kubectl("describe", "hpa", "busy"),
    )
    kubectl("delete", "hpa/busy", "deployment/busy", "--now")


def test_down_leaves_nothing_behind(running: Config, before: set[str]) -> None:
    """After `down --purge` the machine is as it was: processes, mounts, namespaces, cgroups, files."""
    assert snapshot(running) - before
    down(running, purge=True)

    def left() -> set[str]:
        return snapshot(running) - before

    # other clusters change meanwhile: what is theirs is known a moment later
    wait_until(lambda: not left(), "a clean machine", seconds=LEFT_SECONDS, explain=lambda: "\n".join(left()))
    assert not running.root.exists()


def test_last_cluster_restores_kernel_settings(running: Config) -> None:
    """Their saved values are kept exactly as long as any cluster runs."""
    down(running, purge=True)
    assert (host.CLAIMS / host.SAVED).exists() == bool(neighbours(running))
