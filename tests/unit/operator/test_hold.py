"""The hold's policies as objects. What they do is tried on a real API server in tests/integration/core."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_operator.canary import hold

USER = "system:serviceaccount:chaffinch-system:chaffinch-operator"


def policies() -> list[dict[str, Any]]:
    """The three policies."""
    return [obj for _, obj in hold.objects(USER, "crd-uid") if not obj["kind"].endswith("Binding")]


def bindings() -> list[dict[str, Any]]:
    """Their bindings."""
    return [obj for _, obj in hold.objects(USER, "crd-uid") if obj["kind"].endswith("Binding")]


def test_names_are_those_that_people_may_rely_on() -> None:
    """Runbooks and RBAC name them; each policy has a binding of its own name."""
    names = ["chaffinch-hold-unproven-templates", "chaffinch-only-operator-releases", "chaffinch-keep-stable-selector"]
    assert [p["metadata"]["name"] for p in policies()] == names
    assert [(b["metadata"]["name"], b["spec"]["policyName"]) for b in bindings()] == [(n, n) for n in names]


def test_policies_look_only_at_labelled_namespaces_and_fail_closed() -> None:
    """Fail closed is safe because the blast radius is small."""
    for policy in policies():
        constraints = policy["spec"]["matchConstraints"]
        assert constraints["namespaceSelector"] == {"matchLabels": {"chaffinch.dev/hold": "enabled"}}
        assert policy["spec"]["failurePolicy"] == "Fail"


def test_no_policy_matches_a_subresource() -> None:
    """Autoscalers and the Deployment controller write to those."""
    resources = [
        r for p in policies() for rule in p["spec"]["matchConstraints"]["resourceRules"] for r in rule["resources"]
    ]
    assert resources == ["deployments", "deployments", "services"]


def test_everything_belongs_to_the_crd() -> None:
    """So that it goes with it, in any order of uninstalling."""
    for _, obj in hold.objects(USER, "crd-uid"):
        assert obj["metadata"]["ownerReferences"] == [
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "name": "canaryrollouts.chaffinch.dev",
                "uid": "crd-uid",
            }
        ]


def test_a_namespace_without_rollouts_is_not_refused() -> None:
    """No param means: nothing to hold."""
    assert {b["spec"]["paramRef"]["parameterNotFoundAction"] for b in bindings()} == {"Allow"}


def test_only_the_operators_account_is_exempt_and_cannot_be_injected() -> None:
    """The name is a quoted CEL literal, whatever is in it."""
    name = 'x" || true || "'
    spec = next(o for _, o in hold.objects(name, "u") if o["kind"] == "ValidatingAdmissionPolicy")["spec"]
    assert spec["matchConditions"][-1]["expression"] == 'request.userInfo.username != "x\\" || true || \\""'


def test_what_we_want_covers_itself() -> None:
    """An untouched policy is no difference."""
    for _, obj in hold.objects(USER, "u"):
        assert hold.covers(obj, copy.deepcopy(obj))


def test_fields_filled_in_by_the_server_are_no_difference() -> None:
    """Else every check would write."""
    wanted = policies()[0]
    live = copy.deepcopy(wanted)
    live["metadata"] |= {"uid": "1", "managedFields": [], "generation": 1}
    live["spec"]["matchConstraints"]["resourceRules"][0]["somethingNew"] = "*"
    assert hold.covers(live, wanted)


@pytest.mark.parametrize("path", ["failurePolicy", "matchConditions", "mutations", "reinvocationPolicy", "paramKind"])
def test_every_missing_field_is_a_difference(path: str) -> None:
    """A weakened policy is repaired."""
    wanted = policies()[0]
    live = copy.deepcopy(wanted)
    del live["spec"][path]
    assert not hold.covers(live, wanted)


def test_an_added_match_condition_is_a_difference() -> None:
    """One more condition could switch the policy off."""
    wanted = policies()[0]
    live = copy.deepcopy(wanted)
    live["spec"]["matchConditions"].append({"name": "never", "expression": "false"})
    assert not hold.covers(live, wanted)


def test_a_filled_empty_selector_is_a_difference() -> None:
    """An objectSelector could take objects out of the policy."""
    wanted = policies()[0]
    live = copy.deepcopy(wanted)
    live["spec"]["matchConstraints"]["objectSelector"] = {"matchLabels": {"a": "b"}}
    assert not hold.covers(live, wanted)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_anything_covers_itself(value: object) -> None:
    """Equality is always enough."""
    assert hold.covers(value, copy.deepcopy(value))


@given(JSON, JSON)
def test_covering_both_ways_is_equality(one: object, other: object) -> None:
    """Only additions to maps are overlooked, and only in one direction."""
    if hold.covers(one, other) and hold.covers(other, one):
        assert one == other
