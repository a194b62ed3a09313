"""From the decision to the writes it takes; none where the world is as it should be. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from chaffinch_operator.children import postgres
from chaffinch_operator.children.owner import Object
from chaffinch_operator.children.writes import Apply, Delete, differs, noted
from chaffinch_operator.credits import backups, objects, policies
from chaffinch_operator.credits.decide import Decision, Stage
from chaffinch_operator.credits.model import CreditsLedgerSpec
from chaffinch_operator.credits.snapshot import Snapshot


class Secret(StrEnum):
    """What is made once and kept: others know it, backups their passphrase, auditors the key's public half."""

    PASSWORD = "password"  # noqa: S105 - a kind of Secret
    SIGNING_KEY = "signing key"
    API_KEY = "API key"
    PASSPHRASE = "passphrase"  # noqa: S105 - a kind of Secret


@dataclass(frozen=True, slots=True)
class MakeSecret:
    """Make a Secret unless it is there."""

    what: Secret
    name: str


@dataclass(frozen=True, slots=True)
class MakeCertificates:
    """Make or renew the certificates, with the authority's own where that is due."""

    renew_authority: bool = False


Operation = Apply | MakeSecret | MakeCertificates | Delete


def plan(spec: CreditsLedgerSpec, snap: Snapshot, decision: Decision, now: datetime) -> list[Operation]:
    """What has to be written, in this order."""
    if decision.stage is Stage.REMOVE:
        return list(_removal(spec, snap))
    if decision.stage is Stage.NOTHING:
        return []
    made = list(_made(spec, snap, decision, now))
    # pods are replaced by what is in Secrets: not before those are as they should be
    late = {"Deployment", "StatefulSet"} if made else set()
    scaled = spec.autoscaling is not None
    wanted = [
        (kind, noted(body, "replicas" if scaled and kind == "Deployment" else ""))
        for kind, body in desired(spec, snap, decision)
        if kind not in late
    ]
    return [
        *made,
        *(Apply(kind, body) for kind, body in wanted if differs(snap.objects, kind, body)),
        *_left_over(spec, snap, decision),
    ]


def desired(spec: CreditsLedgerSpec, snap: Snapshot, decision: Decision) -> Iterator[tuple[str, Object]]:
    """Objects of the decision's stage but Secrets, in the order of their needs: migration before service."""
    for body in policies.network_policies(spec, snap):
        yield "NetworkPolicy", body
    if spec.database.managed is not None:
        yield "Service", postgres.service(objects.owner(snap))
        backup = spec.database.managed.backup
        if backup is not None and backup.repository.volume is not None:
            yield "PersistentVolumeClaim", backups.claim(snap, backup.repository.volume)
        yield "StatefulSet", _database(spec, snap, spec.database.managed.storage)
    if decision.stage >= Stage.MIGRATE:
        yield "Job", objects.job(spec, snap)
    if decision.stage >= Stage.SERVE:
        yield "Service", objects.service(spec, snap)
        yield "Deployment", objects.deployment(spec, snap)
        yield "PodDisruptionBudget", objects.disruption_budget(snap)
        if spec.autoscaling is not None:
            yield "HorizontalPodAutoscaler", objects.autoscaler(spec, snap)
        yield from _backups(spec, snap)


def _database(spec: CreditsLedgerSpec, snap: Snapshot, storage: str) -> Object:
    wanted = postgres.Postgres(
        snap.postgres_image,
        storage,
        objects.ROLE,
        spec.deletion_policy,
        snap.password_digest,
        backups.additions(spec, snap),
    )
    return postgres.stateful_set(objects.owner(snap), wanted)


def _backups(spec: CreditsLedgerSpec, snap: Snapshot) -> Iterator[tuple[str, Object]]:
    wanted = objects.backup_of(spec)
    if wanted is not None:
        yield "Job", backups.first_backup(snap, wanted)
        yield "CronJob", backups.backup_cron(snap, wanted)
        yield "CronJob", backups.check_cron(spec, snap, wanted)


def _made(spec: CreditsLedgerSpec, snap: Snapshot, decision: Decision, now: datetime) -> Iterator[Operation]:
    kinds = {
        objects.postgres_name(snap.name): Secret.PASSWORD,
        objects.audit_name(snap.name): Secret.SIGNING_KEY,
        objects.keys_name(snap.name): Secret.API_KEY,
        objects.repository_name(snap.name): Secret.PASSPHRASE,
    }
    for name in objects.made_once(spec, snap.name):
        if name not in snap.secrets:
            yield MakeSecret(kinds[name], name)
    if decision.renew:
        yield MakeCertificates(renew_authority=snap.authority is not None and snap.authority.due(now))


def _left_over(spec: CreditsLedgerSpec, snap: Snapshot, decision: Decision) -> Iterator[Operation]:
    """What an earlier spec or version needed; only once the present one is in place."""
    if decision.stage is not Stage.SERVE:
        return
    wanted = {(kind, body["metadata"]["name"]) for kind, body in desired(spec, snap, decision)}
    for kind, name in snap.objects:
        if kind in {"Job", "CronJob", "HorizontalPodAutoscaler"} and (kind, name) not in wanted:
            yield Delete(kind, name)


def _removal(spec: CreditsLedgerSpec, snap: Snapshot) -> Iterator[Operation]:
    """Children go by their owner references; what has no owner stays unless the spec says Delete, and backups do."""
    if spec.deletion_policy == "Retain":
        return
    for name in objects.made_once(spec, snap.name):
        if name in snap.secrets and name != objects.repository_name(snap.name):
            yield Delete("Secret", name)
