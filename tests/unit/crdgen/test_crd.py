"""What every CRD of ours must say, whatever its models say."""

from typing import Any

import pytest

from chaffinch_operator.canary.model import DEFAULT_STEPS
from chaffinch_operator.crdgen.crd import CANARY_ROLLOUT, KINDS, Kind, definition
from chaffinch_operator.crdgen.schema import Schema, walk


def version(kind: Kind) -> dict[str, Any]:
    """The only version."""
    (only,) = definition(kind)["spec"]["versions"]
    found: dict[str, Any] = only
    return found


def schema(kind: Kind, part: str) -> Schema:
    """Schema of spec or status."""
    found: Schema = version(kind)["schema"]["openAPIV3Schema"]["properties"][part]
    return found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_names_and_category(kind: Kind) -> None:
    """Each kind has a short name and our category, never `all`."""
    names = definition(kind)["spec"]["names"]
    assert names["shortNames"] == [kind.short]
    assert names["categories"] == ["chaffinch"]
    assert definition(kind)["metadata"]["name"] == f"{names['plural']}.chaffinch.dev"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_columns_are_ready_reason_one_number_and_age(kind: Kind) -> None:
    """A glance is enough; everything else is behind -o wide."""
    glance = [column.name for column in kind.columns if not column.wide]
    assert glance[:2] == ["Ready", "Reason"]
    assert glance[-1] == "Age"
    assert len(glance) == 4


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_status_is_a_subresource(kind: Kind) -> None:
    """Users and operator cannot overwrite each other."""
    assert version(kind)["subresources"] == {"status": {}}


@pytest.mark.parametrize("part", ["spec", "status"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_field_says_what_it_means(kind: Kind, part: str) -> None:
    """`kubectl explain` has a sentence for each field, beside items of lists, whose list has it."""
    silent = [path for path, node in walk(schema(kind, part)) if not node.get("description")]
    assert [path for path in silent if not path.endswith("[]")] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_rule_has_a_message_for_people(kind: Kind) -> None:
    """No user reads a CEL expression."""
    rules = [rule for _, node in walk(schema(kind, "spec")) for rule in node.get("x-kubernetes-validations", [])]
    assert rules
    assert all(rule["message"] and rule["message"] != rule["rule"] for rule in rules)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_conditions_are_a_map_by_type(kind: Kind) -> None:
    """Server-side apply can own one condition, and each says what generation it is about."""
    conditions = schema(kind, "status")["properties"]["conditions"]
    assert (conditions["x-kubernetes-list-type"], conditions["x-kubernetes-list-map-keys"]) == ("map", ["type"])
    assert "observedGeneration" in conditions["items"]["required"]


def test_default_steps_are_in_the_crd() -> None:
    """People see by `kubectl explain` and `kubectl get -o yaml` what happens by default."""
    assert schema(CANARY_ROLLOUT, "spec")["properties"]["steps"]["default"] == DEFAULT_STEPS


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_the_crd_fits_the_annotation_of_client_side_apply(kind: Kind) -> None:
    """256 KiB is the limit of last-applied-configuration."""
    assert len(str(definition(kind))) < 256 * 1024
