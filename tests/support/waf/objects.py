"""Manifests of the example, as a user would write them: two firewalls, a route, evaluations. Pure."""

from typing import Any

import yaml

from support.operator import REPOSITORY
from support.waf.requests import ATTACKS, CLASS

Object = dict[str, Any]
IMAGE = "localhost/chaffinch-waf:dev"
CONTROL, CANDIDATE = NAMES = ("waf", "waf-next")
HOST = "waf.demo-shadow.example"
SHARDS = 2
_PARANOIA = {CONTROL: 1, CANDIDATE: 2}
_CLAIM = "requests"
_HYPOTHESIS = {"design": "FixedN", "prevalence": "0.01"}
"""Looked at once, at one attack in a hundred requests."""
_SAMPLE = REPOSITORY / "manifests" / "samples" / "shadow.yaml"
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "runAsUser": 65534,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def shop(namespace: str) -> list[Object]:
    """The namespace with the operator's rights in it, both firewalls, and a route to the control."""
    rights = next(yaml.safe_load_all(_SAMPLE.read_text()))
    rights["metadata"]["namespace"] = namespace
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        rights,
        *(make(namespace, name) for name in NAMES for make in (_deployment, _service)),
        _route(namespace),
    ]


def live(namespace: str, name: str, percent: int) -> Object:
    """An evaluation of copies of live requests."""
    mirror = {"mode": "Adopt", "httpRouteRef": {"name": CONTROL}, "percent": percent}
    labels = {"source": {"header": "x-label"}}
    spec = {"traffic": {"mirror": mirror}, "labels": labels, "hypothesis": _HYPOTHESIS, "activeDeadline": "1h"}
    return _evaluation(namespace, name, spec)


def recording(namespace: str, count: int) -> list[Object]:
    """A volume, and a Job that writes the requests into it."""
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    container = {
        **_container("record"),
        "args": ["python", "-m", "support.waf.plain", "record", "/requests", str(count)],
        "volumeMounts": [{"name": _CLAIM, "mountPath": "/requests"}],
    }
    pod = {
        **_pod(container),
        "restartPolicy": "Never",
        "securityContext": {"fsGroup": 65534},
        "volumes": [{"name": _CLAIM, "persistentVolumeClaim": {"claimName": _CLAIM}}],
    }
    meta = {"namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {**meta, "name": _CLAIM}, "spec": claim},
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {**meta, "name": "record"},
            "spec": {"backoffLimit": 3, "template": {"spec": pod}},
        },
    ]


def recorded(namespace: str, name: str) -> Object:
    """An evaluation of the recorded requests."""
    replay = {"source": {"volume": {"claimName": _CLAIM}}, "shards": SHARDS}
    return _evaluation(
        namespace, name, {"traffic": {"replay": replay}, "hypothesis": _HYPOTHESIS, "parallelism": SHARDS}
    )


def _evaluation(namespace: str, name: str, spec: Object) -> Object:
    versions = {"control": CONTROL, "candidate": CANDIDATE}
    compare = {"strata": {"header": CLASS, "values": [*ATTACKS]}}
    return {
        "apiVersion": "chaffinch.dev/v1alpha1",
        "kind": "ShadowEvaluation",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            **{key: {"serviceRef": {"name": each, "port": 80}} for key, each in versions.items()},
            "compare": compare,
            **spec,
        },
    }


def _deployment(namespace: str, name: str) -> Object:
    container = {
        **_container(name),
        "env": [{"name": "PARANOIA", "value": str(_PARANOIA[name])}],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 5},
    }
    template = {"metadata": {"labels": {"app": name}}, "spec": _pod(container)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template},
    }


def _pod(container: Object) -> Object:
    return {"automountServiceAccountToken": False, "enableServiceLinks": False, "containers": [container]}


def _container(name: str) -> Object:
    return {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": _RESTRICTED,
    }


def _service(namespace: str, name: str) -> Object:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": ports},
    }


def _route(namespace: str) -> Object:
    parent = {"name": "public", "namespace": "gateway-system"}
    rule = {"backendRefs": [{"name": CONTROL, "port": 80}]}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": CONTROL, "namespace": namespace},
        "spec": {"parentRefs": [parent], "hostnames": [HOST], "rules": [rule]},
    }
