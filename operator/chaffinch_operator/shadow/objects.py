"""The objects of one evaluation, as they are applied. Pure: spec and names in, plain dicts out."""

import hashlib
import json

from chaffinch_operator.children import postgres
from chaffinch_operator.children.database import SecretKeyRef
from chaffinch_operator.children.owner import Object, Owner
from chaffinch_operator.children.pods import pod_security, restricted, secret_volume
from chaffinch_operator.names import GROUP, LABEL_EVALUATION, child_name
from chaffinch_operator.schema import seconds
from chaffinch_operator.shadow import evaluation
from chaffinch_operator.shadow.model import DEFAULT_PARALLELISM, ShadowEvaluationSpec
from chaffinch_operator.shadow.snapshot import Snapshot

API_PORT, MIRROR_PORT, ADMIN_PORT = 8080, 8081, 9090
SERVICE_PORT = 80
"""Port of the Service that copies go to."""
ROLE = "shadow"
"""Role and database of the service in a managed PostgreSQL."""
FOLDER = "/etc/chaffinch-shadow"
REPLAY = "/replay"
SERVICE, MIGRATION, REPLAY_SHARD, CLEANUP = "service", "migration", "replay", "cleanup"
_GRACE_SECONDS, _PROGRESS_SECONDS = 40, 180
_SHARD_RETRIES = 6
_CLEANUP_SECONDS = 3600


def owner(snap: Snapshot) -> Owner:
    """The ShadowEvaluation as an owner of children."""
    return Owner("ShadowEvaluation", snap.name, snap.namespace, snap.uid, LABEL_EVALUATION)


def postgres_name(name: str) -> str:
    """Name of the managed database's StatefulSet, Service and Secret."""
    return postgres.name_of(name)


def token_name(name: str) -> str:
    """Name of the Secret with the API's token."""
    return child_name(name, "token")


def service_name(name: str) -> str:
    """Name of the Service that takes copies and answers questions."""
    return child_name(name, "mirror")


def deployment_name(name: str) -> str:
    """Name of the Deployment of the service."""
    return child_name(name, "shadow")


def replay_name(snap: Snapshot) -> str:
    """Name of the replay Job of the present generation."""
    return child_name(snap.name, f"replay-{snap.generation}")


def file_name(spec: ShadowEvaluationSpec, snap: Snapshot) -> str:
    """Name of the ConfigMap with the evaluation's file: another content is another object."""
    return child_name(snap.name, f"evaluation-{_short(evaluation.file(spec, snap))}")


def migration_name(spec: ShadowEvaluationSpec, snap: Snapshot) -> str:
    """Name of the migration Job: another version or database is another Job."""
    return child_name(
        snap.name, f"migrate-{_short(json.dumps([snap.image, dsn_ref(spec, snap.name).model_dump()], sort_keys=True))}"
    )


def dsn_ref(spec: ShadowEvaluationSpec, name: str) -> SecretKeyRef:
    """Where the address of the database is kept."""
    if spec.database.external is not None:
        return spec.database.external.dsn_secret_ref
    return SecretKeyRef(name=postgres_name(name), key="dsn")


def made_once(spec: ShadowEvaluationSpec, name: str) -> list[str]:
    """Names of the Secrets that are made once and never changed."""
    return [token_name(name), *([postgres_name(name)] if spec.database.managed is not None else [])]


def endpoint(namespace: str, name: str) -> str:
    """Base address of the API within the cluster."""
    return f"http://{service_name(name)}.{namespace}.svc:{API_PORT}"


def config_map(spec: ShadowEvaluationSpec, snap: Snapshot) -> Object:
    """The evaluation's file."""
    name = file_name(spec, snap)
    return {"metadata": owner(snap).metadata(name), "data": {"evaluation.json": evaluation.file(spec, snap)}}


def service(snap: Snapshot) -> Object:
    """Where copies go, and where questions are answered."""
    ports = [
        {"name": "mirror", "port": SERVICE_PORT, "targetPort": "mirror", "protocol": "TCP"},
        {"name": "api", "port": API_PORT, "targetPort": "api", "protocol": "TCP"},
    ]
    body = {"selector": owner(snap).selector(SERVICE), "ports": ports}
    return {"metadata": owner(snap).metadata(service_name(snap.name)), "spec": body}


def deployment(spec: ShadowEvaluationSpec, snap: Snapshot) -> Object:
    """The service: one pod, since copies of one request must meet. It is replaced when a Secret has changed."""
    own, name = owner(snap), deployment_name(snap.name)
    pod = _pod(spec, snap, _serve(snap))
    pod["terminationGracePeriodSeconds"] = _GRACE_SECONDS
    template = {
        "metadata": {
            "labels": {**own.labels(name), **own.selector(SERVICE)},
            "annotations": {f"{GROUP}/secrets": snap.secrets_digest},
        },
        "spec": pod,
    }
    return {
        "metadata": own.metadata(name),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": own.selector(SERVICE)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "progressDeadlineSeconds": _PROGRESS_SECONDS,
            "revisionHistoryLimit": 1,
            "template": template,
        },
    }


def migration(spec: ShadowEvaluationSpec, snap: Snapshot) -> Object:
    """The schema of this version."""
    name = migration_name(spec, snap)
    body = {"backoffLimit": 6, "activeDeadlineSeconds": 3600, "template": _job_pod(spec, snap, MIGRATION, ["migrate"])}
    return {"metadata": owner(snap).metadata(name), "spec": body}


def replay(spec: ShadowEvaluationSpec, snap: Snapshot) -> Object:
    """One pod a shard; a shard that is repeated goes on from its last batch. The spec must have a replay."""
    assert spec.traffic.replay is not None
    source = spec.traffic.replay.source
    template = _job_pod(spec, snap, REPLAY_SHARD, ["shard", "--shards", str(spec.shards)])
    pod = template["spec"]
    if source.config_map is not None:
        volume: Object = {"name": "replay", "configMap": {"name": source.config_map.name}}
    else:
        assert source.volume is not None
        claim = {"claimName": source.volume.claim_name, "readOnly": True}
        volume = {"name": "replay", "persistentVolumeClaim": claim}
    pod["volumes"].append(volume)
    pod["containers"][0]["volumeMounts"].append({"name": "replay", "mountPath": REPLAY, "readOnly": True})
    pod["containers"][0]["env"].append({"name": "CHAFFINCH_SHADOW_FOLDER", "value": REPLAY})
    body = {
        "completionMode": "Indexed",
        "completions": spec.shards,
        "parallelism": min(spec.parallelism or DEFAULT_PARALLELISM, spec.shards),
        "backoffLimitPerIndex": _SHARD_RETRIES,
        "activeDeadlineSeconds": max(int(seconds(spec.active_deadline)), 1),
        "template": template,
    }
    return {"metadata": owner(snap).metadata(replay_name(snap)), "spec": body}


def cleanup(spec: ShadowEvaluationSpec, snap: Snapshot) -> Object:
    """Days of samples that are over their retention go, once a day; not everybody's at the same minute."""
    minute = int(hashlib.sha256(snap.uid.encode()).hexdigest(), 16) % 60
    job = {
        "backoffLimit": 3,
        "activeDeadlineSeconds": _CLEANUP_SECONDS,
        "template": _job_pod(spec, snap, CLEANUP, ["cleanup"]),
    }
    body = {
        "schedule": f"{minute} 3 * * *",
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": _CLEANUP_SECONDS,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 1,
        "jobTemplate": {"spec": job},
    }
    return {"metadata": owner(snap).metadata(child_name(snap.name, "cleanup")), "spec": body}


def _serve(snap: Snapshot) -> Object:
    container = _container(snap, "shadow", ["serve"])
    container["ports"] = [
        {"name": "mirror", "containerPort": MIRROR_PORT},
        {"name": "api", "containerPort": API_PORT},
        {"name": "admin", "containerPort": ADMIN_PORT},
    ]
    container["lifecycle"] = {"preStop": {"sleep": {"seconds": 5}}}  # endpoints take a moment to leave
    for probe, path, period, failures in (
        ("startupProbe", "/healthz", 1, 60),
        ("livenessProbe", "/healthz", 10, 3),
        ("readinessProbe", "/readyz", 2, 2),
    ):
        container[probe] = {
            "httpGet": {"path": path, "port": "admin"},
            "periodSeconds": period,
            "failureThreshold": failures,
        }
    return container


def _job_pod(spec: ShadowEvaluationSpec, snap: Snapshot, component: str, arguments: list[str]) -> Object:
    own = owner(snap)
    pod = _pod(spec, snap, _container(snap, component, arguments))
    pod["restartPolicy"] = "Never"
    return {"metadata": {"labels": {**own.labels(snap.name), **own.selector(component)}}, "spec": pod}


def _container(snap: Snapshot, name: str, arguments: list[str]) -> Object:
    env = {"DSN_FILE": f"{FOLDER}/dsn/dsn"}
    mounts: list[Object] = [
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an emptyDir of the pod's own
        {"name": "dsn", "mountPath": f"{FOLDER}/dsn", "readOnly": True},
    ]
    if arguments[0] in {"serve", "shard"}:
        env["EVALUATION"] = f"{FOLDER}/evaluation/evaluation.json"
        mounts.append({"name": "evaluation", "mountPath": f"{FOLDER}/evaluation", "readOnly": True})
    if arguments[0] == "serve":
        env |= {
            "TOKEN_FILE": f"{FOLDER}/token/token",
            "HOST": "0.0.0.0",  # noqa: S104 - within its pod
            "MIRROR_PORT": str(MIRROR_PORT),
            "PORT": str(API_PORT),
            "ADMIN_PORT": str(ADMIN_PORT),
        }
        mounts.append({"name": "token", "mountPath": f"{FOLDER}/token", "readOnly": True})
    return {
        "name": name,
        "image": snap.image,
        "command": ["python", "-m", "chaffinch_shadow"],
        "args": arguments,
        "env": [{"name": f"CHAFFINCH_SHADOW_{key}", "value": value} for key, value in env.items()],
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": restricted(),
        "volumeMounts": mounts,
    }


def _pod(spec: ShadowEvaluationSpec, snap: Snapshot, container: Object) -> Object:
    dsn = dsn_ref(spec, snap.name)
    volumes: list[Object] = [
        {"name": "tmp", "emptyDir": {}},
        secret_volume("dsn", dsn.name, [(dsn.key, "dsn")]),
        secret_volume("token", token_name(snap.name), [("token", "token")]),
        {"name": "evaluation", "configMap": {"name": file_name(spec, snap)}},
    ]
    used = {mount["name"] for mount in container["volumeMounts"]}
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "containers": [container],
        "volumes": [volume for volume in volumes if volume["name"] in used],
    }


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
