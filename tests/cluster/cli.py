"""The command line: `python -m cluster COMMAND`, with `tests/` as the working folder."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cluster import environment, lifecycle, status, teardown
from cluster.app_image import build_image, import_archive
from cluster.config import ADDONS, Config, parse_addons
from cluster.console import Console
from cluster.errors import ClusterError
from cluster.recipes import RECIPES

EXIT_ERROR = 1
EXIT_NOT_READY = 3
EXIT_INTERRUPTED = 130
ENVIRONMENT = """environment:
  CHAFFINCH_CLUSTER  name of the cluster, its node and its network namespace (chaffinch)
  CHAFFINCH_CACHE    folder of built components and of the clusters' data (~/.cache/chaffinch)
  CHAFFINCH_ADDONS   add-ons of `up`, separated by commas (all)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors that we foresaw are told in one line, not by a traceback."""
    options = parser().parse_args(arguments)
    console = Console()
    try:
        return int(options.run(options, Config.from_env(), console) or 0)
    except ClusterError as error:
        console.say(f"error: {error}")
        return EXIT_ERROR
    except KeyboardInterrupt:
        console.say("interrupted; run the same command again to go on")
        return EXIT_INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """All commands."""
    top = argparse.ArgumentParser(
        prog="python -m cluster",
        description="A real one-node Kubernetes cluster from pinned packages, in a network namespace of its own.",
        epilog=ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[..., object], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    up = command("up", run_up, "start the cluster, or what of it does not run; returns once it is really ready")
    up.add_argument("--addons", metavar="A,B", help=f"only these of {','.join(ADDONS)}")
    down = command("down", run_down, "end the cluster and leave nothing behind but its data")
    down.add_argument("--purge", action="store_true", help="remove its data, too; built components stay")
    show = command("status", run_status, f"what runs and what is not ready; exit status {EXIT_NOT_READY} unless ready")
    show.add_argument("-o", "--output", choices=("text", "json"), default="text")
    build = command("build", run_build, "build components into the cache")
    build.add_argument("names", nargs="*", metavar="NAME", help=f"of {' '.join(RECIPES)}; default: all")
    command("env", run_env, 'shell exports: eval "$(python -m cluster env)"; $CHAFFINCH_INSIDE kubectl get nodes')
    inside = command("exec", run_exec, "run a command inside the cluster's network: exec -- kubectl get pods -A")
    inside.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    for name, run, text in (
        ("restart", run_restart, "stop a component and start it again"),
        ("kill", run_kill, "end a component by SIGKILL; `up` or `restart` bring it back"),
    ):
        command(name, run, text).add_argument("component", help="such as apiserver, etcd, kubelet, containerd")
    _add_image_commands(command("image", run_image_build, "bring images into the cluster"))
    return top


def _add_image_commands(image: argparse.ArgumentParser) -> None:
    actions = image.add_subparsers(title="commands", required=True, metavar="COMMAND")
    build = actions.add_parser("build", help="build an image from a Containerfile and import it; cached")
    build.add_argument("containerfile", type=Path)
    build.add_argument("tag", help="such as localhost/app:1; not `latest`")
    build.add_argument("--context", type=Path, help="default: the folder of the Containerfile")
    build.set_defaults(run=run_image_build)
    load = actions.add_parser("import", help="import a docker-archive or OCI archive")
    load.add_argument("archive", type=Path)
    load.set_defaults(run=run_image_import)


def run_up(options: argparse.Namespace, config: Config, console: Console) -> None:
    """`up`."""
    addons = config.addons if options.addons is None else parse_addons(options.addons.split(","))
    lifecycle.up(config.with_addons(addons), console)
    console.say(f"cluster {config.name} is ready: export KUBECONFIG={config.kubeconfig}")


def run_down(options: argparse.Namespace, config: Config, console: Console) -> None:
    """`down`."""
    teardown.down(config, purge=options.purge, console=console)


def run_status(options: argparse.Namespace, config: Config, console: Console) -> int:
    """`status`."""
    found = status.status(config.with_addons(lifecycle.addons_of(config)))
    _print(json.dumps(found.as_json(), indent=1) if options.output == "json" else found.as_text())
    return 0 if found.ready else EXIT_NOT_READY


def run_build(options: argparse.Namespace, config: Config, console: Console) -> None:
    """`build`."""
    lifecycle.build(config, options.names or list(RECIPES), console)


def run_env(options: argparse.Namespace, config: Config, console: Console) -> None:
    """`env`."""
    _print(environment.exports(config))


def run_exec(options: argparse.Namespace, config: Config, console: Console) -> None:
    """`exec`: becomes the command, so that signals and the exit status are the command's own."""
    argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    if not argv:
        raise ClusterError("exec needs a command: exec -- kubectl get nodes")
    if not config.network_namespace.exists():
        raise ClusterError(f"cluster {config.name} does not run: run `python -m cluster up`")
    sys.stdout.flush()
    os.execvpe(
        config.command_prefix[0], [*config.command_prefix, *argv], {**os.environ, **environment.settings(config)}
    )


def run_restart(options: argparse.Namespace, config: Config, console: Console) -> None:
    """`restart`."""
    lifecycle.restart(config, options.component, console)


def run_kill(options: argparse.Namespace, config: Config, console: Console) -> None:
    """`kill`."""
    lifecycle.kill(config, options.component, console)


def run_image_build(options: argparse.Namespace, config: Config, console: Console) -> None:
    """`image build`."""
    context = options.context or options.containerfile.absolute().parent
    build_image(config, options.containerfile, options.tag, context, console)


def run_image_import(options: argparse.Namespace, config: Config, console: Console) -> None:
    """`image import`."""
    import_archive(config, options.archive, console)


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
