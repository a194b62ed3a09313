"""Role objects from the table in `rbac`. Pure."""

from collections.abc import Sequence
from typing import Any

from chaffinch_operator.rbac import (
    CLUSTER_RULES,
    LEASE_RULES,
    LEDGER_ROLE,
    LEDGER_RULES,
    SHADOW_ROLE,
    SHADOW_RULES,
    USER_ROLES,
    Rule,
    UserRole,
)

OPERATOR = "chaffinch-operator"
NAMESPACE = "chaffinch-system"
_API = "rbac.authorization.k8s.io"


def operator_roles() -> list[dict[str, Any]]:
    """Return what the operator's service account may do: everywhere, at home, with ledgers and with evaluations."""
    return [
        _role("ClusterRole", {"name": OPERATOR}, CLUSTER_RULES),
        _binding("ClusterRole", {"name": OPERATOR}),
        _role("Role", {"name": OPERATOR, "namespace": NAMESPACE}, LEASE_RULES),
        _binding("Role", {"name": OPERATOR, "namespace": NAMESPACE}),
        _role("ClusterRole", {"name": LEDGER_ROLE}, LEDGER_RULES),
        _role("ClusterRole", {"name": SHADOW_ROLE}, SHADOW_RULES),
    ]


def user_roles() -> list[dict[str, Any]]:
    """Return the ClusterRoles for people, aggregated to view, edit and admin."""
    return [_user_role(role) for role in USER_ROLES]


def _user_role(role: UserRole) -> dict[str, Any]:
    labels = {f"{_API}/aggregate-to-{rank}": "true" for rank in role.aggregate_to}
    return _role("ClusterRole", {"name": role.name, "labels": labels}, role.rules)


def _role(kind: str, metadata: dict[str, Any], rules: Sequence[Rule]) -> dict[str, Any]:
    return {"apiVersion": f"{_API}/v1", "kind": kind, "metadata": metadata, "rules": [_rule(rule) for rule in rules]}


def _rule(rule: Rule) -> dict[str, Any]:
    rendered: dict[str, Any] = {"apiGroups": [rule.group], "resources": list(rule.resources)}
    if rule.names:
        rendered["resourceNames"] = list(rule.names)
    return {**rendered, "verbs": list(rule.verbs)}


def _binding(kind: str, metadata: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": f"{_API}/v1",
        "kind": f"{kind}Binding",
        "metadata": metadata,
        "roleRef": {"apiGroup": _API, "kind": kind, "name": OPERATOR},
        "subjects": [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": NAMESPACE}],
    }
