"""How tests and the demo reach a cluster, whichever it is: the local one, kind, or the present kube context.

`CLUSTER=local` (the default): this package's own. Addresses of Services are reachable from inside the network namespace
only, so run the whole test session there: `python -m cluster exec -- pytest ...`.
`CLUSTER=kind`: made with kind and Docker. It has no add-ons: install a Gateway API implementation with a Gateway
`gateway-system/public`, metrics-server, and Services `monitoring/prometheus:9090` and `monitoring/alertmanager:9093`
yourself, as the manifests here do, whose images only the local cluster has. Not run so far: no Docker engine where this
was written.
`CLUSTER=current`: the context that kubectl uses now, after asking; with the same expectations.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cluster import environment
from cluster.app_image import build_image
from cluster.command import run
from cluster.config import Config, Platform
from cluster.console import Console
from cluster.errors import ClusterError
from cluster.forward import forwarded_port
from cluster.images import ImageStore
from cluster.lifecycle import up

CONSENT = "CHAFFINCH_CLUSTER_YES"
LOADER = "CHAFFINCH_LOAD_IMAGE"
Runner = Callable[[list[str]], str]


class Images(Protocol):
    """Brings images into a cluster."""

    def build(self, containerfile: Path, tag: str, context: Path) -> None:
        """Build `tag`."""

    def load(self, tag: str) -> None:
        """Make `tag` usable for pods."""


@dataclass(frozen=True, slots=True)
class Access:
    """A cluster that may be used.

    Commands run as `[*command_prefix, "kubectl", ...]` with `settings` added to the environment.
    """

    platform: Platform
    kubeconfig: Path
    context: str
    command_prefix: list[str]
    settings: dict[str, str]
    images: Images

    def build_image(self, containerfile: Path, tag: str, context: Path | None = None) -> None:
        """Build an image from a Containerfile; `load_image` brings it into the cluster."""
        self.images.build(containerfile, tag, context or containerfile.absolute().parent)

    def load_image(self, tag: str) -> None:
        """Make an image that was built here usable for pods."""
        self.images.load(tag)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl against this cluster and return its output."""
        return run([*self.command_prefix, "kubectl", *self._target(), *arguments], env=self.settings, stdin=stdin)

    @property
    def gateway_address(self) -> str:
        """The address in the public Gateway's status; outside the local cluster's network use `reach` instead."""
        path = "jsonpath={.status.addresses[0].value}"
        return self.kubectl("get", "gateway", "public", "--namespace=gateway-system", "--output", path)

    @contextmanager
    def reach(self, namespace: str, service: str, port: int) -> Iterator[str]:
        """`host:port` of a Service while the block runs: its own address, or a forwarded port on loopback."""
        if self.platform == "local":
            path = "jsonpath={.spec.clusterIP}"
            yield f"{self.kubectl('get', 'service', service, '--namespace', namespace, '--output', path)}:{port}"
            return
        command = ["kubectl", *self._target(), "port-forward", f"--namespace={namespace}", f"service/{service}"]
        with forwarded_port(command, port, self.settings) as address:
            yield address

    def _target(self) -> list[str]:
        return [f"--kubeconfig={self.kubeconfig}", f"--context={self.context}"]


@dataclass(frozen=True, slots=True)
class LocalImages:
    """buildah and containerd of the local cluster."""

    config: Config
    console: Console

    def build(self, containerfile: Path, tag: str, context: Path) -> None:
        """Build and import at once; nothing is done when nothing changed."""
        build_image(self.config, containerfile, tag, context, self.console)

    def load(self, tag: str) -> None:
        """It was imported when it was built: only check."""
        if tag not in ImageStore(self.config).tags():
            raise ClusterError(f"no image {tag}: build it with `python -m cluster image build CONTAINERFILE {tag}`")


@dataclass(frozen=True, slots=True)
class DockerImages:
    """Docker builds; `loader` is the command that takes the tag as its last argument."""

    loader: tuple[str, ...]
    runner: Runner = run

    def build(self, containerfile: Path, tag: str, context: Path) -> None:
        """Build with Docker; the base image comes from where its engine finds it."""
        self.runner(["docker", "build", f"--file={containerfile}", f"--tag={tag}", str(context)])

    def load(self, tag: str) -> None:
        """Bring it to the cluster's nodes."""
        if not self.loader:
            raise ClusterError(
                f"{tag} must get to the nodes of your cluster: set {LOADER} to a command that takes the tag as its last"
                ' argument, such as "minikube image load" or "docker push"'
            )
        self.runner([*self.loader, tag])


def connect(
    config: Config | None = None,
    *,
    console: Console | None = None,
    environ: Mapping[str, str] = os.environ,
    runner: Runner = run,
    ask: Callable[[str], bool] | None = None,
) -> Access:
    """The cluster that CLUSTER names, started if it is one that we may start."""
    config = config or Config.from_env(environ)
    console = console or Console()
    if config.platform == "local":
        return connect_local(config, console)
    if config.platform == "kind":
        return connect_kind(config, console, runner)
    return connect_current(environ, runner, ask or ask_on_terminal)


def connect_local(config: Config, console: Console) -> Access:
    """The cluster of this package, brought up if needed."""
    up(config, console)
    return Access(
        platform="local",
        kubeconfig=config.kubeconfig,
        context=config.name,
        command_prefix=list(config.command_prefix),
        settings=environment.settings(config),
        images=LocalImages(config, console),
    )


def connect_kind(config: Config, console: Console, runner: Runner) -> Access:
    """A kind cluster of our own name, made if there is none; its kubeconfig is kept apart from the user's."""
    kubeconfig = config.cache / "clusters" / f"kind-{config.name}.kubeconfig"
    kubeconfig.parent.mkdir(parents=True, exist_ok=True)
    if config.name in runner(["kind", "get", "clusters"]).split():
        runner(["kind", "export", "kubeconfig", f"--name={config.name}", f"--kubeconfig={kubeconfig}"])
    else:
        with console.step(f"kind create cluster {config.name}"):
            options = [f"--name={config.name}", f"--kubeconfig={kubeconfig}", "--wait=180s"]
            runner(["kind", "create", "cluster", *options])
    return Access(
        platform="kind",
        kubeconfig=kubeconfig,
        context=f"kind-{config.name}",
        command_prefix=[],
        settings={"KUBECONFIG": str(kubeconfig)},
        images=DockerImages(("kind", "load", "docker-image", f"--name={config.name}"), runner),
    )


def connect_current(environ: Mapping[str, str], runner: Runner, ask: Callable[[str], bool]) -> Access:
    """The present context; one that we did not make is refused unless the user agrees."""
    context = runner(["kubectl", "config", "current-context"]).strip()
    if environ.get(CONSENT) != "1" and not ask(f"Use the Kubernetes context {context!r}, and change things in it?"):
        raise ClusterError(f"context {context!r} was not made by this package: set {CONSENT}=1 to use it all the same")
    kubeconfig = environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    return Access(
        platform="current",
        kubeconfig=Path(kubeconfig),
        context=context,
        command_prefix=[],
        settings={"KUBECONFIG": kubeconfig},
        images=DockerImages(tuple(environ.get(LOADER, "").split()), runner),
    )


def ask_on_terminal(question: str) -> bool:
    """Ask; without a terminal the answer is no."""
    if not sys.stdin.isatty():
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
