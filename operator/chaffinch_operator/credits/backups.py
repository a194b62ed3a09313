"""What makes, checks and restores backups of a managed database, as it is applied. Pure.

pgBackRest takes its settings from the environment. Jobs run on the database's node: they mount its volume, where its
socket is too, so that no superuser ever logs in over the network.
"""

from dataclasses import dataclass

from chaffinch_operator.children import postgres
from chaffinch_operator.children.owner import LABEL_COMPONENT, Object
from chaffinch_operator.children.pods import USER, restricted, secret_volume
from chaffinch_operator.children.postgres import DATA, PGDATA, Additions
from chaffinch_operator.credits import objects
from chaffinch_operator.credits.database import S3, Backup, RestoreFrom
from chaffinch_operator.credits.model import CreditsLedgerSpec
from chaffinch_operator.credits.snapshot import Snapshot
from chaffinch_operator.names import child_name

_REPOSITORY, _SOURCE, _SCRATCH = "/var/lib/pgbackrest", "/var/lib/pgbackrest-source", "/scratch"
_SCRIPTS = "/etc/chaffinch-postgres"
_CRON_NAME = 52
"""What the API server leaves of a CronJob's name for those of its Jobs."""
_HOUR = 3600
_AUTHORITY = "ca.crt"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a repository is: what containers need to reach it."""

    env: tuple[Object, ...] = ()
    mounts: tuple[Object, ...] = ()
    volumes: tuple[Object, ...] = ()


def backup_name(ledger: str) -> str:
    """Name of the CronJob that makes backups."""
    return child_name(ledger, objects.BACKUP, _CRON_NAME)


def check_name(ledger: str) -> str:
    """Name of the CronJob that restores them for trial."""
    return child_name(ledger, objects.RESTORE_CHECK, _CRON_NAME)


def first_name(ledger: str) -> str:
    """Name of the Job that makes the first backup: nobody waits for the night."""
    return child_name(ledger, "first-backup")


def claim(snap: Snapshot, storage: str) -> Object:
    """The repository's volume; it has no owner, so that it outlives the ledger."""
    size = {"requests": {"storage": storage}}
    name = objects.repository_name(snap.name)
    return {
        "metadata": objects.metadata(snap, name, owned=False),
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": size},
    }


def additions(spec: CreditsLedgerSpec, snap: Snapshot) -> Additions:
    """What the database's pod needs to archive its WAL, and to begin with a backup."""
    managed = spec.database.managed
    assert managed is not None
    backup, source = managed.backup, managed.restore_from
    own = _own(snap, backup) if backup is not None else _Place()
    other = _source(snap, source) if source is not None else _Place()
    return Additions(
        env=() if backup is None else tuple(_settings(snap.name, own, backup)),
        mounts=own.mounts,
        volumes=own.volumes + other.volumes,
        first=() if source is None else (_restore(source, other, snap),),
    )


def first_backup(snap: Snapshot, wanted: Backup) -> Object:
    """A backup at once, made by the same pod as all others."""
    name = first_name(snap.name)
    labels = {LABEL_COMPONENT: objects.BACKUP}
    meta = objects.metadata(snap, name)
    return {"metadata": {**meta, "labels": {**meta["labels"], **labels}}, "spec": _backup_job(snap, wanted, name)}


def backup_cron(snap: Snapshot, wanted: Backup) -> Object:
    """Backups by the clock."""
    name = backup_name(snap.name)
    return _cron(snap, name, wanted.schedule, objects.BACKUP, _backup_job(snap, wanted, name))


def check_cron(spec: CreditsLedgerSpec, snap: Snapshot, wanted: Backup) -> Object:
    """Restores for trial by the clock; a finished one goes after an hour, with its copy of the data."""
    name = check_name(snap.name)
    job = {**_check_job(spec, snap, wanted, name), "ttlSecondsAfterFinished": _HOUR}
    return _cron(snap, name, wanted.check_schedule, objects.RESTORE_CHECK, job)


def _cron(snap: Snapshot, name: str, schedule: str, component: str, job: Object) -> Object:
    labels = {**objects.owner(snap).labels(name), LABEL_COMPONENT: component}
    return {
        "metadata": objects.metadata(snap, name),
        "spec": {
            "schedule": schedule,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": _HOUR,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {"metadata": {"labels": labels}, "spec": job},
        },
    }


def _backup_job(snap: Snapshot, wanted: Backup, name: str) -> Object:
    place = _own(snap, wanted)
    container = _container(snap, "backup", "backup.sh", _settings(snap.name, place, wanted))
    volumes = [_data(snap), *place.volumes, _TMP]
    container["volumeMounts"] = [_mount("data", DATA), *place.mounts, _mount("tmp", "/tmp")]  # noqa: S108
    return _job(snap, name, objects.BACKUP, {"containers": [container], "volumes": volumes}, hours=12)


def _check_job(spec: CreditsLedgerSpec, snap: Snapshot, wanted: Backup, name: str) -> Object:
    """Restore the newest moment beside the database, serve it to nobody else, and verify all of its history."""
    assert spec.database.managed is not None
    ledger = objects.inner_name(spec, snap.name)
    place = _own(snap, wanted)
    settings = _settings(snap.name, place, wanted)
    settings += _env({"LEDGER": ledger, "DATABASE": objects.ROLE, "FOLDER": f"{_SCRATCH}/restored"})
    restore = _container(snap, "restore", "rehearse.sh", settings)
    restore["volumeMounts"] = [
        _mount("data", DATA),
        *place.mounts,
        _mount("scratch", _SCRATCH),
        _mount("tmp", "/tmp"),  # noqa: S108 - an emptyDir of the pod's own
    ]
    size = {"requests": {"storage": spec.database.managed.storage}}
    copy = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": size}}
    pod: Object = {
        "initContainers": [restore, _restored(snap)],
        "containers": [_verify(snap, ledger)],
        "volumes": [
            _data(snap),
            *place.volumes,
            {"name": "scratch", "ephemeral": {"volumeClaimTemplate": copy}},
            _TMP,
        ],
    }
    return _job(snap, name, objects.RESTORE_CHECK, pod, hours=24)


def _restored(snap: Snapshot) -> Object:
    """The restored database, as a sidecar that only its own pod reaches."""
    folder = f"{_SCRATCH}/restored"
    settings = {
        "listen_addresses": "127.0.0.1",
        "hba_file": f"{folder}/pg_hba.conf",
        "unix_socket_directories": "",
        "archive_mode": "off",
    }
    options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    return {
        "name": "restored",
        "image": snap.postgres_image,
        "command": ["postgres", "-D", f"{folder}/pgdata", *options],
        "restartPolicy": "Always",
        "startupProbe": {
            "exec": {"command": ["pg_isready", "-h", "127.0.0.1"]},
            "periodSeconds": 1,
            "failureThreshold": 300,
        },
        "resources": _RESOURCES,
        "securityContext": restricted(),
        "volumeMounts": [_mount("scratch", _SCRATCH), _mount("tmp", "/tmp")],  # noqa: S108
    }


def _verify(snap: Snapshot, ledger: str) -> Object:
    """The verifier, which needs no secret; the anchor is empty while the ledger has no checkpoint."""
    anchor = f"{_SCRATCH}/restored/anchor"
    script = f'[ -z "$(cat {anchor})" ] || set -- --anchor {anchor}; exec chaffinch-credits verify "$LEDGER" "$@"'
    dsn = f"postgresql://{objects.ROLE}@127.0.0.1/{objects.ROLE}"
    return {
        "name": "verify",
        "image": snap.image,
        "command": ["/bin/sh", "-ec", f'{script} --key "$VERIFIER_KEY"'],
        "env": _env({"CHAFFINCH_CREDITS_DSN": dsn, "LEDGER": ledger, "VERIFIER_KEY": snap.verifier_key or ""}),
        "resources": _RESOURCES,
        "securityContext": {**restricted(), "runAsUser": USER, "runAsGroup": USER},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [_mount("scratch", _SCRATCH), _mount("tmp", "/tmp")],  # noqa: S108
    }


def _restore(source: RestoreFrom, place: _Place, snap: Snapshot) -> Object:
    """Fills an empty volume before PostgreSQL starts; the source is only read."""
    time = (source.time or "").replace("T", " ").replace("Z", "+00")
    request = f"{source.ledger} at {source.time or 'its newest moment'}"
    settings = _settings(source.ledger, place)
    settings += _env({"PGDATA": PGDATA, "RESTORE_TIME": time, "RESTORE_REQUEST": request})
    container = _container(snap, "restore", "restore.sh", settings)
    container["volumeMounts"] = [
        _mount("data", DATA),
        *place.mounts,
        _mount("tmp", "/tmp"),  # noqa: S108 - an emptyDir of the pod's own
    ]
    return container


def _settings(ledger: str, place: _Place, wanted: Backup | None = None) -> list[Object]:
    """Environment of pgBackRest for the repository of a ledger; the stanza has the same name in all."""
    settings = {
        "STANZA": "ledger",
        "PG1_PATH": PGDATA,
        "PG1_SOCKET_PATH": f"{DATA}/run",
        "PG1_USER": "postgres",
        "LOCK_PATH": f"{DATA}/lock",
        "LOG_LEVEL_CONSOLE": "info",
        "LOG_LEVEL_FILE": "off",
        "COMPRESS_TYPE": "zst",
        "REPO1_CIPHER_TYPE": "aes-256-cbc",
    }
    if wanted is not None:
        settings |= {"REPO1_RETENTION_FULL_TYPE": "time", "REPO1_RETENTION_FULL": wanted.retention.removesuffix("d")}
    secret = {"name": objects.repository_name(ledger), "key": objects.PASSPHRASE}
    word = {"name": "PGBACKREST_REPO1_CIPHER_PASS", "valueFrom": {"secretKeyRef": secret}}
    return [*_env({f"PGBACKREST_{key}": value for key, value in settings.items()}), word, *place.env]


def _own(snap: Snapshot, wanted: Backup) -> _Place:
    if wanted.repository.s3 is not None:
        return _bucket(snap, wanted.repository.s3, snap.name, "repository")
    return _volume(objects.repository_name(snap.name), "repository", _REPOSITORY, read_only=False)


def _source(snap: Snapshot, source: RestoreFrom) -> _Place:
    if source.s3 is not None:
        return _bucket(snap, source.s3, source.ledger, "source")
    return _volume(objects.repository_name(source.ledger), "source", _SOURCE, read_only=True)


def _volume(claimed: str, volume: str, path: str, *, read_only: bool) -> _Place:
    mount = {**_mount(volume, path), "readOnly": read_only}
    return _Place(tuple(_env({"PGBACKREST_REPO1_PATH": path})), (mount,), (_claimed(volume, claimed),))


def _bucket(snap: Snapshot, s3: S3, ledger: str, volume: str) -> _Place:
    """Over HTTPS, with the authority that the Secret has, or the public ones."""
    settings = {
        "TYPE": "s3",
        "PATH": objects.repository_path(s3, snap.namespace, ledger),
        "S3_ENDPOINT": s3.endpoint.partition(":")[0],
        "S3_BUCKET": s3.bucket,
        "S3_REGION": s3.region,
        "S3_URI_STYLE": "path",
        "STORAGE_PORT": str(s3.port),
    }
    secret, folder = s3.secret_ref.name, f"/etc/chaffinch-{volume}"
    trusted = _AUTHORITY in snap.secrets.get(secret, ())
    if trusted:
        settings["STORAGE_CA_FILE"] = f"{folder}/{_AUTHORITY}"
    env = _env({f"PGBACKREST_REPO1_{key}": value for key, value in settings.items()})
    env += [
        {
            "name": f"PGBACKREST_REPO1_S3_{name}",
            "valueFrom": {"secretKeyRef": {"name": secret, "key": key}},
        }
        for name, key in (("KEY", "accessKey"), ("KEY_SECRET", "secretKey"))
    ]
    if not trusted:
        return _Place(tuple(env))
    mount = {**_mount(volume, folder), "readOnly": True}
    return _Place(tuple(env), (mount,), (secret_volume(volume, secret, [(_AUTHORITY, _AUTHORITY)]),))


def _job(snap: Snapshot, name: str, component: str, pod: Object, *, hours: int) -> Object:
    own = objects.owner(snap)
    near = {
        "labelSelector": {"matchLabels": own.selector("database")},
        "topologyKey": "kubernetes.io/hostname",
    }
    common = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "securityContext": postgres.pod_rights(),
        "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [near]}},
    }
    template = {"metadata": {"labels": {**own.labels(name), **own.selector(component)}}, "spec": {**common, **pod}}
    return {"backoffLimit": 2, "activeDeadlineSeconds": hours * _HOUR, "template": template}


def _container(snap: Snapshot, name: str, script: str, env: list[Object]) -> Object:
    return {
        "name": name,
        "image": snap.postgres_image,
        "command": ["/bin/bash", f"{_SCRIPTS}/{script}"],
        "env": env,
        "resources": _RESOURCES,
        "securityContext": restricted(),
    }


def _env(values: dict[str, str]) -> list[Object]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _mount(volume: str, path: str) -> Object:
    return {"name": volume, "mountPath": path}


def _claimed(volume: str, name: str) -> Object:
    return {"name": volume, "persistentVolumeClaim": {"claimName": name}}


def _data(snap: Snapshot) -> Object:
    return _claimed("data", f"data-{objects.postgres_name(snap.name)}-0")


_TMP: Object = {"name": "tmp", "emptyDir": {}}
_RESOURCES: Object = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}
