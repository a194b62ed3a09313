"""I/O: carry the plan out, write by write. What is made once is only ever created, never overwritten."""

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from chaffinch_operator.children.owner import Object
from chaffinch_operator.children.passwords import password
from chaffinch_operator.children.writes import Apply, Delete
from chaffinch_operator.credits import certificates, objects, secrets_made
from chaffinch_operator.credits.model import CreditsLedgerSpec
from chaffinch_operator.credits.plan import MakeCertificates, MakeSecret, Operation, Secret
from chaffinch_operator.credits.snapshot import Snapshot
from chaffinch_operator.credits.status import CreditsLedgerStatus
from chaffinch_operator.kube import Kube
from chaffinch_operator.names import LEDGER_MANAGER
from chaffinch_operator.resources import (
    AUTOSCALERS,
    CREDITSLEDGERS,
    CRONJOBS,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    JOBS,
    NETWORK_POLICIES,
    SECRETS,
    SERVICES,
    STATEFULSETS,
    VOLUME_CLAIMS,
)
from chaffinch_operator.schema import compact

RESOURCES = {
    each.kind: each
    for each in (
        AUTOSCALERS,
        CRONJOBS,
        DEPLOYMENTS,
        DISRUPTION_BUDGETS,
        JOBS,
        NETWORK_POLICIES,
        SECRETS,
        SERVICES,
        STATEFULSETS,
        VOLUME_CLAIMS,
    )
}


async def write_status(kube: Kube, body: Mapping[str, Any], status: CreditsLedgerStatus) -> None:
    """Write the status, fenced: Conflict when the object changed since `body` was read, or was made anew."""
    meta = body["metadata"]
    fence = {k: meta[k] for k in ("name", "namespace", "uid", "resourceVersion")}
    new = {"metadata": fence, "status": compact(status)}
    await kube.apply(CREDITSLEDGERS, new, subresource="status", manager=LEDGER_MANAGER)


async def carry_out(
    kube: Kube, spec: CreditsLedgerSpec, snap: Snapshot, operations: Sequence[Operation], now: datetime
) -> None:
    """Do the writes one after the other."""
    for operation in operations:
        match operation:
            case Apply(kind, body):
                await kube.apply(RESOURCES[kind], body, manager=LEDGER_MANAGER)
            case Delete(kind, name):
                await kube.delete(RESOURCES[kind], name, snap.namespace)
            case MakeSecret(what, name):
                made = _MAKERS[what](name, snap)
                await kube.create(SECRETS, _secret(snap, name, made, owned=False), manager=LEDGER_MANAGER)
            case MakeCertificates(renew_authority):
                await _certificates(kube, spec, snap, now, renew_authority=renew_authority)


_MAKERS: dict[Secret, Callable[[str, Snapshot], secrets_made.Texts]] = {
    Secret.PASSWORD: lambda name, snap: password(f"{name}.{snap.namespace}.svc", objects.ROLE),
    Secret.SIGNING_KEY: lambda *_: secrets_made.signing_key(),
    Secret.API_KEY: lambda *_: secrets_made.api_key(),
    Secret.PASSPHRASE: lambda *_: secrets_made.passphrase(),
}


async def _certificates(
    kube: Kube, spec: CreditsLedgerSpec, snap: Snapshot, now: datetime, *, renew_authority: bool
) -> None:
    """The authority first: one whose certificates were not written yet signs them in the next pass."""
    name = objects.authority_name(snap.name)
    there = await kube.get(SECRETS, name, snap.namespace)
    found = {k: base64.b64decode(v) for k, v in ((there or {}).get("data") or {}).items()}
    ca = secrets_made.authority(found, snap.name, now, renew=renew_authority)
    wanted = {name: secrets_made.as_texts(ca)}
    hosts = certificates.service_hosts(snap.name, snap.namespace)
    wanted[objects.tls_name(snap.name)] = secrets_made.signed(ca, snap.name, hosts, now)
    if spec.tls is not None and spec.tls.mode == "Mutual":
        client = objects.client_name(snap.name)
        wanted[client] = secrets_made.signed(ca, client, (), now, client=True)
    for each, texts in wanted.items():
        body = _secret(snap, each, texts, kind="kubernetes.io/tls")
        await kube.apply(SECRETS, body, manager=LEDGER_MANAGER)


def _secret(
    snap: Snapshot, name: str, texts: secrets_made.Texts, *, owned: bool = True, kind: str = "Opaque"
) -> Object:
    data = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    return {"metadata": objects.metadata(snap, name, owned=owned), "type": kind, "data": data}
