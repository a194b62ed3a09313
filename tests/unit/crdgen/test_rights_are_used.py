"""The operator's rights are the calls in its code: none is missing, and none is granted that no call needs."""

import ast
from collections.abc import Iterator
from pathlib import Path

from chaffinch_operator import resources
from chaffinch_operator.credits.apply import RESOURCES
from chaffinch_operator.rbac import CLUSTER_RULES, LEASE_RULES, LEDGER_RULES, SHADOW_RULES, Rule
from chaffinch_operator.resources import Resource
from chaffinch_operator.shadow.apply import RESOURCES as OF_EVALUATIONS

Right = tuple[str, str, str]
"""API group, resource with subresource, verb."""

PACKAGE = Path(resources.__file__).parent
VERBS = {
    "get": ("get",),
    "list": ("list",),
    "watch": ("watch",),
    "create": ("create",),
    "update": ("update",),
    "patch": ("patch",),
    "delete": ("delete",),
    "apply": ("create", "patch"),
}
"""Method of Kube -> verbs it needs; server-side apply creates what is not there."""
CONSTANTS = {name: value for name, value in vars(resources).items() if isinstance(value, Resource)}

KINDS = ("canaryrollouts", "creditsledgers", "shadowevaluations")
BY_KOPF = {("chaffinch.dev", kind, verb) for kind in KINDS for verb in ("list", "watch", "patch")} | {
    ("apps", "deployments", verb) for verb in ("list", "watch")
}
"""Its watches, and the finalizer."""
BY_VARIABLE = {
    (group, plural, verb)
    for group, plural in (("apps", "deployments"), ("", "services"), ("gateway.networking.k8s.io", "httproutes"))
    for verb in ("create", "patch", "delete")
} | {
    ("admissionregistration.k8s.io", plural, verb)
    for verb in ("get", "create", "patch")
    for plural in (
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
    )
}
"""Children in canary/apply.py and policies in canary/hold_keeper.py, whose kind is data."""
AS_OWNER = {("chaffinch.dev", f"{kind}/finalizers", "update") for kind in KINDS}
"""Where OwnerReferencesPermissionEnforcement is on."""
BY_NAMESPACE = ("credits", "shadow")
"""Slices whose rights on anything but our own kinds, and what the canary's rights cover, are bound by namespace."""
OUTSIDE = {"chaffinch.dev", "gateway.networking.k8s.io"}
"""API groups of which even these slices' rights hold in every namespace."""
EVERYWHERE = {("apps", "deployments", "list")}
"""What evaluations need and the operator may do in every namespace, for the sake of rollouts."""
DELETED = ("Secret", "Job", "CronJob", "HorizontalPodAutoscaler")
"""What plans of ledgers delete."""
BY_OWNERS = {("", "secrets", "get")}
"""Never granted by us: who owns a Secret that a rollout names lets the operator read that one."""


def calls(source: str) -> Iterator[Right]:
    """Rights that the calls in a source need whose resource is a constant, such as `kube.get(PODS, ...)`."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in VERBS):
            continue
        first = node.args[0] if node.args else None
        if isinstance(first, ast.Name) and first.id in CONSTANTS:
            resource = CONSTANTS[first.id]
            sub = next(
                (
                    f"/{k.value.value!s}"
                    for k in node.keywords
                    if k.arg == "subresource" and isinstance(k.value, ast.Constant)
                ),
                "",
            )
            for verb in VERBS[node.func.attr]:
                if not (sub and verb == "create"):  # a subresource is there with its object
                    yield resource.group, resource.plural + sub, verb


def test_rights_and_calls_are_the_same() -> None:
    """Every call is allowed, and every right is used; Secrets are read by leave of their owners only."""
    called = {right for path in sources() if not of_namespace(path) for right in calls(path.read_text())}
    own = {right for path in sources() if of_namespace(path) for right in calls(path.read_text())}
    needed = called | {right for right in own if right[0] in OUTSIDE} | BY_KOPF | BY_VARIABLE | AS_OWNER
    assert granted(*CLUSTER_RULES, *LEASE_RULES) == needed - BY_OWNERS
    assert needed >= BY_OWNERS


def test_rights_for_ledgers_are_what_their_operations_need() -> None:
    """Every kind is looked at and applied; only Secrets, Jobs, CronJobs and autoscalers are ever deleted."""
    own = {right for path in sources() if "credits" in path.parts for right in calls(path.read_text())}
    children = {(kind.group, kind.plural) for kind in RESOURCES.values()}
    applied = {(*child, verb) for child in children for verb in ("create", "patch")}
    looked = {(*child, "get") for child in children - {("batch", "jobs")}}
    deleted = {(RESOURCES[kind].group, RESOURCES[kind].plural, "delete") for kind in DELETED}
    needed = {right for right in own if right[0] != "chaffinch.dev"} | applied | looked | deleted
    assert granted(*LEDGER_RULES) == needed


def test_rights_for_evaluations_are_what_their_operations_need() -> None:
    """Every kind is looked at and applied; only files and Jobs are ever deleted, Secrets never changed."""
    own = {right for path in sources() if "shadow" in path.parts for right in calls(path.read_text())}
    children = {(kind.group, kind.plural) for kind in OF_EVALUATIONS.values()}
    listed = {("batch", "jobs"), ("", "configmaps")}
    applied = {(*child, verb) for child in children for verb in ("create", "patch")}
    looked = {(*child, "get") for child in children - listed}
    deleted = {(*child, "delete") for child in listed}
    needed = {right for right in own if right[0] not in OUTSIDE} | applied | looked | deleted
    assert granted(*SHADOW_RULES) == needed - EVERYWHERE
    assert granted(*CLUSTER_RULES) >= EVERYWHERE


def of_namespace(path: Path) -> bool:
    """Whether the file is of a slice whose rights are bound by namespace."""
    return bool(set(BY_NAMESPACE) & set(path.relative_to(PACKAGE).parts))


def sources() -> list[Path]:
    """Code that runs in the operator."""
    return [path for path in PACKAGE.rglob("*.py") if not {"cli", "crdgen"} & set(path.relative_to(PACKAGE).parts)]


def granted(*rules: Rule) -> set[Right]:
    """What rules grant."""
    return {(rule.group, resource, verb) for rule in rules for resource in rule.resources for verb in rule.verbs}


def test_a_call_is_found_with_its_subresource() -> None:
    """The scan sees what it should."""
    source = 'kube.apply(CANARYROLLOUTS, x, subresource="status"); kube.list(PODS, "n"); a.get("b")'
    assert set(calls(source)) == {("chaffinch.dev", "canaryrollouts/status", "patch"), ("", "pods", "list")}
