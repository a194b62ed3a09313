"""The JSON of status: a structure that scripts may rely on."""

import json
import math

import pytest

from chaffinch_operator.cli.documents import list_document, rollout_document
from chaffinch_operator.cli.rollout import rollout_of
from unit.cli.builders import NOW, at_rest, gate, rollout, status


def test_a_document_has_the_documented_fields() -> None:
    """docs/cli.md lists them; fewer would break somebody's script."""
    document = rollout_document(rollout_of(rollout(status=status())), NOW)
    assert list(document) == [
        "kind",
        "version",
        "namespace",
        "name",
        "target",
        "service",
        "generation",
        "status",
        "computed",
    ]
    assert list(document["computed"]) == [
        "outcome",
        "seen",
        "upToDate",
        "deleting",
        "notUnderstood",
        "ageSeconds",
        "decisionAgeSeconds",
        "step",
        "thresholds",
        "gates",
        "next",
    ]
    assert list(document["computed"]["gates"][0]) == [
        "name",
        "gateKind",
        "verdict",
        "acting",
        "canaryShare",
        "baselineShare",
        "ratio",
        "low",
        "high",
        "pValue",
        "harm",
        "safe",
    ]


def test_the_status_is_the_objects_own() -> None:
    """Also what this version does not know is passed on untouched."""
    raw = status(somethingNew={"a": 1})
    assert rollout_document(rollout_of(rollout(status=raw)), NOW)["status"] == raw


def test_what_is_infinite_or_unknown_is_null() -> None:
    """JSON has no infinity; every document can be read back strictly."""
    gates = [gate("errors", interval=["0.5", "inf"], logESafe="-inf"), gate("slow")]
    document = rollout_document(rollout_of(rollout(status=status(gates=gates))), NOW)
    json.dumps(document, allow_nan=False)
    first, second = document["computed"]["gates"]
    assert (first["low"], first["high"], first["safe"]["logE"], second["ratio"]) == (0.5, None, None, None)


def test_thresholds_are_natural_logarithms() -> None:
    """The same scale as status.gates[].logEHarm."""
    thresholds = rollout_document(rollout_of(rollout(status=status())), NOW)["computed"]["thresholds"]
    assert thresholds["gates"] == 3
    assert (thresholds["logEHarm"], thresholds["logESafe"]) == pytest.approx((math.log(60), math.log(20)))


def test_a_list_is_sorted_by_namespace_and_name() -> None:
    """Equal clusters give equal lists."""
    names = (("b", "x"), ("a", "x"), ("z", "a"))
    document = list_document([rollout_of(rollout(name, where, status=at_rest())) for name, where in names], NOW)
    assert [(i["namespace"], i["name"]) for i in document["items"]] == [("a", "z"), ("x", "a"), ("x", "b")]
    assert document["kind"] == "RolloutStatusList"


def test_an_unseen_rollout_has_a_document() -> None:
    """Nothing is taken for granted."""
    computed = rollout_document(rollout_of(rollout()), NOW)["computed"]
    assert (computed["seen"], computed["outcome"], computed["gates"]) == (False, "Running", [])
