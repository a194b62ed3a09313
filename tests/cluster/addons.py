"""What runs inside the cluster from the start: applied once per recipe, which a ConfigMap in the cluster remembers."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from string import Template

from cluster import host, versions
from cluster.build import Cache, key
from cluster.command import run
from cluster.config import Addon, Config
from cluster.console import Console
from cluster.errors import CommandError
from cluster.kubectl import Kubectl

MANIFESTS = Path(__file__).resolve().parent / "manifests"
RECORD = "cluster-addons"
RECORD_NAMESPACE = "kube-system"
GATEWAY_NAMESPACE = "envoy-gateway-system"
HASH_CHARACTERS = 16
DEFINITIONS_SECONDS = 60


def manifest(path: str) -> str:
    """A manifest of ours with the versions filled in."""
    return Template((MANIFESTS / path).read_text()).substitute(
        COREDNS=versions.COREDNS,
        ENVOY=versions.ENVOY,
        METRICS_SERVER=versions.METRICS_SERVER,
        PROMETHEUS=versions.PROMETHEUS,
        ALERTMANAGER=versions.ALERTMANAGER,
        DNS_ADDRESS=host.DNS_ADDRESS,
    )


def recipe(addon: Addon) -> str:
    """Changes when the add-on must be applied anew."""
    text = {
        "dns": lambda: manifest("dns.yaml"),
        "storage": lambda: manifest("storage.yaml"),
        "metrics": lambda: manifest("metrics/kustomization.yaml") + key("metrics"),
        "gateway": lambda: manifest("gateway.yaml") + key("gateway") + repr(CHART_SETTINGS),
        "prometheus": lambda: manifest("prometheus.yaml"),
        "alertmanager": lambda: manifest("alertmanager.yaml"),
    }[addon]()
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_CHARACTERS]


CHART_SETTINGS = ("topologyInjector.enabled=false",)  # one node has no topology; its webhook would slow every binding


class Addons:
    """Applies add-ons to one cluster."""

    def __init__(self, config: Config, console: Console) -> None:
        self._config = config
        self._console = console
        self._cache = Cache.of(config.cache)
        self._kubectl = Kubectl(config)

    def apply_missing(self) -> None:
        """Apply the configured add-ons that are missing or have another recipe."""
        applied = self.applied()
        appliers: Mapping[Addon, Callable[[], None]] = {
            "dns": lambda: self._kubectl.apply(manifest("dns.yaml")),
            "storage": lambda: self._kubectl.apply(manifest("storage.yaml")),
            "metrics": self._apply_metrics,
            "gateway": self._apply_gateway,
            "prometheus": lambda: self._kubectl.apply(manifest("prometheus.yaml")),
            "alertmanager": lambda: self._kubectl.apply(manifest("alertmanager.yaml")),
        }
        # the gateway first: it is the slowest to become ready
        for addon in sorted(self._config.addons, key=lambda name: name != "gateway"):
            if applied.get(addon) != recipe(addon):
                with self._console.step(f"apply {addon}"):
                    appliers[addon]()
                    self._record(addon)

    def applied(self) -> Mapping[str, str]:
        """The add-ons in the cluster, with the recipe of each."""
        try:
            data: Mapping[str, str] = self._kubectl.json("get", "configmap", RECORD, f"-n={RECORD_NAMESPACE}")["data"]
        except CommandError as error:
            if "NotFound" in error.output:
                return {}
            raise
        return data

    def _record(self, addon: Addon) -> None:
        data = {**self.applied(), addon: recipe(addon)}
        lines = "".join(f"  {name}: {value!r}\n" for name, value in data.items())
        name = f"{{name: {RECORD}, namespace: {RECORD_NAMESPACE}}}"
        self._kubectl.apply(f"apiVersion: v1\nkind: ConfigMap\nmetadata: {name}\ndata:\n{lines}")

    def _apply_metrics(self) -> None:
        folder = self._config.root / "addons" / "metrics"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._cache.path("metrics") / "manifests", folder / "base")
        (folder / "kustomization.yaml").write_text(manifest("metrics/kustomization.yaml"))
        self._kubectl.apply_folder(folder)

    def _apply_gateway(self) -> None:
        """Apply the rendered chart: a Helm release interrupted half-way would have to be repaired by hand."""
        self._kubectl.apply(f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {GATEWAY_NAMESPACE}}}\n")
        self._kubectl("delete", "job", f"-n={GATEWAY_NAMESPACE}", "--all", "--ignore-not-found")
        self._kubectl.apply(self._rendered_chart())
        definitions = ("gatewayclasses", "gateways", "httproutes")
        names = [f"crd/{name}.gateway.networking.k8s.io" for name in definitions]
        self._kubectl.wait("condition=Established", *names, seconds=DEFINITIONS_SECONDS)
        self._kubectl.wait(
            "condition=Established", "crd/envoyproxies.gateway.envoyproxy.io", seconds=DEFINITIONS_SECONDS
        )
        self._kubectl.apply(manifest("gateway.yaml"))

    def _rendered_chart(self) -> str:
        folder = self._config.root / "addons" / "gateway"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._cache.path("gateway") / "chart", folder)
        values = (folder / "values.tmpl.yaml").read_text()
        values = values.replace("${GatewayImage}", f"localhost/envoy-gateway:v{versions.ENVOY_GATEWAY}")
        (folder / "values.yaml").write_text(values.replace("${GatewayImagePullPolicy}", "IfNotPresent"))
        helm = str(self._cache.program("tools", "helm"))
        options = [f"--namespace={GATEWAY_NAMESPACE}", "--include-crds", *(f"--set={s}" for s in CHART_SETTINGS)]
        homes = {f"HELM_{kind}_HOME": str(self._config.root / "helm") for kind in ("CACHE", "CONFIG", "DATA")}
        return run([helm, "template", "eg", str(folder), *options], env=homes)
