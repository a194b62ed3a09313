"""What only a person can repair, with the way out. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from chaffinch_operator.children.database import SecretKeyRef
from chaffinch_operator.children.seen import JobState
from chaffinch_operator.shadow.model import ServiceRef, ShadowEvaluationSpec
from chaffinch_operator.shadow.objects import migration_name
from chaffinch_operator.shadow.reasons import Reason
from chaffinch_operator.shadow.snapshot import Snapshot

RIGHTS = "chaffinch-shadow"
"""ClusterRole that people bind in the namespaces of their evaluations; said in `rbac` too."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why nothing goes on, and what to do."""

    reason: Reason
    message: str


def first(spec: ShadowEvaluationSpec, snap: Snapshot) -> Problem | None:
    """The one that must be repaired first."""
    if snap.rights_missing:
        return Problem(Reason.RIGHTS_MISSING, _rights(snap))
    for found in (_name_taken(snap), _secret(spec, snap), _service(spec, snap), _route(spec, snap)):
        if found is not None:
            return found
    if snap.migration is JobState.FAILED:
        message = (
            f"the migration for {snap.image} failed: see kubectl logs -n {snap.namespace} -l "
            f"chaffinch.dev/evaluation={snap.name},chaffinch.dev/component=migration; "
            f"delete Job {migration_name(spec, snap)} to try again"
        )
        return Problem(Reason.MIGRATION_FAILED, message)
    return None


def secrets(spec: ShadowEvaluationSpec) -> Iterator[tuple[str, SecretKeyRef]]:
    """Path in the spec and reference of every Secret key that somebody else must provide."""
    if spec.database.external is not None:
        yield "database.external.dsnSecretRef", spec.database.external.dsn_secret_ref


def services(spec: ShadowEvaluationSpec) -> Iterator[tuple[str, ServiceRef]]:
    """Path in the spec and reference of every Service."""
    yield "control.serviceRef", spec.control.service_ref
    yield "candidate.serviceRef", spec.candidate.service_ref
    if spec.noise_control is not None:
        yield "noiseControl.serviceRef", spec.noise_control.service_ref


def _name_taken(snap: Snapshot) -> Problem | None:
    for (kind, name), found in snap.objects.items():
        if not found.ours:
            message = f"{kind} {name} exists and is not of this ShadowEvaluation: remove it, or take another name"
            return Problem(Reason.NAME_TAKEN, message)
    return None


def _secret(spec: ShadowEvaluationSpec, snap: Snapshot) -> Problem | None:
    for field, ref in secrets(spec):
        keys = snap.secrets.get(ref.name)
        if keys is None:
            message = f"spec.{field}: there is no Secret {ref.name} in namespace {snap.namespace}: create it"
            return Problem(Reason.SECRET_NOT_FOUND, message)
        if ref.key not in keys:
            has = ", ".join(sorted(keys)) or "none"
            message = f"spec.{field}: Secret {ref.name} has no key {ref.key} (it has: {has}): add it or name another"
            return Problem(Reason.SECRET_KEY_NOT_FOUND, message)
    return None


def _service(spec: ShadowEvaluationSpec, snap: Snapshot) -> Problem | None:
    for field, ref in services(spec):
        ports = snap.services.get(ref.name)
        if ports is None:
            message = f"spec.{field}: there is no Service {ref.name} in namespace {snap.namespace}: create it"
            return Problem(Reason.SERVICE_NOT_FOUND, message)
        if ref.port not in ports:
            has = ", ".join(map(str, ports)) or "none"
            message = f"spec.{field}: Service {ref.name} has no port {ref.port} (it has: {has}): name one of them"
            return Problem(Reason.SERVICE_NOT_FOUND, message)
    return None


def _route(spec: ShadowEvaluationSpec, snap: Snapshot) -> Problem | None:
    mirror = spec.traffic.mirror
    if mirror is None or mirror.http_route_ref is None:
        return None
    field, name = "spec.traffic.mirror.httpRouteRef", mirror.http_route_ref.name
    if not snap.routes_served:
        message = f"{field}: the cluster does not serve gateway.networking.k8s.io/v1 HTTPRoute: install the Gateway API"
        return Problem(Reason.GATEWAY_API_MISSING, message)
    if name not in snap.routes:
        message = f"{field}: there is no HTTPRoute {name} in namespace {snap.namespace}: create it, or name another"
        return Problem(Reason.ROUTE_NOT_FOUND, message)
    return None


def _rights(snap: Snapshot) -> str:
    account = f"{snap.operator_namespace}:{snap.operator_account}"
    return (
        f"the operator may not work in namespace {snap.namespace} ({snap.rights_missing}): kubectl create rolebinding "
        f"{RIGHTS} -n {snap.namespace} --clusterrole={RIGHTS} --serviceaccount={account}"
    )
