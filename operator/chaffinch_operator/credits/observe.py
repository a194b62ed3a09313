"""I/O: look at everything that a ledger consists of, and build the frozen Snapshot."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chaffinch_operator.children import passwords, seen
from chaffinch_operator.children.owner import LABEL_COMPONENT
from chaffinch_operator.children.seen import Data
from chaffinch_operator.credits import certificates, objects, secrets_made
from chaffinch_operator.credits.apply import RESOURCES
from chaffinch_operator.credits.decide import Decision, Stage, references
from chaffinch_operator.credits.model import CreditsLedgerSpec
from chaffinch_operator.credits.plan import desired
from chaffinch_operator.credits.reasons import Reason
from chaffinch_operator.credits.snapshot import Snapshot, Validity
from chaffinch_operator.errors import Refused
from chaffinch_operator.kube import Kube, Object
from chaffinch_operator.names import LABEL_LEDGER, label_value
from chaffinch_operator.resources import AUTOSCALERS, CRONJOBS, JOBS, PODS, SECRETS, VOLUME_CLAIMS
from chaffinch_operator.settings import Settings

_FORBIDDEN = 403


def empty(body: Mapping[str, Any], settings: Settings) -> Snapshot:
    """What is known without a look: the object itself and the settings."""
    meta = body["metadata"]
    return Snapshot(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        generation=meta["generation"],
        image=settings.credits_image,
        postgres_image=settings.postgres_image,
        operator_namespace=settings.namespace,
        operator_account=settings.service_account,
        deleting="deletionTimestamp" in meta,
    )


async def observe(kube: Kube, bare: Snapshot, spec: CreditsLedgerSpec) -> Snapshot:
    """One look. What the operator may not read is a state of the ledger, not an error."""
    try:
        secrets = await _secrets(kube, spec, bare)
        children = await _children(kube, spec, bare)
        jobs = await _jobs(kube, bare)
    except Refused as refusal:
        if refusal.status != _FORBIDDEN:
            raise
        return _with(bare, rights_missing=refusal.message)
    found = _snapshot(spec, bare, secrets, children | _lasting(jobs))
    return await _backups(kube, spec, found, jobs)


async def _secrets(kube: Kube, spec: CreditsLedgerSpec, bare: Snapshot) -> dict[str, Object]:
    names = {ref.name for _, ref in references(spec)} | set(_made(spec, bare.name))
    names |= {spec.encryption.key_secret_ref.name} if spec.encryption else set()
    found = await asyncio.gather(*(kube.get(SECRETS, name, bare.namespace) for name in sorted(names)))
    return {secret["metadata"]["name"]: secret for secret in found if secret is not None}


async def _children(kube: Kube, spec: CreditsLedgerSpec, bare: Snapshot) -> dict[tuple[str, str], Object]:
    """Objects of the names we need, and what an earlier spec may have left."""
    everything = Decision(Stage.SERVE, Reason.SERVING, "")
    wanted = [(kind, body["metadata"]["name"]) for kind, body in desired(spec, bare, everything) if kind != "Job"]
    names = sorted({*wanted, (AUTOSCALERS.kind, bare.name)})
    found = await asyncio.gather(*(kube.get(RESOURCES[kind], name, bare.namespace) for kind, name in names))
    return {key: body for key, body in zip(names, found, strict=True) if body is not None}


async def _jobs(kube: Kube, bare: Snapshot) -> list[Object]:
    labels = f"{LABEL_LEDGER}={label_value(bare.name)}"
    return list(await kube.list(JOBS, bare.namespace, labels=labels))


def _lasting(jobs: list[Object]) -> dict[tuple[str, str], Object]:
    """Jobs of the ledger itself; those of its CronJobs come and go with them."""
    return {(JOBS.kind, job["metadata"]["name"]): job for job in jobs if not _of_cron_job(job)}


def _of_cron_job(job: Object) -> bool:
    return any(each["kind"] == CRONJOBS.kind for each in job["metadata"].get("ownerReferences") or ())


async def _backups(kube: Kube, spec: CreditsLedgerSpec, snap: Snapshot, jobs: list[Object]) -> Snapshot:
    """How backups and restores went, with the words of those that failed."""
    managed = spec.database.managed
    if managed is None:
        return snap
    found: dict[str, Any] = {}
    for field, component in (("backup", objects.BACKUP), ("restore_check", objects.RESTORE_CHECK)):
        ended = seen.ended(job for job in jobs if job["metadata"]["labels"].get(LABEL_COMPONENT) == component)
        if ended.failing:
            pods = await kube.list(PODS, snap.namespace, labels=f"batch.kubernetes.io/job-name={ended.job}")
            ended = replace(ended, why=seen.last_words(pods))
        found[field] = ended
    if managed.restore_from is not None and snap.database.ready == 0:
        volume = objects.repository_name(managed.restore_from.ledger)
        found["source_there"] = await kube.get(VOLUME_CLAIMS, volume, snap.namespace) is not None
        chosen = ",".join(f"{k}={v}" for k, v in objects.owner(snap).selector("database").items())
        words = seen.last_words(await kube.list(PODS, snap.namespace, labels=chosen))
        found["restore_failed"] = words.removeprefix("restore: ") if words.startswith("restore: ") else ""
    return _with(snap, **found)


def _snapshot(
    spec: CreditsLedgerSpec, bare: Snapshot, secrets: dict[str, Object], children: dict[tuple[str, str], Object]
) -> Snapshot:
    data = {name: seen.data(secret) for name, secret in secrets.items()}
    ours = set(_made(spec, bare.name))
    known = {**children, **{(SECRETS.kind, name): secret for name, secret in secrets.items() if name in ours}}
    dsn, signing = objects.dsn_ref(spec, bare.name), objects.key_ref(spec, bare.name)
    pem = data.get(signing.name, {}).get(signing.key)
    address = data.get(dsn.name, {}).get(dsn.key)
    origin = objects.origin(bare.namespace, bare.name)
    return _with(
        bare,
        secrets={name: frozenset(found) for name, found in data.items()},
        objects={key: seen.found(body, objects.owner(bare)) for key, body in known.items()},
        job=seen.job(children.get((JOBS.kind, objects.migration_name(spec, bare)))),
        database=seen.stateful(children.get(("StatefulSet", objects.postgres_name(bare.name)))),
        service=seen.deployed(children.get(("Deployment", bare.name))),
        secrets_digest=_digest(spec, bare.name, data),
        password_digest=_password_digest(data.get(objects.postgres_name(bare.name), {})),
        database_ports=passwords.ports(address.decode(errors="replace")) if address else bare.database_ports,
        verifier_key="" if pem is None else secrets_made.verifier_key(pem, origin),
        certificate=_certificate(spec, bare, data),
        authority=_validity(data.get(objects.authority_name(bare.name), {})),
    )


def _with(snap: Snapshot, **changes: Any) -> Snapshot:  # noqa: ANN401 - fields of Snapshot
    return Snapshot(**{name: getattr(snap, name) for name in snap.__slots__} | changes)


def _made(spec: CreditsLedgerSpec, ledger: str) -> list[str]:
    return [*objects.made_once(spec, ledger), *objects.certificate_secrets(spec, ledger)]


def _digest(spec: CreditsLedgerSpec, ledger: str, data: Mapping[str, Data]) -> str:
    """Of what the service reads once; it has the signing key in it, so nothing can be guessed from it."""
    dsn, key = objects.dsn_ref(spec, ledger), objects.key_ref(spec, ledger)
    parts = [(dsn.name, dsn.key), (key.name, key.key)]
    if spec.tls is not None:
        parts += [(objects.tls_name(ledger), item) for item in ("tls.crt", "tls.key", "ca.crt")]
    total = hashlib.sha256()
    for name, item in parts:
        total.update(hashlib.sha256(data.get(name, {}).get(item, b"")).digest())
    return total.hexdigest()[:16]


def _password_digest(secret: Data) -> str:
    """The password has 256 bits of chance, so that nobody guesses it from a digest."""
    word = secret.get("password")
    return hashlib.sha256(word).hexdigest()[:16] if word else ""


def _certificate(spec: CreditsLedgerSpec, snap: Snapshot, data: Mapping[str, Data]) -> Validity | None:
    """The service's, where everything that belongs to it is there, too."""
    if any(name not in data for name in objects.certificate_secrets(spec, snap.name)):
        return None
    shown = data.get(objects.tls_name(snap.name), {})
    valid = _validity(shown)
    if valid is None or "ca.crt" not in shown or "tls.key" not in shown:
        return None
    wanted = certificates.service_hosts(snap.name, snap.namespace)
    return valid if certificates.hosts_of(shown["tls.crt"]) >= set(wanted) else None


def _validity(secret: Data) -> Validity | None:
    try:
        return Validity(*certificates.validity(secret["tls.crt"]))
    except (KeyError, ValueError):
        return None
