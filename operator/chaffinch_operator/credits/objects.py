"""The objects of one ledger, as they are applied. Pure: spec and names in, plain dicts out."""

import hashlib
import json

from chaffinch_operator.children import postgres
from chaffinch_operator.children.database import SecretKeyRef
from chaffinch_operator.children.owner import Object, Owner
from chaffinch_operator.children.pods import pod_security, restricted, secret_volume
from chaffinch_operator.credits.database import S3, Backup
from chaffinch_operator.credits.model import CreditsLedgerSpec
from chaffinch_operator.credits.snapshot import Snapshot
from chaffinch_operator.names import GROUP, LABEL_LEDGER, child_name
from chaffinch_operator.schema import seconds

API_PORT, ADMIN_PORT = 8080, 9090
SECRETS_FOLDER = "/etc/chaffinch-credits"
DEFAULT_REPLICAS = 3
ROLE = "credits"
"""Role and database of the service in a managed PostgreSQL."""
PASSPHRASE = "passphrase"  # noqa: S105 - the name of a key
"""Key of the passphrase of a repository, in the Secret of its name."""
BACKUP, RESTORE_CHECK = "backup", "restore-check"
"""Components of the Jobs that make backups, and that restore them for trial."""
_PRE_STOP_SECONDS, _GRACE_SECONDS = 5, 40
_PROGRESS_SECONDS = 180


def postgres_name(ledger: str) -> str:
    """Name of the managed database's StatefulSet, Service and Secret."""
    return postgres.name_of(ledger)


def tls_name(ledger: str) -> str:
    """Name of the Secret with the certificates."""
    return child_name(ledger, "tls")


def authority_name(ledger: str) -> str:
    """Name of the Secret with the key of the ledger's own authority, which no pod mounts."""
    return child_name(ledger, "authority")


def client_name(ledger: str) -> str:
    """Name of the Secret with a certificate for clients."""
    return child_name(ledger, "client")


def keys_name(ledger: str) -> str:
    """Name of the Secret with the API key that was made."""
    return child_name(ledger, "keys")


def audit_name(ledger: str) -> str:
    """Name of the Secret with the signing key that was made."""
    return child_name(ledger, "audit")


def repository_name(ledger: str) -> str:
    """Name of the volume of backups, and of the Secret with the passphrase that they are encrypted with."""
    return child_name(ledger, "backup")


def repository_path(s3: S3, namespace: str, ledger: str) -> str:
    """Folder of a ledger's backups in its bucket."""
    return s3.path or f"/{namespace}/{ledger}"


def inner_name(spec: CreditsLedgerSpec, name: str) -> str:
    """Name of the ledger within its database: a restored one keeps its own."""
    source = spec.database.managed and spec.database.managed.restore_from
    return source.ledger if source else name


def migration_name(spec: CreditsLedgerSpec, snap: Snapshot) -> str:
    """Name of the migration Job: another version, database, list of assets or of KEKs is another Job."""
    dsn, key = dsn_ref(spec, snap.name), [a.model_dump() for a in spec.assets]
    wraps = [sorted(snap.secrets.get(spec.encryption.key_secret_ref.name, ()))] if spec.encryption else []
    text = json.dumps([snap.image, dsn.model_dump(), key, *wraps], sort_keys=True)
    return child_name(snap.name, f"migrate-{hashlib.sha256(text.encode()).hexdigest()[:8]}")


def dsn_ref(spec: CreditsLedgerSpec, ledger: str) -> SecretKeyRef:
    """Where the address of the database is kept."""
    if spec.database.external is not None:
        return spec.database.external.dsn_secret_ref
    return SecretKeyRef(name=postgres_name(ledger), key="dsn")


def key_ref(spec: CreditsLedgerSpec, ledger: str) -> SecretKeyRef:
    """Where the signing key is kept."""
    return spec.audit.signing_key_secret_ref or SecretKeyRef(name=audit_name(inner_name(spec, ledger)), key="key.pem")


def keys_ref(spec: CreditsLedgerSpec, ledger: str) -> SecretKeyRef:
    """Where the file of API keys is kept."""
    return spec.access.api_keys_secret_ref or SecretKeyRef(name=keys_name(ledger), key="keys.json")


def made_once(spec: CreditsLedgerSpec, ledger: str) -> list[str]:
    """Names of the Secrets that are made once and never changed, and that outlive the ledger unless it says Delete."""
    found = [postgres_name(ledger)] if spec.database.managed is not None else []
    # a copy of another ledger goes on with that one's key: its history is signed with it
    own_key = spec.audit.signing_key_secret_ref is None and inner_name(spec, ledger) == ledger
    found += [audit_name(ledger)] if own_key else []
    found += [keys_name(ledger)] if spec.access.api_keys_secret_ref is None else []
    return found + ([repository_name(ledger)] if backup_of(spec) is not None else [])


def certificate_secrets(spec: CreditsLedgerSpec, ledger: str) -> list[str]:
    """Names of the Secrets with certificates."""
    if spec.tls is None:
        return []
    client = [client_name(ledger)] if spec.tls.mode == "Mutual" else []
    return [authority_name(ledger), tls_name(ledger), *client]


def backup_of(spec: CreditsLedgerSpec) -> Backup | None:
    """The backups that are asked for."""
    return spec.database.managed.backup if spec.database.managed is not None else None


def endpoint(spec: CreditsLedgerSpec, namespace: str, ledger: str) -> str:
    """Base address of the API within the cluster."""
    return f"{'https' if spec.tls else 'http'}://{ledger}.{namespace}.svc"


def origin(namespace: str, ledger: str) -> str:
    """Name of the signing key and of the trees."""
    return f"{ledger}.{namespace}"


def owner(snap: Snapshot) -> Owner:
    """The CreditsLedger as an owner of children."""
    return Owner("CreditsLedger", snap.name, snap.namespace, snap.uid, LABEL_LEDGER)


def metadata(snap: Snapshot, name: str, *, owned: bool = True) -> Object:
    """Metadata of a child; what must outlive its CreditsLedger has no owner."""
    return owner(snap).metadata(name, owned=owned)


def deployment(spec: CreditsLedgerSpec, snap: Snapshot) -> Object:
    """The service. Pods are replaced when a Secret that they read once has changed."""
    chosen = owner(snap).selector("service")
    pod = _pod(spec, snap, [_serve(spec, snap)])
    pod["terminationGracePeriodSeconds"] = _GRACE_SECONDS
    pod["topologySpreadConstraints"] = [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": chosen},
        }
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]
    template = {
        "metadata": {
            "labels": {**owner(snap).labels(snap.name), **chosen},
            "annotations": {f"{GROUP}/secrets": snap.secrets_digest},
        },
        "spec": pod,
    }
    body: Object = {
        "selector": {"matchLabels": chosen},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "progressDeadlineSeconds": _PROGRESS_SECONDS,
        "revisionHistoryLimit": 3,
        "template": template,
    }
    body["replicas"] = _replicas(spec, snap)
    return {"metadata": metadata(snap, snap.name), "spec": body}


def _replicas(spec: CreditsLedgerSpec, snap: Snapshot) -> int:
    """With an autoscaler, what it has set: a field that is not applied any more would fall back to its default, 1."""
    if spec.autoscaling is None:
        return spec.replicas or DEFAULT_REPLICAS
    return min(max(snap.service.wanted, spec.autoscaling.min_replicas), spec.autoscaling.max_replicas)


def job(spec: CreditsLedgerSpec, snap: Snapshot) -> Object:
    """The migration, then the ledger and its assets."""
    assets = [part for asset in spec.assets for part in ("--asset", f"{asset.code}={asset.scale}")]
    pod = _pod(spec, snap, [_container(spec, snap, "ensure", ["ensure", inner_name(spec, snap.name), *assets])])
    pod["initContainers"] = [_container(spec, snap, "migrate", ["migrate"])]
    pod["restartPolicy"] = "Never"
    name = migration_name(spec, snap)
    template = {"metadata": {"labels": {**owner(snap).labels(name), **owner(snap).selector("migration")}}, "spec": pod}
    return {
        "metadata": metadata(snap, name),
        "spec": {"backoffLimit": 6, "activeDeadlineSeconds": 3600, "template": template},
    }


def service(spec: CreditsLedgerSpec, snap: Snapshot) -> Object:
    """The address of the API."""
    ports = [{"name": "api", "port": 443 if spec.tls else 80, "targetPort": "api", "protocol": "TCP"}]
    return {
        "metadata": metadata(snap, snap.name),
        "spec": {"selector": owner(snap).selector("service"), "ports": ports},
    }


def disruption_budget(snap: Snapshot) -> Object:
    """One pod at a time goes when nodes are drained."""
    chosen = {"matchLabels": owner(snap).selector("service")}
    return {"metadata": metadata(snap, snap.name), "spec": {"maxUnavailable": 1, "selector": chosen}}


def autoscaler(spec: CreditsLedgerSpec, snap: Snapshot) -> Object:
    """Pods by CPU: up at once, down slowly. The spec must have autoscaling."""
    assert spec.autoscaling is not None
    wanted = spec.autoscaling
    target = {"type": "Utilization", "averageUtilization": wanted.target_cpu_percent}
    return {
        "metadata": metadata(snap, snap.name),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": snap.name},
            "minReplicas": wanted.min_replicas,
            "maxReplicas": wanted.max_replicas,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            "behavior": {
                "scaleUp": {"stabilizationWindowSeconds": 0},
                "scaleDown": {"stabilizationWindowSeconds": 300},
            },
        },
    }


def _serve(spec: CreditsLedgerSpec, snap: Snapshot) -> Object:
    container = _container(spec, snap, "credits", ["serve"])
    container["ports"] = [
        {"name": "api", "containerPort": API_PORT},
        {"name": "admin", "containerPort": ADMIN_PORT},
    ]
    # endpoints take a moment to leave; until then the pod goes on serving
    container["lifecycle"] = {"preStop": {"sleep": {"seconds": _PRE_STOP_SECONDS}}}
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


def _container(spec: CreditsLedgerSpec, snap: Snapshot, name: str, arguments: list[str]) -> Object:
    env = {
        "DSN_FILE": f"{SECRETS_FOLDER}/dsn/dsn",
        "KEY_FILE": f"{SECRETS_FOLDER}/key/key.pem",
        "API_KEYS_FILE": f"{SECRETS_FOLDER}/keys/keys",
        "ORIGIN": origin(snap.namespace, inner_name(spec, snap.name)),
        "HOST": "0.0.0.0",  # noqa: S104 - within its pod
        "PORT": str(API_PORT),
        "ADMIN_PORT": str(ADMIN_PORT),
    }
    if spec.tls is not None:
        env |= {"TLS_CERT_FILE": f"{SECRETS_FOLDER}/tls/tls.crt", "TLS_KEY_FILE": f"{SECRETS_FOLDER}/tls/tls.key"}
        if spec.tls.mode == "Mutual":
            env["TLS_CLIENT_CA_FILE"] = f"{SECRETS_FOLDER}/tls/ca.crt"
    if spec.encryption is not None:
        env["KEK_DIR"] = f"{SECRETS_FOLDER}/keks"
        env["KEY_ROTATION_SECONDS"] = str(seconds(spec.encryption.rotation_period))
    mounts = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - an emptyDir of the pod's own
    mounts += [
        {"name": volume["name"], "mountPath": f"{SECRETS_FOLDER}/{volume['name']}", "readOnly": True}  # type: ignore[dict-item]
        for volume in _secret_volumes(spec, snap)
    ]
    return {
        "name": name,
        "image": snap.image,
        "args": arguments,
        "command": ["python", "-m", "chaffinch_credits"],
        "env": [{"name": f"CHAFFINCH_CREDITS_{key}", "value": value} for key, value in env.items()],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": restricted(),
        "volumeMounts": mounts,
    }


def _pod(spec: CreditsLedgerSpec, snap: Snapshot, containers: list[Object]) -> Object:
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "containers": containers,
        "volumes": [{"name": "tmp", "emptyDir": {}}, *_secret_volumes(spec, snap)],
    }


def _secret_volumes(spec: CreditsLedgerSpec, snap: Snapshot) -> list[Object]:
    dsn, key, keys = dsn_ref(spec, snap.name), key_ref(spec, snap.name), keys_ref(spec, snap.name)
    chosen = [
        ("dsn", dsn.name, [(dsn.key, "dsn")]),
        ("key", key.name, [(key.key, "key.pem")]),
        ("keys", keys.name, [(keys.key, "keys")]),
    ]
    if spec.tls is not None:
        chosen.append(("tls", tls_name(snap.name), [(k, k) for k in ("tls.crt", "tls.key", "ca.crt")]))
    found = [secret_volume(volume, secret, items) for volume, secret, items in chosen]
    if spec.encryption is not None:
        # all items, so that a new key reaches running pods
        whole = {"secretName": spec.encryption.key_secret_ref.name, "defaultMode": 0o440}
        found.append({"name": "keks", "secret": whole})
    return found
