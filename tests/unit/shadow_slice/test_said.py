"""What the service says, as the status tells it."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_operator.schema import compact
from chaffinch_operator.shadow.said import UnusableError, require, told
from unit.shadow_slice.builders import ADOPT, NEW, NOW, UID, answer, route, spec, step, up

MOST = 16 * 1024


def test_counts_are_whole_numbers_and_the_rest_decimal_strings() -> None:
    """Whatever the service writes them as."""
    found = told(NEW, answer(cells=[str(n) for n in range(8)]), final=True)
    assert found.cells == list(range(8))
    assert (found.metrics[0].control, found.metrics[0].low) == ("0.9", "0.01")
    assert found.coverage.share == "0.9991"


def test_lost_and_gained_are_told_apart_for_attacks_and_for_harmless_requests() -> None:
    """Detections that are lost are never netted against gains."""
    found = told(NEW, answer(), final=True).discordant
    assert (found.lost, found.gained, found.new_false_alarms, found.repaired_false_alarms) == (3, 9, 2, 1)


def test_what_has_no_value_is_a_word_and_no_zero() -> None:
    """As the service says it."""
    metric = {"name": "recall", "control": "NotAvailable", "candidate": 0.5, "interval": "NotAvailable"}
    found = told(NEW, answer(metrics=[metric]), final=True)
    assert (found.metrics[0].control, found.metrics[0].low, found.auc) == ("NotAvailable", "", None)


def test_drops_are_summed_over_sizes_most_first() -> None:
    """The status has no room for both."""
    dropped = [
        {"reason": "TooLarge", "size": "1Mi", "copies": "2"},
        {"reason": "QueueFull", "size": "1Ki", "copies": "3"},
        {"reason": "QueueFull", "size": "none", "copies": "4"},
    ]
    found = told(NEW, answer(coverage={"received": "9", "pairs": "0", "dropped": dropped}), final=True)
    assert [(d.reason, d.copies) for d in found.coverage.dropped] == [("QueueFull", 7), ("TooLarge", 2)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"generation": 2}, "earlier spec"),
        ({"uid": "another"}, "earlier spec"),
        ({"verdict": "Maybe"}, "Maybe"),
    ],
)
def test_an_answer_about_something_else_is_not_used(changes: dict[str, Any], words: str) -> None:
    """Such as of the pod that is being replaced."""
    with pytest.raises(UnusableError, match=words):
        require(answer(**changes), UID, 1)


@pytest.mark.parametrize("changes", [{"cells": ["x"]}, {"cells": [2**63]}, {"discordant": {}}, {"metrics": [{}]}])
def test_an_answer_that_is_not_understood_says_so(changes: dict[str, Any]) -> None:
    """It is refused as a whole."""
    with pytest.raises(UnusableError):
        told(NEW, answer(**changes), final=True)


TEXT = st.text(max_size=3000)
LONG = st.builds(
    lambda text, big: answer(
        cells=[big] * 8,
        reasons=[{"reason": text, "message": text}] * 40,
        strata=[{"name": text, "cells": [big] * 8, "lost": big, "gained": big}] * 40,
        metrics=[{"name": text, "control": text, "candidate": text, "interval": [1e-300, 1e300]}] * 40,
        coverage={"received": big, "dropped": [{"reason": f"{n}{text}", "copies": big} for n in range(40)]},
    ),
    TEXT,
    st.integers(0, 2**63 - 1),
)


@given(LONG)
def test_no_answer_makes_the_status_larger_than_16_kib(said: dict[str, Any]) -> None:
    """Long words are cut, long lists too."""
    wanted = spec(traffic=ADOPT, actions={"onPromote": "StartCanary", "canaryRolloutRef": {"name": "waf"}})
    world = up(routes={"waf": route()})
    _, status = step(wanted, NEW, world)
    _, status = step(wanted, status, replace(world, said=said), NOW)
    assert len(json.dumps(compact(status), ensure_ascii=False)) < MOST
