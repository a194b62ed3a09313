"""Whether the cluster is REALLY ready: judged by what it answers now, not by what an earlier run left in etcd.

Every check returns what is wrong, or an empty string.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cluster import host
from cluster.config import Addon, Config
from cluster.errors import ClusterError
from cluster.images import ImageStore
from cluster.kubectl import Kubectl
from cluster.namespace import call_inside, dns_resolves, http_get

GATEWAY = ("public", "gateway-system")
PROMETHEUS_PORT = 9090
ALERTMANAGER_PORT = 9093
HTTP_OK = 200
LEASE_SECONDS = 40
API_NAME = "kubernetes.default.svc.cluster.local"
PODS: Mapping[Addon, tuple[tuple[str, str], ...]] = {
    "dns": (("kube-system", "k8s-app=kube-dns"),),
    "metrics": (("kube-system", "k8s-app=metrics-server"),),
    "gateway": (
        ("envoy-gateway-system", "control-plane=envoy-gateway"),
        ("envoy-gateway-system", "gateway.envoyproxy.io/owning-gateway-name=public"),
    ),
    "prometheus": (("monitoring", "app=prometheus"),),
    "alertmanager": (("monitoring", "app=alertmanager"),),
}


class Readiness:
    """Checks one cluster."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._kubectl = Kubectl(config)
        self._images = ImageStore(config)

    def node(self, since: float | None = None) -> str:
        """The node is Ready, and kubelet has renewed its lease lately, or after the time `since`."""
        fresh = datetime.now(UTC) - timedelta(seconds=LEASE_SECONDS)
        if since is not None:
            fresh = datetime.fromtimestamp(since, UTC)
        try:
            lease = self._kubectl.json("get", "lease", self._config.name, "-n=kube-node-lease")
            node = self._kubectl.json("get", "node", self._config.name)
        except ClusterError as error:
            return str(error)
        if datetime.fromisoformat(lease["spec"]["renewTime"]) < fresh:
            return "kubelet has not renewed its lease"
        return "" if has_condition(node["status"], "Ready") else "the node is not Ready"

    def addon(self, addon: Addon) -> str:
        """The add-on's pods run, and it does its work."""
        checks: Mapping[Addon, Callable[[], str]] = {
            "dns": self._dns,
            "storage": self._storage,
            "metrics": self._metrics,
            "gateway": self._gateway,
            "prometheus": self._prometheus,
            "alertmanager": self._alertmanager,
        }
        try:
            return self._pods(addon) or checks[addon]()
        except (ClusterError, KeyError, OSError) as error:
            return f"{type(error).__name__}: {error}"

    def gateway_address(self) -> str:
        """The cluster address of the public Gateway; empty while there is none."""
        name, namespace = GATEWAY
        status = self._kubectl.json("get", "gateway", name, f"-n={namespace}").get("status", {})
        addresses = status.get("addresses") or [{}]
        return str(addresses[0].get("value", "")) if has_condition(status, "Programmed") else ""

    def prometheus_address(self) -> str:
        """The cluster address of Prometheus."""
        return self._address("prometheus")

    def _address(self, service: str) -> str:
        return str(self._kubectl.json("get", "service", service, "-n=monitoring")["spec"]["clusterIP"])

    def _pods(self, addon: Addon) -> str:
        for namespace, labels in PODS.get(addon, ()):
            pods = self._kubectl.json("get", "pods", f"-n={namespace}", f"-l={labels}")["items"]
            running = self._images.running_containers()
            if not pods:
                return f"no pods with {labels} in {namespace}"
            for pod in pods:
                if problem := pod_problem(pod, running):
                    return f"{namespace}/{pod['metadata']['name']}: {problem}"
        return ""

    def _inside(self, function: Callable[[], Any]) -> Any:
        return call_inside(self._config.network_namespace, function)

    def _dns(self) -> str:
        answered = self._inside(lambda: dns_resolves(host.DNS_ADDRESS, API_NAME))
        return "" if answered else f"CoreDNS does not resolve {API_NAME}"

    def _storage(self) -> str:
        self._kubectl("get", "storageclass", "standard")
        return ""

    def _metrics(self) -> str:
        nodes = self._kubectl.raw("/apis/metrics.k8s.io/v1beta1/nodes")["items"]
        return "" if nodes else "metrics.k8s.io has no figures yet"

    def _gateway(self) -> str:
        address = self.gateway_address()
        if not address:
            return "the Gateway is not programmed"
        status, _ = self._inside(lambda: http_get(address, 80, "/"))
        return "" if status else f"no answer from the Gateway at {address}"

    def _prometheus(self) -> str:
        address = self.prometheus_address()
        status, _ = self._inside(lambda: http_get(address, PROMETHEUS_PORT, "/-/ready"))
        if status != HTTP_OK:
            return f"Prometheus at {address} is not ready"
        _, body = self._inside(lambda: http_get(address, PROMETHEUS_PORT, "/api/v1/targets?state=active"))
        expected = {"monitoring", *(["envoy-gateway-system"] if "gateway" in self._config.addons else [])}
        return target_problem(json.loads(body or "{}"), expected)

    def _alertmanager(self) -> str:
        address = self._address("alertmanager")
        status, _ = self._inside(lambda: http_get(address, ALERTMANAGER_PORT, "/-/ready"))
        return "" if status == HTTP_OK else f"Alertmanager at {address} is not ready"


def has_condition(status: Mapping[str, Any], kind: str) -> bool:
    """Whether a condition of the kind is True."""
    return any(item["type"] == kind and item["status"] == "True" for item in status.get("conditions") or [])


def pod_problem(pod: Mapping[str, Any], running: set[str]) -> str:
    """Why a pod is not ready; `running` are the containers that really have a process.

    After a cold start the API still says what was true before: then a container is said to run that does not.
    """
    status = pod["status"]
    if status.get("phase") in ("Succeeded", "Failed"):
        return ""
    if not has_condition(status, "Ready"):
        return f"not Ready ({status.get('phase')})"
    for container in status.get("containerStatuses", []):
        if container.get("containerID", "").rpartition("/")[2] not in running:
            return f"container {container['name']} does not run"
    return ""


def target_problem(answer: Mapping[str, Any], expected: set[str]) -> str:
    """Which of the expected namespaces' scrape targets are missing or down, after Prometheus' list of targets."""
    targets = answer.get("data", {}).get("activeTargets", [])
    ours = [target for target in targets if target["labels"].get("namespace") in expected]
    down = [target["scrapeUrl"] for target in ours if target["health"] != "up"]
    missing = expected - {target["labels"]["namespace"] for target in ours}
    if missing:
        return f"no scrape target in {', '.join(sorted(missing))}"
    return f"scrape targets down: {', '.join(down)}" if down else ""


def now() -> float:
    """The time in the form that `Readiness.node` takes."""
    return time.time()
