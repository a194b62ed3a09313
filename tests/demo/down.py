"""Removes what the tour made, and its cluster."""

import time

import cluster
from cluster.access import connect_local
from cluster.config import Config
from cluster.console import Console
from demo import stage
from demo.display import Display
from demo.errors import TourError
from demo.settings import Settings
from support.kubectl import Kubectl, KubectlError

EXIT_FAILED = 1


def take_down(settings: Settings, *, keep_cluster: bool) -> int:
    """`down`."""
    display, config = Display(live=False), Config.from_env()
    console = Console()
    if config.platform == "local" and not config.network_namespace.exists():
        display.say(f"cluster {config.name} does not run: nothing to remove")
        return 0
    started = time.monotonic()
    access = connect_local(config, console) if config.platform == "local" else cluster.connect(config)
    kubectl = Kubectl(access)
    try:
        with display.step(f"namespace {settings.namespace}"):
            stage.remove_namespace(kubectl, settings.namespace)
        with display.step("operator"):
            stage.remove_operator(kubectl)
    except (TourError, KubectlError) as error:
        display.say(str(error))
        if keep_cluster or config.platform != "local":
            return EXIT_FAILED
    if config.platform == "local" and not keep_cluster:
        cluster.down(config, console=console)
    display.say(f"all removed after {time.monotonic() - started:.0f} s")
    return 0
