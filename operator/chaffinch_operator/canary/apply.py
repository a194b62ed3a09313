"""I/O: carry out the planned writes, in their order. Each is idempotent; a conflict ends the pass."""

from collections.abc import Mapping, Sequence
from typing import Any

from chaffinch_operator.canary import objects
from chaffinch_operator.canary.plan import Apply, Delete, Isolate, Operation, Unisolate, Unpause
from chaffinch_operator.canary.revision import HASH_LABEL
from chaffinch_operator.canary.status import CanaryRolloutStatus
from chaffinch_operator.kube import CANARYROLLOUTS, DEPLOYMENTS, HTTPROUTES, SERVICES, Kube
from chaffinch_operator.schema import compact

_RESOURCES = {"Deployment": DEPLOYMENTS, "Service": SERVICES, "HTTPRoute": HTTPROUTES}


async def write_status(kube: Kube, body: Mapping[str, Any], status: CanaryRolloutStatus) -> None:
    """Write the status, fenced: Conflict when the object changed since `body` was read, or was made anew."""
    meta = body["metadata"]
    fence = {k: meta[k] for k in ("name", "namespace", "uid", "resourceVersion")}
    await kube.apply(CANARYROLLOUTS, {"metadata": fence, "status": compact(status)}, subresource="status")


async def carry_out(kube: Kube, namespace: str, operations: Sequence[Operation]) -> None:
    """Do the writes one after the other."""
    for operation in operations:
        await _do(kube, namespace, operation)


async def _do(kube: Kube, namespace: str, operation: Operation) -> None:
    match operation:
        case Apply(kind, body):
            await kube.apply(_RESOURCES[kind], body)
        case Delete(kind, name):
            await kube.delete(_RESOURCES[kind], name, namespace)
        case Isolate(service, rollout):
            await kube.apply(SERVICES, objects.isolation_note(service, namespace, rollout))
        case Unisolate(service):
            await _unisolate(kube, namespace, service)
        case Unpause(deployment, version):
            await kube.patch(
                DEPLOYMENTS,
                deployment,
                namespace,
                [
                    {"op": "test", "path": "/metadata/resourceVersion", "value": version},
                    {"op": "remove", "path": "/spec/paused"},
                ],
            )


async def _unisolate(kube: Kube, namespace: str, service: str) -> None:
    """Remove our note, upon which the policy widens the selector; do it ourselves where it did not."""
    body = await kube.apply(SERVICES, objects.isolation_note(service, namespace, ""))
    if HASH_LABEL in (body["spec"].get("selector") or {}):
        await kube.patch(SERVICES, service, namespace, {"spec": {"selector": {HASH_LABEL: None}}})
