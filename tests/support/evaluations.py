"""A ShadowEvaluation for tests: two rule sets behind a Gateway, and clients of the control."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from cluster import Access
from cluster.command import run
from cluster.deadline import wait_until
from support.kubectl import Kubectl, Object
from support.ledgers import IMAGE, POSTGRES
from support.operator import REPOSITORY, Operator
from support.sample import RolloutPlan

SAMPLE = REPOSITORY / "manifests" / "samples" / "shadow.yaml"
NAME = "waf-rules"
KIND = "shadowevaluations.chaffinch.dev"
GATEWAY = {"name": RolloutPlan().gateway, "namespace": RolloutPlan().gateway_namespace}
_VERSION = Path(__file__).with_name("blocking_version.py")
_CLIENT = (
    "import sys, json, time, http.client\n"
    "host, port, name = sys.argv[1:4]\n"
    "found, slowest, link = {}, 0.0, http.client.HTTPConnection(host, int(port), timeout=10)\n"
    "for path, label, times in json.loads(sys.argv[4]):\n"
    "    for _ in range(times):\n"
    "        began = time.monotonic()\n"
    "        link.request('GET', path, headers={'host': name, 'x-label': label})\n"
    "        answer = link.getresponse(); answer.read()\n"
    "        slowest = max(slowest, time.monotonic() - began)\n"
    "        found[answer.status] = found.get(answer.status, 0) + 1\n"
    "print(json.dumps({'statuses': found, 'slowest': slowest}))\n"
)


def operator_of(access: Access, namespaces: list[str]) -> Operator:
    """An operator whose evaluations run the image of this checkout."""
    environ = {"CHAFFINCH_SHADOW_IMAGE": IMAGE, "CHAFFINCH_POSTGRES_IMAGE": POSTGRES}
    return Operator(access, namespaces, environ=environ)


class Evaluation:
    """One ShadowEvaluation in a namespace of its own."""

    def __init__(self, access: Access, kubectl: Kubectl, gateway: str, namespace: str) -> None:
        self.access, self.kubectl, self.namespace = access, kubectl, namespace
        self.gateway, self.host = gateway, f"waf.{namespace}.example"

    def open(self) -> None:
        """Namespace, both versions, and a route to the control."""
        self.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        script = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": self._meta("version")}
        self.kubectl.apply({**script, "data": {_VERSION.name: _VERSION.read_text()}})
        self.version("waf", "old,both")
        self.version("waf-next", "old,both,new")
        route = {"parentRefs": [GATEWAY], "hostnames": [self.host], "rules": [self._rule()]}
        kind = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
        self.kubectl.apply({**kind, "metadata": self._meta("waf"), "spec": route})
        for name in ("waf", "waf-next"):
            self.kubectl.wait("condition=Available", f"deployment/{name}", self.namespace, seconds=90)

    def version(self, name: str, words: str, fault: str = "none") -> None:
        """A Deployment and a Service of a version."""
        env = [{"name": "BLOCKS", "value": words}, {"name": "FAULT", "value": fault}]
        container = {
            "name": "waf",
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python", f"/version/{_VERSION.name}"],
            "env": env,
            "ports": [{"containerPort": 8080}],
            "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
            "volumeMounts": [{"name": "version", "mountPath": "/version"}],
        }
        pod = {
            "containers": [container],
            "volumes": [{"name": "version", "configMap": {"name": "version"}}],
            "terminationGracePeriodSeconds": 1,
            "enableServiceLinks": False,
        }
        labels = {"app": name}
        body = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
        self.kubectl.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": self._meta(name), "spec": body})
        service = {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}
        self.kubectl.apply({"apiVersion": "v1", "kind": "Service", "metadata": self._meta(name), "spec": service})

    def apply(self, **spec: Any) -> None:
        """The sample, with these fields instead."""
        rights, body = yaml.safe_load_all(SAMPLE.read_text())
        for each in (rights, {**body, "spec": {**body["spec"], **spec}}):
            self.kubectl.apply({**each, "metadata": {**each["metadata"], "namespace": self.namespace}})

    def send(self, *requests: tuple[str, str, int]) -> Object:
        """Requests through the Gateway as (path, label, times): statuses, and the slowest answer in seconds."""
        host, _, port = self.gateway.removeprefix("http://").partition(":")
        client = [sys.executable, "-c", _CLIENT, host, port or "80", self.host, json.dumps(requests)]
        found: Object = json.loads(run([*self.access.command_prefix, *client]))
        return found

    def body(self, kind: str = KIND, name: str = NAME) -> Object:
        """An object; empty when there is none."""
        return self.kubectl.get(kind, name, self.namespace) or {}

    def status(self) -> Object:
        """Status of the evaluation."""
        found: Object = self.body().get("status") or {}
        return found

    def wait(self, reason: str, seconds: float = 90.0) -> Object:
        """Wait for a reason about the present generation; the status then."""

        def reached() -> bool:
            body = self.body()
            status = body.get("status") or {}
            seen = status.get("observedGeneration") == body.get("metadata", {}).get("generation")
            return bool(seen and (status.get("lastDecision") or {}).get("reason") == reason)

        wait_until(reached, f"{NAME} to be {reason}", seconds=seconds, explain=self.explain)
        return self.status()

    def filters(self) -> list[Any]:
        """Filters of the route's rule; empty where it has no such field."""
        return list(self.body("httproute", "waf")["spec"]["rules"][0].get("filters", []))

    def explain(self) -> str:
        """What is known, for a message."""
        return json.dumps(self.status())[:3000]

    def _rule(self) -> Object:
        return {"backendRefs": [{"name": "waf", "port": 80}]}

    def _meta(self, name: str) -> Object:
        return {"name": name, "namespace": self.namespace}
