"""What of the cluster runs and what is wrong with the rest."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from cluster.build import Cache
from cluster.components import Blueprint
from cluster.config import Config
from cluster.console import Console
from cluster.errors import ClusterError
from cluster.lifecycle import needed_components
from cluster.readiness import Readiness
from cluster.supervision import Supervisor


@dataclass(frozen=True, slots=True)
class Status:
    """A snapshot; `problems` maps the node and each add-on that is not ready to the reason."""

    name: str
    state: str
    kubeconfig: str
    network_namespace: str
    processes: dict[str, int | None]
    problems: dict[str, str]
    gateway_address: str
    prometheus_address: str

    @property
    def ready(self) -> bool:
        """Whether all of it works."""
        return self.state == "ready"

    def as_json(self) -> dict[str, object]:
        """For `-o json`."""
        return asdict(self)

    def as_text(self) -> str:
        """For people."""
        running = [f"{name} ({number})" for name, number in self.processes.items() if number]
        dead = [name for name, number in self.processes.items() if not number]
        lines = [
            f"cluster     {self.name}: {self.state}",
            f"kubeconfig  {self.kubeconfig}",
            f"namespace   {self.network_namespace}",
            f"gateway     {self.gateway_address or '-'}",
            f"prometheus  {self.prometheus_address or '-'}",
            f"running     {', '.join(running) or '-'}",
            *([f"stopped     {', '.join(dead)}"] if dead else []),
            *(f"not ready   {name}: {problem}" for name, problem in self.problems.items()),
        ]
        return "\n".join(lines)


def status(config: Config) -> Status:
    """Look at the cluster without changing anything."""
    cache = Cache.of(config.cache)
    built = all(map(cache.has, needed_components(config)))
    processes = _processes(config) if built else {}
    problems: dict[str, str] = {}
    addresses = ("", "")
    if processes.get("apiserver"):
        readiness = Readiness(config)
        checks: dict[str, str] = {"node": readiness.node()}
        checks.update((addon, readiness.addon(addon)) for addon in config.addons)
        problems = {name: problem for name, problem in checks.items() if problem}
        addresses = _addresses(config, readiness)
    return Status(
        name=config.name,
        state=overall(built=built, processes=processes, problems=problems),
        kubeconfig=str(config.kubeconfig),
        network_namespace=str(config.network_namespace),
        processes=processes,
        problems=problems,
        gateway_address=addresses[0],
        prometheus_address=addresses[1],
    )


def overall(*, built: bool, processes: dict[str, int | None], problems: dict[str, str]) -> str:
    """One word for the whole."""
    if not built:
        return "not built"
    if not any(processes.values()):
        return "down"
    return "ready" if all(processes.values()) and not problems else "degraded"


def _processes(config: Config) -> dict[str, int | None]:
    supervisor = Supervisor(config, Console())
    return {component.name: supervisor.find(component) for component in Blueprint(config).all()}


def _addresses(config: Config, readiness: Readiness) -> tuple[str, str]:
    try:
        gateway = readiness.gateway_address() if "gateway" in config.addons else ""
        prometheus = readiness.prometheus_address() if "prometheus" in config.addons else ""
    except ClusterError:
        return "", ""
    return gateway, f"{prometheus}:9090" if prometheus else ""
