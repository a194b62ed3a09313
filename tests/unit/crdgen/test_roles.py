"""The Roles in manifests/ are the table in `rbac`, and the table is as small as it can be."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from chaffinch_operator import rbac
from chaffinch_operator.canary import hold
from chaffinch_operator.credits.decide import RIGHTS
from chaffinch_operator.rbac import (
    CLUSTER_RULES,
    LEASE_RULES,
    LEDGER_ROLE,
    LEDGER_RULES,
    SHADOW_ROLE,
    SHADOW_RULES,
    USER_ROLES,
    Rule,
)
from chaffinch_operator.settings import Settings

BASE = Path(__file__).parents[3] / "manifests/base"
ALL = (*CLUSTER_RULES, *LEASE_RULES, *(rule for role in USER_ROLES for rule in role.rules))


def documents(name: str) -> list[dict[str, Any]]:
    """Objects of a manifest."""
    return list(yaml.safe_load_all((BASE / name).read_text()))


def granted(role: dict[str, Any]) -> set[tuple[str, str, str, str]]:
    """What a Role grants: (group, resource, verb, name or empty)."""
    return {
        (group, resource, verb, name)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def stated(rules: tuple[Rule, ...]) -> set[tuple[str, str, str, str]]:
    """The same of the table."""
    return {
        (rule.group, resource, verb, name)
        for rule in rules
        for resource in rule.resources
        for verb in rule.verbs
        for name in rule.names or ("",)
    }


@pytest.mark.parametrize(
    ("kind", "name", "rules"),
    [
        ("ClusterRole", "chaffinch-operator", CLUSTER_RULES),
        ("Role", "chaffinch-operator", LEASE_RULES),
        ("ClusterRole", LEDGER_ROLE, LEDGER_RULES),
        ("ClusterRole", SHADOW_ROLE, SHADOW_RULES),
    ],
)
def test_the_manifest_grants_what_the_table_says(kind: str, name: str, rules: tuple[Rule, ...]) -> None:
    """No more, no less."""
    found = {(item["kind"], item["metadata"]["name"]): item for item in documents("rbac.yaml")}
    assert granted(found[kind, name]) == stated(rules)
    assert sum("rules" in item for item in found.values()) == 4


def test_the_rights_for_ledgers_and_evaluations_are_bound_nowhere() -> None:
    """They hold Secrets: only who owns a namespace gives them there."""
    bound = [item["roleRef"]["name"] for item in documents("rbac.yaml") if "roleRef" in item]
    assert bound == ["chaffinch-operator", "chaffinch-operator"]
    assert LEDGER_ROLE == RIGHTS


@pytest.mark.parametrize("role", USER_ROLES, ids=lambda role: role.name)
def test_roles_for_people_are_the_tables(role: rbac.UserRole) -> None:
    """Viewer, editor and admin as stated."""
    (found,) = [item for item in documents("user_roles.yaml") if item["metadata"]["name"] == role.name]
    assert granted(found) == stated(role.rules)


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: f"{rule.group}/{','.join(rule.resources)}")
def test_no_rule_is_a_wildcard(rule: Rule) -> None:
    """Each right is named."""
    assert "*" not in {rule.group, *rule.resources, *rule.verbs}


def test_nothing_reads_secrets_everywhere_or_escalates() -> None:
    """No secrets but where their owner says so, and no verb or resource by which rights beget rights."""
    everything = (*ALL, *LEDGER_RULES)
    assert "secrets" not in {resource for rule in ALL for resource in rule.resources}
    assert not {"serviceaccounts", "roles", "clusterroles"} & {r for rule in everything for r in rule.resources}
    assert not {"bind", "escalate", "impersonate"} & {verb for rule in everything for verb in rule.verbs}


@pytest.mark.parametrize(
    "rule", [*CLUSTER_RULES, *LEASE_RULES, *LEDGER_RULES], ids=lambda rule: ",".join(rule.resources)
)
def test_every_right_has_a_reason(rule: Rule) -> None:
    """A right that nobody can explain is removed."""
    assert rule.why


def test_bindings_name_our_service_account() -> None:
    """The account in the bindings, in the Deployment and in the operator's settings is the same."""
    settings = Settings()
    subjects = [item["subjects"] for item in documents("rbac.yaml") if item["kind"].endswith("Binding")]
    account = {"kind": "ServiceAccount", "name": settings.service_account, "namespace": settings.namespace}
    assert subjects == [[account], [account]]
    (deployment,) = documents("deployment.yaml")
    assert deployment["spec"]["template"]["spec"]["serviceAccountName"] == settings.service_account


def test_names_in_the_table_are_those_the_operator_uses() -> None:
    """A renamed Lease or CRD cannot leave the Role behind."""
    assert (Settings().lease_name, hold.CRD_NAME) == (rbac.LEASE_NAME, rbac.CRD_NAME)
