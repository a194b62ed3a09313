"""Manifests of the sample application, as a user would write them: Deployment, Service, CanaryRollout. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Object = dict[str, Any]

FOLDER = Path(__file__).resolve().parent / "sample_service"
CONTAINERFILE = FOLDER / "Containerfile"
IMAGE = "localhost/sample-service:dev"
PORT = 8080
ROLLOUTS = "canaryrollouts.chaffinch.dev"
_PRE_STOP_SECONDS = 3
_DEFAULT_STEPS = ((10, "15s"), (25, "15s"), (50, "15s"))


@dataclass(frozen=True, slots=True)
class Version:
    """What one version of the sample service is like."""

    name: str
    error_rate: float = 0.0
    slow_rate: float = 0.0
    delay_ms: int = 0
    image: str = ""
    """Default: the application's."""
    load: int = 0
    """Requests of each pod in a virtual minute, which passes in a second; 0: only what clients send."""
    noise: float = 0.0
    """Sigma of the log-normal noise on the error rate of each pod's virtual minutes."""
    seed: str = ""

    def environment(self) -> list[Object]:
        """As environment variables of the container."""
        values = {
            "VERSION": self.name,
            "ERROR_RATE": self.error_rate,
            "SLOW_RATE": self.slow_rate,
            "DELAY_MS": self.delay_ms,
        }
        if self.load:
            values |= {"LOAD": self.load, "NOISE": self.noise, "SEED": self.seed}
        return [{"name": name, "value": str(value)} for name, value in values.items()]


@dataclass(frozen=True, slots=True)
class App:
    """Where the sample application lives and what its objects are called."""

    namespace: str
    name: str = "shop"
    replicas: int = 4
    image: str = IMAGE

    @property
    def host(self) -> str:
        """Host name of its route; of its own per namespace, so that many share the Gateway."""
        return f"{self.name}.{self.namespace}.example"

    @property
    def labels(self) -> str:
        """Selector of its pods."""
        return f"app={self.name}"

    def namespace_object(self) -> Object:
        """Its namespace."""
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}

    def deployment(self, version: Version) -> Object:
        """The user's Deployment: no word about canaries in it."""
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": self._metadata(),
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": {"app": self.name}},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                "template": self._template(version),
            },
        }

    def service(self) -> Object:
        """The user's Service."""
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": self._metadata(),
            "spec": {"selector": {"app": self.name}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
        }

    def _metadata(self) -> Object:
        return {"name": self.name, "namespace": self.namespace}

    def _template(self, version: Version) -> Object:
        return {
            "metadata": {
                "labels": {"app": self.name},
                "annotations": {
                    "prometheus.io/scrape": "true",
                    "prometheus.io/port": str(PORT),
                    "prometheus.io/path": "/metrics",
                },
            },
            "spec": {
                "terminationGracePeriodSeconds": 20,
                "enableServiceLinks": False,
                "automountServiceAccountToken": False,
                "containers": [self._container(version)],
            },
        }

    def _container(self, version: Version) -> Object:
        return {
            "name": "app",
            "image": version.image or self.image,
            "imagePullPolicy": "IfNotPresent",
            "env": version.environment(),
            "ports": [{"name": "http", "containerPort": PORT}],
            "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
            # endpoints take a moment to leave; until then the pod goes on serving
            "lifecycle": {"preStop": {"sleep": {"seconds": _PRE_STOP_SECONDS}}},
            "resources": {"requests": {"cpu": "10m", "memory": "24Mi"}, "limits": {"memory": "128Mi"}},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "runAsNonRoot": True,
                "runAsUser": 65534,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
        }


def gateway_gates(*, safe_below: str, latency_threshold: str = "250ms") -> list[Object]:
    """The built-in gates at the gateway, the traffic split, and restarts."""
    return [
        {"name": "errors", "template": "EnvoyGatewayErrors", "safeBelow": safe_below},
        {"name": "latency", "template": "EnvoyGatewayLatency", "threshold": latency_threshold, "safeBelow": "0.05"},
        {"name": "split", "sampleRatio": {}},
        {"name": "restarts", "podRestarts": {"max": 0}},
    ]


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """How releases of the sample application are judged; quick, because scrapes here are a second apart."""

    steps: Sequence[tuple[int, str]] = _DEFAULT_STEPS
    interval: str = "5s"
    query_offset: str = "2s"
    warmup: str = "5s"
    gates: Sequence[Object] = field(default_factory=lambda: gateway_gates(safe_below="0.01"))
    alpha: str = "0.01"
    """Smaller than the default 0.05: a tour or a test should not see the false rollback in twenty that alpha allows."""
    prometheus: str = "http://prometheus.monitoring:9090"
    gateway: str = "public"
    gateway_namespace: str = "gateway-system"
    scale_down_delay_seconds: int = 5
    progress_deadline_seconds: int = 120

    def canary_rollout(self, app: App) -> Object:
        """The CanaryRollout of the application."""
        parent = {"name": self.gateway, "namespace": self.gateway_namespace}
        return {
            "apiVersion": "chaffinch.dev/v1alpha1",
            "kind": "CanaryRollout",
            "metadata": {"name": app.name, "namespace": app.namespace},
            "spec": {
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": app.name},
                "serviceRef": {"name": app.name, "port": 80},
                "trafficRouting": {"gatewayAPI": {"parentRefs": [parent], "hostnames": [app.host]}},
                "steps": [{"setWeight": weight, "minDuration": duration} for weight, duration in self.steps],
                "analysis": {
                    "interval": self.interval,
                    "queryOffset": self.query_offset,
                    "warmup": self.warmup,
                    "alpha": self.alpha,
                    "provider": {"prometheus": {"address": self.prometheus}},
                    "gates": list(self.gates),
                },
                "scaleDownDelaySeconds": self.scale_down_delay_seconds,
                "progressDeadlineSeconds": self.progress_deadline_seconds,
            },
        }
