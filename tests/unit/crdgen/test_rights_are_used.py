"""The operator's rights are the calls in its code: none is missing, and none is granted that no call needs."""

import ast
from collections.abc import Iterator
from pathlib import Path

from chaffinch_operator import resources
from chaffinch_operator.rbac import CLUSTER_RULES, LEASE_RULES
from chaffinch_operator.resources import Resource

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

BY_KOPF = {("chaffinch.dev", "canaryrollouts", verb) for verb in ("list", "watch", "patch")} | {
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
AS_OWNER = {("chaffinch.dev", "canaryrollouts/finalizers", "update")}
"""Where OwnerReferencesPermissionEnforcement is on."""
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
    sources = [path for path in PACKAGE.rglob("*.py") if not {"cli", "crdgen"} & set(path.relative_to(PACKAGE).parts)]
    called = {right for path in sources for right in calls(path.read_text())}
    granted = {
        (rule.group, resource, verb)
        for rule in (*CLUSTER_RULES, *LEASE_RULES)
        for resource in rule.resources
        for verb in rule.verbs
    }
    needed = called | BY_KOPF | BY_VARIABLE | AS_OWNER
    assert granted == needed - BY_OWNERS
    assert needed >= BY_OWNERS


def test_a_call_is_found_with_its_subresource() -> None:
    """The scan sees what it should."""
    source = 'kube.apply(CANARYROLLOUTS, x, subresource="status"); kube.list(PODS, "n"); a.get("b")'
    assert set(calls(source)) == {("chaffinch.dev", "canaryrollouts/status", "patch"), ("", "pods", "list")}
