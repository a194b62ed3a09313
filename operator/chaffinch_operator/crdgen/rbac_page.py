"""docs/reference/rbac.md: what the operator may do, and why. Pure."""

from collections.abc import Sequence

from chaffinch_operator.crdgen.markdown import table
from chaffinch_operator.rbac import CLUSTER_RULES, LEASE_RULES, LEDGER_RULES, SHADOW_RULES, USER_ROLES, Rule

_INTRO = """\
<!-- Generated from operator/chaffinch_operator/rbac.py by `python -m chaffinch_operator.crdgen`. -->
# What the operator may do, and why

No secrets in all namespaces, no wildcards. Install it with `manifests/base/rbac.yaml`, made from the same table.
"""
_LEDGERS = """\
## In namespaces with CreditsLedgers

The ClusterRole `chaffinch-credits`. It is bound nowhere: who wants a ledger in a namespace binds it there.

```sh
kubectl create rolebinding chaffinch-credits -n NAMESPACE --clusterrole=chaffinch-credits \\
  --serviceaccount=chaffinch-system:chaffinch-operator
```
"""
_EVALUATIONS = """\
## In namespaces with ShadowEvaluations

The ClusterRole `chaffinch-shadow`, bound nowhere either.

```sh
kubectl create rolebinding chaffinch-shadow -n NAMESPACE --clusterrole=chaffinch-shadow \\
  --serviceaccount=chaffinch-system:chaffinch-operator
```
"""
_USERS = """\
## Roles for people

They are added to the built-in ClusterRoles, so a namespace's editors can use Chaffinch's kinds at once.
"""


def page() -> str:
    """Return the page."""
    users = [
        (
            f"`{role.name}`",
            ", ".join(role.aggregate_to),
            "; ".join(f"{', '.join(rule.verbs)} {', '.join(rule.resources)}" for rule in role.rules),
        )
        for role in USER_ROLES
    ]
    return "\n".join(
        [
            _INTRO,
            "## In every namespace\n",
            _rules(CLUSTER_RULES),
            "## In its own namespace\n",
            _rules(LEASE_RULES),
            _LEDGERS,
            _rules(LEDGER_RULES),
            _EVALUATIONS,
            _rules(SHADOW_RULES),
            _USERS,
            table(("ClusterRole", "Added to", "May"), users),
        ]
    )


def _rules(rules: Sequence[Rule]) -> str:
    return table(
        ("API group", "Resources", "Verbs", "Why"),
        [
            (
                rule.group or "core",
                ", ".join(f"`{name}`" for name in rule.resources)
                + (f" named {', '.join(f'`{name}`' for name in rule.names)}" if rule.names else ""),
                ", ".join(rule.verbs),
                rule.why,
            )
            for rule in rules
        ],
    )
