"""The manifests on a real API server: one command installs, and the operator's rights are enough and no more."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaffinch_operator.canary import hold
from chaffinch_operator.rbac import CLUSTER_RULES, LEASE_RULES, Rule

pytestmark = pytest.mark.apiserver

ROOT = Path(__file__).parents[3]
OPERATOR = "system:serviceaccount:chaffinch-system:chaffinch-operator"
OVERLAYS = ("default", "ha", "local")


def rendered(kubectl: Any, overlay: str) -> list[dict[str, Any]]:
    """Objects of an overlay."""
    out = kubectl("kustomize", ROOT / "manifests/overlays" / overlay).out
    return [item for item in yaml.safe_load_all(out) if item]


def one(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The one object of the kind."""
    (found,) = [item for item in objects if item["kind"] == kind]
    return found


def test_one_command_installs_everything(installed: Any) -> None:
    """`kubectl apply --server-side -k manifests/overlays/default` works on an empty cluster, without a warning."""
    assert (installed.code, installed.err) == (0, "")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_accepted(overlay: str, kubectl: Any) -> None:
    """Each overlay applies over the default one."""
    answer = kubectl("apply", "--server-side", "--dry-run=server", "-k", ROOT / "manifests/overlays" / overlay)
    assert (answer.code, answer.err) == (0, "")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_pod_is_admitted_where_restricted_is_enforced(overlay: str, kubectl: Any) -> None:
    """The operator's pod meets the Pod Security level "restricted" that its namespace enforces."""
    template = one(rendered(kubectl, overlay), "Deployment")["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "spec": template["spec"],
        "metadata": {"name": "probe", "namespace": "chaffinch-system", "labels": template["metadata"]["labels"]},
    }
    answer = kubectl("create", "--dry-run=server", "-f", "-", given=pod)
    assert (answer.code, answer.err) == (0, "")


def test_the_namespace_refuses_a_pod_that_is_not_restricted(kubectl: Any) -> None:
    """The check above can fail: a plain pod is refused there."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "plain", "namespace": "chaffinch-system"},
        "spec": {"containers": [{"name": "a", "image": "a"}]},
    }
    assert "restricted" in kubectl("create", "--dry-run=server", "-f", "-", given=pod).err


def test_the_image_can_be_chosen_by_kustomize(kubectl: Any) -> None:
    """Overlays rename the image by its short name."""
    (container,) = one(rendered(kubectl, "local"), "Deployment")["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("localhost/chaffinch:dev", "IfNotPresent")


def test_high_availability_is_two_spread_replicas_with_a_budget(kubectl: Any) -> None:
    """overlays/ha survives the loss of a node without an interruption of more than a Lease."""
    objects = rendered(kubectl, "ha")
    deployment, budget = one(objects, "Deployment")["spec"], one(objects, "PodDisruptionBudget")["spec"]
    assert deployment["replicas"] == 2
    assert [c["topologyKey"] for c in deployment["template"]["spec"]["topologySpreadConstraints"]] == [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    ]
    assert budget["selector"] == deployment["selector"]


def may(kubectl: Any, verb: str, rule: Rule, namespace: str) -> bool:
    """Whether the API server lets the user; `rule` has one resource and at most one name."""
    resource, _, subresource = rule.resources[0].partition("/")
    attributes = {
        "verb": verb,
        "group": rule.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": namespace,
        "name": rule.names[0] if rule.names else "",
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = kubectl("create", "--raw", path, "-f", "-", given=review)
    return bool(json.loads(answer.out)["status"]["allowed"])


def singles(rule: Rule) -> list[Rule]:
    """The rule for each of its resources."""
    return [replace(rule, resources=(resource,)) for resource in rule.resources]


@pytest.mark.parametrize(
    ("rule", "namespace"),
    [
        pytest.param(single, namespace, id=f"{single.group}/{single.resources[0]} {single.verbs[0]}")
        for rules, namespace in ((CLUSTER_RULES, "any"), (LEASE_RULES, "chaffinch-system"))
        for rule in rules
        for single in singles(rule)
    ],
)
def test_the_operator_may_do_what_the_table_says(rule: Rule, namespace: str, as_operator: Any) -> None:
    """Each verb of the table is granted where it should be."""
    assert [verb for verb in rule.verbs if not may(as_operator, verb, rule, namespace)] == []


@pytest.mark.parametrize(
    ("verb", "group", "resource", "namespace", "name"),
    [
        ("get", "", "secrets", "any", ""),
        ("list", "", "configmaps", "any", ""),
        ("create", "", "pods", "any", ""),
        ("delete", "", "pods", "any", ""),
        ("delete", "", "namespaces", "", "any"),
        ("update", "chaffinch.dev", "canaryrollouts", "any", ""),
        ("delete", "chaffinch.dev", "canaryrollouts", "any", ""),
        ("create", "coordination.k8s.io", "leases", "any", ""),
        ("patch", "coordination.k8s.io", "leases", "chaffinch-system", "other"),
        ("get", "apiextensions.k8s.io", "customresourcedefinitions", "", "other"),
        ("update", "rbac.authorization.k8s.io", "clusterroles", "", "any"),
    ],
)
def test_the_operator_may_not_do_more(
    verb: str, group: str, resource: str, namespace: str, name: str, as_operator: Any
) -> None:
    """No secrets, no pods, no other Leases or CRDs, no rights over rights."""
    assert not may(as_operator, verb, Rule(group, (resource,), (verb,), "", (name,)), namespace)


def test_the_operators_rights_suffice_to_install_the_hold(kubectl: Any, as_operator: Any) -> None:
    """The API server lets the operator create policies with a parameter kind, which needs read access to it."""
    crd = as_operator.json("get", "crd", "canaryrollouts.chaffinch.dev")
    policies = hold.objects(OPERATOR, crd["metadata"]["uid"])
    for _, item in policies:
        answer = as_operator("apply", "--server-side", "-f", "-", given=item)
        assert answer.code == 0, answer.err
    for _, item in reversed(policies):
        kubectl("delete", "-f", "-", given=item)


@pytest.mark.parametrize(
    ("role", "verb", "allowed"),
    [
        ("view", "get", True),
        ("view", "patch", False),
        ("edit", "patch", True),
        ("edit", "delete", True),
        ("admin", "watch", True),
    ],
)
def test_the_built_in_roles_include_ours(role: str, verb: str, allowed: bool, kubectl: Any) -> None:
    """Roles for people carry the labels by which view, edit and admin take them in."""
    roles = kubectl.json("get", "clusterroles", "-l", f"rbac.authorization.k8s.io/aggregate-to-{role}=true")["items"]
    rules = [rule for item in roles for rule in item["rules"] or () if "canaryrollouts" in rule.get("resources", ())]
    assert any(verb in rule["verbs"] for rule in rules) is allowed


def built(kubectl: Any, folder: Path, **kustomization: object) -> list[dict[str, Any]]:
    """Objects of a kustomization written for this test."""
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    answer = kubectl("kustomize", folder)
    assert answer.code == 0, answer.err
    return list(yaml.safe_load_all(answer.out))


def test_the_monitoring_component_can_be_added_to_an_overlay(tmp_path: Path, kubectl: Any) -> None:
    """Alerts and PodMonitor come in the operator's namespace."""
    objects = built(
        kubectl,
        tmp_path,
        resources=[relative(tmp_path, "overlays/default")],
        components=[relative(tmp_path, "components/monitoring")],
    )
    assert one(objects, "PodMonitor")["metadata"]["namespace"] == "chaffinch-system"
    assert one(objects, "PrometheusRule")["metadata"]["namespace"] == "chaffinch-system"


def test_the_argo_cd_component_adds_to_its_config_map(tmp_path: Path, kubectl: Any) -> None:
    """What stands in argocd-cm stays, health and actions are added."""
    present = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "argocd-cm"},
        "data": {"url": "https://cd"},
    }
    (tmp_path / "argocd-cm.yaml").write_text(yaml.safe_dump(present))
    objects = built(kubectl, tmp_path, resources=["argocd-cm.yaml"], components=[relative(tmp_path, "argocd")])
    assert one(objects, "ConfigMap")["data"].keys() == {
        "url",
        "resource.customizations.health.chaffinch.dev_CanaryRollout",
        "resource.customizations.actions.chaffinch.dev_CanaryRollout",
        "resource.customizations.health.chaffinch.dev_CreditsLedger",
        "resource.customizations.health.chaffinch.dev_ShadowEvaluation",
    }


def relative(folder: Path, name: str) -> str:
    """Path of a folder of manifests as kustomize wants it."""
    return os.path.relpath(ROOT / "manifests" / name, folder)


def test_uninstalling_takes_everything_away(kubectl: Any) -> None:
    """`kubectl delete -k` names every object that was installed."""
    answer = kubectl("delete", "--dry-run=server", "-k", ROOT / "manifests/overlays/default")
    assert answer.code == 0
    assert len(answer.out.splitlines()) == len(rendered(kubectl, "default"))
