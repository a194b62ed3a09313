"""A managed PostgreSQL: one pod, one volume that may outlive it. Pure."""

from dataclasses import dataclass

from chaffinch_operator.children.owner import Object, Owner
from chaffinch_operator.children.pods import pod_security, restricted
from chaffinch_operator.names import child_name

PORT = 5432
_USER = 999
_DATA = "/var/lib/postgresql/data"


@dataclass(frozen=True, slots=True)
class Postgres:
    """What is asked for. role: name of its role and its database; when_deleted: Retain or Delete, of the volume."""

    image: str
    storage: str
    role: str
    when_deleted: str


def name_of(owner: str) -> str:
    """Name of the StatefulSet, Service and Secret."""
    return child_name(owner, "postgres")


def service(owner: Owner) -> Object:
    """The address of the database, without a virtual IP."""
    body = {
        "clusterIP": "None",
        "selector": owner.selector("database"),
        "ports": [{"name": "postgres", "port": PORT, "targetPort": "postgres"}],
    }
    return {"metadata": owner.metadata(name_of(owner.name)), "spec": body}


def stateful_set(owner: Owner, wanted: Postgres) -> Object:
    """The database; its password is in the Secret of its name."""
    name, chosen = name_of(owner.name), owner.selector("database")
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": wanted.storage}}},
    }
    return {
        "metadata": owner.metadata(name),
        "spec": {
            "serviceName": name,
            "replicas": 1,
            "selector": {"matchLabels": chosen},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": wanted.when_deleted, "whenScaled": "Retain"},
            "template": {"metadata": {"labels": {**owner.labels(name), **chosen}}, "spec": _pod(wanted, name)},
            "volumeClaimTemplates": [claim],
        },
    }


def _pod(wanted: Postgres, name: str) -> Object:
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 60,
        "securityContext": pod_security(_USER),
        "containers": [_container(wanted)],
        "volumes": [
            {"name": "run", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
            {"name": "password", "secret": {"secretName": name, "defaultMode": 0o440}},
        ],
    }


def _container(wanted: Postgres) -> Object:
    ready = {"exec": {"command": ["pg_isready", "-h", "127.0.0.1", "-U", wanted.role]}}
    return {
        "name": "postgres",
        "image": wanted.image,
        "env": [
            {"name": "PGDATA", "value": f"{_DATA}/pgdata"},
            {"name": "POSTGRES_USER", "value": wanted.role},
            {"name": "POSTGRES_DB", "value": wanted.role},
            {"name": "POSTGRES_PASSWORD_FILE", "value": "/etc/postgres/password"},
        ],
        "ports": [{"name": "postgres", "containerPort": PORT}],
        "startupProbe": {**ready, "periodSeconds": 1, "failureThreshold": 300},
        "readinessProbe": {**ready, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": restricted(),
        "volumeMounts": [
            {"name": "data", "mountPath": _DATA},
            {"name": "run", "mountPath": "/var/run/postgresql"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an emptyDir of the pod's own
            {"name": "password", "mountPath": "/etc/postgres", "readOnly": True},
        ],
    }
