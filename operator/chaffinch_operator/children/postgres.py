"""A managed PostgreSQL: one pod, one volume that may outlive it. Pure."""

from dataclasses import dataclass

from chaffinch_operator.children.owner import Object, Owner
from chaffinch_operator.children.pods import pod_security, restricted
from chaffinch_operator.names import GROUP, child_name

PORT = 5432
USER = 999
DATA = "/var/lib/postgresql/data"
"""Where the volume is."""
PGDATA = f"{DATA}/pgdata"


@dataclass(frozen=True, slots=True)
class Additions:
    """What a pod has beyond PostgreSQL itself. first: containers that run before it."""

    env: tuple[Object, ...] = ()
    mounts: tuple[Object, ...] = ()
    volumes: tuple[Object, ...] = ()
    first: tuple[Object, ...] = ()


@dataclass(frozen=True, slots=True)
class Postgres:
    """What is asked for.

    role: name of its role and its database; when_deleted: Retain or Delete, of the volume; password_digest: another
    one replaces the pod, which sets the password at its start.
    """

    image: str
    storage: str
    role: str
    when_deleted: str
    password_digest: str = ""
    additions: Additions = Additions()


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
            "template": {"metadata": _marks(owner, wanted, name), "spec": _pod(wanted, name)},
            "volumeClaimTemplates": [claim],
        },
    }


def pod_rights() -> Object:
    """Security context of a pod that mounts the volume; what it is mounted with already is not walked through again."""
    return {**pod_security(USER), "fsGroupChangePolicy": "OnRootMismatch"}


def _marks(owner: Owner, wanted: Postgres, name: str) -> Object:
    marks: Object = {"labels": {**owner.labels(name), **owner.selector("database")}}
    if wanted.password_digest:
        marks["annotations"] = {f"{GROUP}/password": wanted.password_digest}
    return marks


def _pod(wanted: Postgres, name: str) -> Object:
    pod: Object = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 60,
        "securityContext": pod_rights(),
        "containers": [_container(wanted)],
        "volumes": [
            {"name": "run", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
            {"name": "password", "secret": {"secretName": name, "defaultMode": 0o440}},
            *wanted.additions.volumes,
        ],
    }
    if wanted.additions.first:
        pod["initContainers"] = list(wanted.additions.first)
    return pod


def _container(wanted: Postgres) -> Object:
    ready = {"exec": {"command": ["pg_isready", "-h", "127.0.0.1", "-U", wanted.role]}}
    return {
        "name": "postgres",
        "image": wanted.image,
        "env": [
            {"name": "PGDATA", "value": PGDATA},
            {"name": "POSTGRES_USER", "value": wanted.role},
            {"name": "POSTGRES_DB", "value": wanted.role},
            {"name": "POSTGRES_PASSWORD_FILE", "value": "/etc/postgres/password"},
            *wanted.additions.env,
        ],
        "ports": [{"name": "postgres", "containerPort": PORT}],
        "startupProbe": {**ready, "periodSeconds": 1, "failureThreshold": 300},
        "readinessProbe": {**ready, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": restricted(),
        "volumeMounts": [
            {"name": "data", "mountPath": DATA},
            {"name": "run", "mountPath": "/var/run/postgresql"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an emptyDir of the pod's own
            {"name": "password", "mountPath": "/etc/postgres", "readOnly": True},
            *wanted.additions.mounts,
        ],
    }
