"""I/O: carry out the planned writes, in their order. Each is idempotent; a conflict ends the pass and is looked at anew."""

from collections.abc import Mapping, Sequence
from typing import Any

from chaffinch_operator import names
from chaffinch_operator.canary import objects
from chaffinch_operator.canary.plan import Apply, Delete, Isolate, Operation, Unisolate, Unpause
from chaffinch_operator.canary.report import compact
from chaffinch_operator.canary.status import CanaryRolloutStatus
from chaffinch_operator.kube import CANARYROLLOUTS, DEPLOYMENTS, HTTPROUTES, SERVICES, Kube

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
        case Isolate(service, wanted):
            await kube.apply(SERVICES, objects.isolation_note(service, namespace, wanted))
        case Unisolate(service, version):
            await kube.patch(SERVICES, service, namespace, _without_isolation(version))
        case Unpause(deployment, version):
            await kube.patch(DEPLOYMENTS, deployment, namespace, [
                {"op": "test", "path": "/metadata/resourceVersion", "value": version},
                {"op": "remove", "path": "/spec/paused"}])


def _without_isolation(version: str) -> dict[str, Any]:
    """A merge patch with a precondition: removes our note, and the selector's key where it still is."""
    return {"metadata": {"resourceVersion": version, "annotations": {names.ANNOTATION_ISOLATED: None}},
            "spec": {"selector": {"pod-template-hash": None}}}
