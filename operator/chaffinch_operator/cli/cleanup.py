"""`cleanup`: undo what an uninstalled operator left behind. It never releases a held Deployment; it says how to.

The order is that of a rollback: traffic off the canary, canary away, Service back, finalizer off, and last the
namespace's label, with which the hold's policies stop looking. Every step may be repeated.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta

import typer

from chaffinch_operator.canary.clock import parse
from chaffinch_operator.cli.documents import cleanup_document
from chaffinch_operator.cli.failures import FAILED, OK, DeclinedError
from chaffinch_operator.cli.rollout import Object, Rollout
from chaffinch_operator.cli.session import Session
from chaffinch_operator.cli.world import FIELD_MANAGER, Gateway
from chaffinch_operator.errors import ChaffinchError, Conflict, KindMissing, NotFound, Refused
from chaffinch_operator.names import (
    ANNOTATION_ISOLATED,
    FINALIZER,
    LABEL_HOLD,
    LABEL_ROLLOUT,
    baseline_name,
    canary_name,
    label_value,
)
from chaffinch_operator.resources import (
    CANARYROLLOUTS,
    DEPLOYMENTS,
    HTTPROUTES,
    LEASES,
    NAMESPACES,
    PODS,
    SERVICES,
    Resource,
)

_HASH = "pod-template-hash"
_ATTEMPTS = 10
_PAUSE_SECONDS = 0.5
_PODS_SECONDS = 60.0
_LEASE_NAME = "chaffinch-operator"
_LEASE_IS_FRESH = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Request:
    """What to clean up; no name is all."""

    name: str | None
    everywhere: bool = False
    confirmed: bool = False
    forced: bool = False


@dataclass(slots=True)
class Report:
    """What was done, and what a person has to do."""

    done: list[tuple[str, str]] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    def did(self, resource: Resource, namespace: str | None, name: str, what: str) -> None:
        """Note one thing done."""
        self.done.append((resource.key(namespace, name), what))


async def clean_up(session: Session, request: Request) -> int:
    """Clean up one CanaryRollout, or all; 1 when something was refused."""
    async with session.cluster() as gateway:
        rollouts = await _chosen(session, gateway, request)
        if not request.forced:
            await _refuse_beside_operator(session, gateway)
        if not rollouts:
            session.warn("Nothing to clean up: no CanaryRollouts found.")
            return OK
        _confirm(session, rollouts, request)
        failures = 0
        for namespace in sorted({r.namespace for r in rollouts}):
            mine = [r for r in rollouts if r.namespace == namespace]
            failures += await _clean_namespace(session, gateway, namespace, mine)
    return FAILED if failures else OK


async def _chosen(session: Session, gateway: Gateway, request: Request) -> list[Rollout]:
    if request.name is not None:
        return [await session.find(gateway, request.name)]
    return sorted(await session.find_all(gateway, everywhere=request.everywhere), key=lambda r: r.key)


async def _refuse_beside_operator(session: Session, gateway: Gateway) -> None:
    """A running operator would put everything back; it cleans up by itself when a CanaryRollout is deleted."""
    try:
        leases = await gateway.list(LEASES)
    except (Refused, KindMissing):
        return
    for lease in leases:
        spec = lease.get("spec", {})
        renewed = parse(str(spec.get("renewTime", "")))
        if (
            lease["metadata"]["name"] == _LEASE_NAME
            and spec.get("holderIdentity")
            and renewed is not None
            and (session.world.now() - renewed < _LEASE_IS_FRESH)
        ):
            raise DeclinedError(
                f"an operator is running ({spec['holderIdentity']}, in {lease['metadata']['namespace']}): "
                "it would undo this",
                "delete the CanaryRollout instead, the operator cleans up; or scale the operator down first; "
                "or insist with --force",
            )


def _confirm(session: Session, rollouts: list[Rollout], request: Request) -> None:
    if request.confirmed:
        return
    for rollout in rollouts:
        session.warn(
            f"{rollout.key}: traffic to stable, canary and baseline removed, Service restored, finalizer removed"
        )
    if not typer.confirm(f"Clean up {len(rollouts)} CanaryRollout{'s' if len(rollouts) > 1 else ''}?", err=True):
        raise DeclinedError("nothing was changed")


async def _clean_namespace(session: Session, gateway: Gateway, namespace: str, rollouts: list[Rollout]) -> int:
    report, failures = Report(), 0
    for rollout in rollouts:
        try:
            await _clean_one(session, gateway, rollout, report)
        except ChaffinchError as error:
            failures += 1
            session.warn(f"error: {rollout.key}: {error}; the rest of it was left as it is, run this again")
    await _unlabel_if_last(gateway, namespace, report)
    if session.wants_data:
        session.print_data(cleanup_document(namespace, report.done, report.commands))
        return failures
    for what, action in report.done:
        session.say(f"{what}: {action}")
    for command in report.commands:
        session.say(command)
    return failures


async def _clean_one(session: Session, gateway: Gateway, rollout: Rollout, report: Report) -> None:
    await _drain_route(gateway, rollout, report)
    await _delete_children(session, gateway, rollout, report)
    await _restore_service(session, gateway, rollout, report)
    await _strip_finalizer(gateway, rollout, report)
    await _tell_held(gateway, rollout, report)


def _children(rollout: Rollout) -> str:
    return f"{LABEL_ROLLOUT}={label_value(rollout.name)}"


async def _drain_route(gateway: Gateway, rollout: Rollout, report: Report) -> None:
    """The route goes with the CanaryRollout that owns it; until then all traffic is stable's."""
    try:
        routes = await gateway.list(HTTPROUTES, rollout.namespace, labels=_children(rollout))
    except KindMissing:
        return
    for route in routes:
        rules = without_backends(route, {canary_name(rollout.service), baseline_name(rollout.service)})
        if rules is None:
            continue
        name = route["metadata"]["name"]
        await gateway.patch(
            HTTPROUTES,
            name,
            rollout.namespace,
            [
                {"op": "test", "path": "/metadata/resourceVersion", "value": route["metadata"]["resourceVersion"]},
                {"op": "replace", "path": "/spec/rules", "value": rules},
            ],
            manager=FIELD_MANAGER,
        )
        report.did(HTTPROUTES, rollout.namespace, name, "all traffic to stable")


def without_backends(route: Object, services: Collection[str]) -> list[Object] | None:
    """The route's rules without these Services; None when they are in none of them."""
    rules = route.get("spec", {}).get("rules", [])
    kept = [
        {**rule, "backendRefs": [b for b in rule["backendRefs"] if b.get("name") not in services]}
        if rule.get("backendRefs")
        else rule
        for rule in rules
    ]
    return None if kept == rules else kept


async def _delete_children(session: Session, gateway: Gateway, rollout: Rollout, report: Report) -> None:
    for deployment in await gateway.list(DEPLOYMENTS, rollout.namespace, labels=_children(rollout)):
        name = deployment["metadata"]["name"]
        if await gateway.delete(DEPLOYMENTS, name, rollout.namespace):
            report.did(DEPLOYMENTS, rollout.namespace, name, "deleted")
        await _wait_for_pods(session, gateway, rollout.namespace, deployment)
    for service in await gateway.list(SERVICES, rollout.namespace, labels=_children(rollout)):
        name = service["metadata"]["name"]
        if await gateway.delete(SERVICES, name, rollout.namespace):
            report.did(SERVICES, rollout.namespace, name, "deleted")


async def _wait_for_pods(session: Session, gateway: Gateway, namespace: str, deployment: Object) -> None:
    """Before the Service takes all pods again, the canary's must be on their way out."""
    wanted = deployment.get("spec", {}).get("selector", {}).get("matchLabels", {})
    labels = ",".join(f"{key}={value}" for key, value in sorted(wanted.items()))
    deadline = session.world.now() + timedelta(seconds=_PODS_SECONDS)
    while labels and session.world.now() < deadline:
        pods = await gateway.list(PODS, namespace, labels=labels)
        if all("deletionTimestamp" in pod["metadata"] for pod in pods):
            return
        await session.world.sleep(_PAUSE_SECONDS)


async def _restore_service(session: Session, gateway: Gateway, rollout: Rollout, report: Report) -> None:
    """First the status, then the selector: while isolatedHash is set, a policy puts the hash back."""
    isolated = rollout.status.isolated_hash
    if not isolated:
        return
    await gateway.patch(
        CANARYROLLOUTS,
        rollout.name,
        rollout.namespace,
        {"status": {"isolatedHash": ""}},
        subresource="status",
        manager=FIELD_MANAGER,
    )
    for attempt in range(_ATTEMPTS):
        service = await gateway.get(SERVICES, rollout.service, rollout.namespace)
        if service is None or service.get("spec", {}).get("selector", {}).get(_HASH) != isolated:
            return
        after = await gateway.patch(
            SERVICES, rollout.service, rollout.namespace, _widening(attempt), manager=FIELD_MANAGER
        )
        if _HASH not in after["spec"]["selector"]:
            report.did(SERVICES, rollout.namespace, rollout.service, f"selects all its pods again, not only {isolated}")
            return
        await session.world.sleep(_PAUSE_SECONDS)
    raise Conflict(
        f"{_HASH} comes back into the selector: is an operator still running?",
        SERVICES.key(rollout.namespace, rollout.service),
    )


def _widening(attempt: int) -> Object:
    """Without the operator's note the selector policy takes the hash out, and the selector stays its owner's.

    Where the policy is gone, or has not noticed yet, we take it out ourselves.
    """
    note: Object = {"metadata": {"annotations": {ANNOTATION_ISOLATED: None}}}
    return {**note, "spec": {"selector": {_HASH: None}}} if attempt else note


async def _strip_finalizer(gateway: Gateway, rollout: Rollout, report: Report) -> None:
    obj = await gateway.get(CANARYROLLOUTS, rollout.name, rollout.namespace)
    finalizers = obj["metadata"].get("finalizers", []) if obj else []
    if obj is None or FINALIZER not in finalizers:
        return
    kept = [f for f in finalizers if f != FINALIZER]
    await gateway.patch(
        CANARYROLLOUTS,
        rollout.name,
        rollout.namespace,
        {"metadata": {"resourceVersion": obj["metadata"]["resourceVersion"], "finalizers": kept}},
        manager=FIELD_MANAGER,
    )
    report.did(
        CANARYROLLOUTS,
        rollout.namespace,
        rollout.name,
        "finalizer removed" + (", gone now" if rollout.deleting else "; it can be deleted now"),
    )


async def _tell_held(gateway: Gateway, rollout: Rollout, report: Report) -> None:
    try:
        target = await gateway.get(DEPLOYMENTS, rollout.target, rollout.namespace)
    except Refused:
        return
    if not target or not target.get("spec", {}).get("paused"):
        return
    first = "" if rollout.deleting else f"kubectl delete canaryrollout {rollout.name} -n {rollout.namespace} && "
    report.commands.append(
        f"Deployment {rollout.namespace}/{rollout.target} is still held; to release its template: "
        f"{first}kubectl rollout resume deployment/{rollout.target} -n {rollout.namespace}"
    )


async def _unlabel_if_last(gateway: Gateway, namespace: str, report: Report) -> None:
    """The label goes when no CanaryRollout of the namespace is under an operator's care any more."""
    left = await gateway.list(CANARYROLLOUTS, namespace)
    if any(FINALIZER in obj["metadata"].get("finalizers", []) for obj in left):
        return
    obj = await gateway.get(NAMESPACES, namespace)
    if obj is None or LABEL_HOLD not in obj["metadata"].get("labels", {}):
        return
    try:
        await gateway.patch(
            NAMESPACES, namespace, None, {"metadata": {"labels": {LABEL_HOLD: None}}}, manager=FIELD_MANAGER
        )
    except NotFound:
        return
    report.did(NAMESPACES, None, namespace, f"label {LABEL_HOLD} removed: templates are not held any more")
