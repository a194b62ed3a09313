"""Removes what the tour made, and its cluster."""

import time

import cluster
from cluster.access import connect_local
from cluster.command import run
from cluster.config import Config
from cluster.console import Console
from demo import stage
from demo.display import Display
from demo.errors import TourError
from demo.settings import Settings
from support.kubectl import Kubectl, KubectlError

EXIT_FAILED = 1


def take_down(settings: Settings, *, keep_cluster: bool) -> int:
    """`down`; a local cluster keeps its data, so what the tour made is removed from it first."""
    display, config, console = Display(live=False), Config.from_env(), Console()
    started = time.monotonic()
    if config.platform == "local" and not config.network_namespace.exists():
        display.say(f"cluster {config.name} does not run: nothing to remove")
        return 0
    if config.platform == "kind" and not keep_cluster:
        run(["kind", "delete", "cluster", f"--name={config.name}"])
    elif not _emptied(settings, config, console, display) and (keep_cluster or config.platform == "current"):
        return EXIT_FAILED
    if config.platform == "local" and not keep_cluster:
        cluster.down(config, console=console)
    display.say(f"all removed after {time.monotonic() - started:.0f} s")
    return 0


def _emptied(settings: Settings, config: Config, console: Console, display: Display) -> bool:
    """Whether nothing of the tour is left in the cluster; why not is told."""
    access = connect_local(config, console) if config.platform == "local" else cluster.connect(config)
    kubectl = Kubectl(access)
    try:
        with display.step(f"namespace {settings.namespace}"):
            stage.remove_namespace(kubectl, settings.namespace)
        with display.step("operator"):
            stage.remove_operator(kubectl)
    except (TourError, KubectlError) as error:
        display.say(str(error))
        return False
    return True
