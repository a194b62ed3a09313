"""I/O: carry the plan out, write by write. What is made once is only ever created, never overwritten."""

import base64
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from chaffinch_operator.children.passwords import password
from chaffinch_operator.children.writes import Apply, Delete
from chaffinch_operator.kube import Kube
from chaffinch_operator.names import EVALUATION_MANAGER
from chaffinch_operator.resources import (
    CANARYROLLOUTS,
    CONFIGMAPS,
    CRONJOBS,
    DEPLOYMENTS,
    HTTPROUTES,
    JOBS,
    NETWORK_POLICIES,
    SECRETS,
    SERVICES,
    SHADOWEVALUATIONS,
    STATEFULSETS,
)
from chaffinch_operator.schema import compact
from chaffinch_operator.shadow import objects
from chaffinch_operator.shadow.canary import Start
from chaffinch_operator.shadow.plan import MakeSecret, Operation, PatchRoute, Secret
from chaffinch_operator.shadow.snapshot import Snapshot
from chaffinch_operator.shadow.status import ShadowEvaluationStatus

RESOURCES = {
    each.kind: each for each in (CONFIGMAPS, CRONJOBS, DEPLOYMENTS, JOBS, NETWORK_POLICIES, SERVICES, STATEFULSETS)
}
_TOKEN_BYTES = 32


async def write_status(kube: Kube, body: Mapping[str, Any], status: ShadowEvaluationStatus) -> None:
    """Write the status, fenced: Conflict when the object changed since `body` was read, or was made anew."""
    meta = body["metadata"]
    fence = {k: meta[k] for k in ("name", "namespace", "uid", "resourceVersion")}
    new = {"metadata": fence, "status": compact(status)}
    await kube.apply(SHADOWEVALUATIONS, new, subresource="status", manager=EVALUATION_MANAGER)


async def carry_out(kube: Kube, snap: Snapshot, operations: Sequence[Operation]) -> None:
    """Do the writes one after the other."""
    for operation in operations:
        match operation:
            case Apply(kind, body):
                await kube.apply(RESOURCES[kind], body, manager=EVALUATION_MANAGER)
            case Delete(kind, name):
                await kube.delete(RESOURCES[kind], name, snap.namespace)
            case MakeSecret(what, name):
                await _make(kube, snap, what, name)
            case PatchRoute(name, patch):
                await kube.patch(HTTPROUTES, name, snap.namespace, list(patch), manager=EVALUATION_MANAGER)
            case Start(name, version):
                await kube.patch(CANARYROLLOUTS, name, snap.namespace, _unsuspend(version), manager=EVALUATION_MANAGER)


async def _make(kube: Kube, snap: Snapshot, what: Secret, name: str) -> None:
    texts = (
        password(f"{name}.{snap.namespace}.svc", objects.ROLE)
        if what is Secret.PASSWORD
        else {"token": secrets.token_urlsafe(_TOKEN_BYTES)}
    )
    data = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    body = {"metadata": objects.owner(snap).metadata(name), "type": "Opaque", "data": data}
    await kube.create(SECRETS, body, manager=EVALUATION_MANAGER)


def _unsuspend(version: str) -> list[dict[str, Any]]:
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "add", "path": "/spec/suspend", "value": False},
    ]
