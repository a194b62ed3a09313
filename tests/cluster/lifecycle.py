"""Brings a cluster up, or brings back what of it is missing; safe to run at any time, after any interruption."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial

from cluster import host, pki, preconditions, teardown
from cluster.addons import Addons
from cluster.build import Cache
from cluster.cgroups import ClusterCgroup
from cluster.components import API_URL, Blueprint
from cluster.config import Addon, Config, parse_addons
from cluster.console import Console
from cluster.deadline import wait_until
from cluster.errors import ClusterError
from cluster.images import ImageStore, images_for
from cluster.kubectl import Kubectl
from cluster.lock import exclusive
from cluster.readiness import Readiness
from cluster.supervision import Supervisor

API_SECONDS = 60
RUNTIME_SECONDS = 20
NODE_SECONDS = 90
ADDON_SECONDS = 240
ADDONS_RECORD = "addons.txt"
READY_POLL_SECONDS = 0.5


def needed_components(config: Config) -> list[str]:
    """What must be built for this cluster, the slowest first."""
    images = dict.fromkeys(image.component for image in images_for(config.addons))
    return ["k8s", "etcd", "tools", *images]


def up(config: Config, console: Console | None = None) -> None:
    """Return once the cluster and its add-ons answer."""
    if config.platform != "local":
        raise ClusterError(f"CLUSTER={config.platform}: use cluster.connect(), `up` is for the local cluster")
    console = console or Console()
    with exclusive(config.lock_file, console):
        _prepare(config, console)
        kubelet_started = _start_components(config, console)
        for image in images_for(config.addons):
            ImageStore(config).provide(image, Cache.of(config.cache), console)
        readiness = Readiness(config)
        _await(partial(readiness.node, kubelet_started), "node ready", NODE_SECONDS, console)
        Addons(config, console).apply_missing()
        for addon in config.addons:
            _await(partial(readiness.addon, addon), f"{addon} ready", ADDON_SECONDS, console)


def build(config: Config, names: list[str], console: Console) -> None:
    """Build components into the cache, installing what that takes."""
    cache = Cache.of(config.cache)
    if all(map(cache.has, names)):
        return
    preconditions.check_for_build(preconditions.Machine.present(config.cache))
    preconditions.install_packages(console, packages_for_build(names))
    cache.build(names, console)


def packages_for_build(names: Iterable[str]) -> list[str]:
    """The Debian packages that building and running these takes."""
    packages = {"pause": ["gcc", "libc6-dev"], "python": ["eatmydata", "mmdebstrap"], "k8s": ["openssl"]}
    return [package for name in names for package in packages.get(name, [])]


def addons_of(config: Config) -> tuple[Addon, ...]:
    """The add-ons that the cluster was last brought up with."""
    record = config.root / ADDONS_RECORD
    return parse_addons(record.read_text().split(",")) if record.exists() else config.addons


def restart(config: Config, name: str, console: Console) -> None:
    """Stop a component and start it again."""
    with exclusive(config.lock_file, console):
        component = Blueprint(config).named(name)
        supervisor = Supervisor(config, console)
        supervisor.stop([component])
        supervisor.ensure(component)


def kill(config: Config, name: str, console: Console) -> None:
    """End a component as a crash would."""
    Supervisor(config, console).kill(Blueprint(config).named(name))


def _prepare(config: Config, console: Console) -> None:
    cache = Cache.of(config.cache)
    components = needed_components(config)
    cold = not all(map(cache.has, components))
    preconditions.check(preconditions.Machine.present(config.cache), cold=cold)
    preconditions.install_packages(console)
    cache.build(components, console)
    host.check_owner(config)
    if not host.processes_inside(config):
        # after a reboot or a removed namespace: what is left would only be in the way
        teardown.end(config, console)
    config.root.mkdir(parents=True, exist_ok=True)
    (config.root / ADDONS_RECORD).write_text(",".join(config.addons))
    host.claim(config, console)
    host.create_network(config)
    ClusterCgroup(config.cgroup).create()
    pki.create_cluster_pki(config.pki, config.name, API_URL, host.NODE_ADDRESS, host.API_ADDRESS)


def _start_components(config: Config, console: Console) -> float | None:
    """Start what does not run; when kubelet was started, if it was."""
    supervisor, blueprint = Supervisor(config, console), Blueprint(config)
    kubectl = Kubectl(config)
    waits: dict[str, tuple[Callable[[], bool], int]] = {
        "apiserver": (lambda: _answers(kubectl), API_SECONDS),
        "containerd": (ImageStore(config).answers, RUNTIME_SECONDS),
    }
    kubelet_started = None
    for component in blueprint.all():
        before = time.time()
        started = supervisor.ensure(component)
        if started and component.name == "kubelet":
            kubelet_started = before
        if component.name in waits:
            answers, seconds = waits[component.name]
            tail = partial(supervisor.log_tail, component)
            wait_until(answers, f"answer of {component.name}", seconds=seconds, explain=tail)
    return kubelet_started


def _answers(kubectl: Kubectl) -> bool:
    try:
        return kubectl("get", "--raw=/readyz") == "ok"
    except ClusterError:
        return False


def _await(check: Callable[[], str], what: str, seconds: int, console: Console) -> None:
    """Wait until `check` finds nothing wrong; say nothing when that is so at once."""
    if not (problem := check()):
        return

    def ready() -> bool:
        nonlocal problem
        problem = check()
        return not problem

    with console.step(what):
        wait_until(ready, what, seconds=seconds, poll=READY_POLL_SECONDS, explain=lambda: problem)
