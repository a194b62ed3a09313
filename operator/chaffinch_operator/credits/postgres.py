"""The managed PostgreSQL: one pod, one volume that outlives it. Pure."""

from chaffinch_operator.credits import objects
from chaffinch_operator.credits.model import CreditsLedgerSpec
from chaffinch_operator.credits.objects import POSTGRES_PORT, Object, labels, metadata, postgres_name, selector
from chaffinch_operator.credits.snapshot import Snapshot

_USER = 999
_DATA = "/var/lib/postgresql/data"


def service(snap: Snapshot) -> Object:
    """The address of the database, without a virtual IP."""
    body = {
        "clusterIP": "None",
        "selector": selector(snap.name, "database"),
        "ports": [{"name": "postgres", "port": POSTGRES_PORT, "targetPort": "postgres"}],
    }
    return {"metadata": metadata(snap, postgres_name(snap.name)), "spec": body}


def stateful_set(spec: CreditsLedgerSpec, snap: Snapshot) -> Object:
    """The database; its volume stays unless the CreditsLedger says Delete. The spec must have a managed one."""
    assert spec.database.managed is not None
    name, chosen = postgres_name(snap.name), selector(snap.name, "database")
    claim = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": spec.database.managed.storage}},
        },
    }
    return {
        "metadata": metadata(snap, name),
        "spec": {
            "serviceName": name,
            "replicas": 1,
            "selector": {"matchLabels": chosen},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": spec.deletion_policy, "whenScaled": "Retain"},
            "template": {"metadata": {"labels": {**labels(snap.name, name), **chosen}}, "spec": _pod(snap, name)},
            "volumeClaimTemplates": [claim],
        },
    }


def _pod(snap: Snapshot, name: str) -> Object:
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 60,
        "securityContext": objects.pod_security(_USER),
        "containers": [_container(snap)],
        "volumes": [
            {"name": "run", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
            {"name": "password", "secret": {"secretName": name, "defaultMode": 0o440}},
        ],
    }


def _container(snap: Snapshot) -> Object:
    ready = {"exec": {"command": ["pg_isready", "-h", "127.0.0.1", "-U", "credits"]}}
    return {
        "name": "postgres",
        "image": snap.postgres_image,
        "env": [
            {"name": "PGDATA", "value": f"{_DATA}/pgdata"},
            {"name": "POSTGRES_USER", "value": "credits"},
            {"name": "POSTGRES_DB", "value": "credits"},
            {"name": "POSTGRES_PASSWORD_FILE", "value": "/etc/postgres/password"},
        ],
        "ports": [{"name": "postgres", "containerPort": POSTGRES_PORT}],
        "startupProbe": {**ready, "periodSeconds": 1, "failureThreshold": 300},
        "readinessProbe": {**ready, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": objects.restricted(),
        "volumeMounts": [
            {"name": "data", "mountPath": _DATA},
            {"name": "run", "mountPath": "/var/run/postgresql"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an emptyDir of the pod's own
            {"name": "password", "mountPath": "/etc/postgres", "readOnly": True},
        ],
    }
