"""docs/reference/rbac.md: what the operator may do, and why. Pure."""

from collections.abc import Sequence

from chaffinch_operator.crdgen.markdown import table
from chaffinch_operator.rbac import CLUSTER_RULES, LEASE_RULES, USER_ROLES, Rule

_INTRO = """\
<!-- Generated from operator/chaffinch_operator/rbac.py by `python -m chaffinch_operator.crdgen`. -->
# What the operator may do, and why

No secrets, no wildcards. Install it with `manifests/base/rbac.yaml`, which is made from the same table.
"""
_USERS = """\
## Roles for people

They are added to the built-in ClusterRoles, so a namespace's editors can use CanaryRollouts at once.
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
