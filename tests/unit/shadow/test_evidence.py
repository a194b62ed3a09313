"""Labels and coverage: what may be concluded from, and what damages it."""

from fractions import Fraction
from typing import Any

import orjson
import pytest

from chaffinch_shadow.collect.coverage import Coverage, damage
from chaffinch_shadow.collect.evaluation import BadEvaluationError, load
from chaffinch_shadow.collect.labels import Group, LabelState, report
from chaffinch_shadow.collect.tally import Key, Tally
from chaffinch_shadow.collect.words import Drop, size_class
from unit.shadow.copies import evaluation_file

SILENT = 0


def group(verdicts: int, state: str, pairs: int, *, audited: bool = False) -> Group:
    """So many pairs."""
    return Group("all", verdicts, audited, LabelState(state), pairs)


def test_labels_that_do_not_count_are_told_apart() -> None:
    """Late, contradictory, missing and pending labels are no labels, each for its own reason."""
    found = report([group(3, state.value, 1 + place) for place, state in enumerate(LabelState)], None)
    assert found.tally.cells == (0, 0, 0, 2, 0, 0, 0, 1)
    assert found.tally.unlabelled == (0, 0, 0, 3 + 4 + 5 + 6)
    assert found.maturity == Fraction(3, 15)


def test_an_audit_is_weighted_by_its_rate() -> None:
    """Audited concordant pairs stand for all of them; labels given for convenience do not count twice."""
    found = report(
        [
            group(0, "negative", 99, audited=True),
            group(0, "positive", 1, audited=True),
            group(0, "positive", 500),
            group(1, "positive", 7),
            group(3, "positive", 2, audited=True),
        ],
        Fraction(1, 100),
    )
    assert list(found.weighted or ()) == [9900, 0, 0, 0, 100, 7, 0, 200]
    assert found.maturity == 1


def test_labels_only_for_detections_prove_nothing() -> None:
    """Missed attacks would be invisible."""
    seen = [group(3, "positive", 50), group(1, "positive", 5)]
    assert report([*seen, group(SILENT, "missing", 30)], None).only_for_detections
    assert not report([*seen, group(SILENT, "missing", 29)], None).only_for_detections
    assert not report([*seen, group(SILENT, "pending", 999)], None).only_for_detections
    assert not report([*seen, group(SILENT, "missing", 30), group(SILENT, "negative", 1)], None).only_for_detections


def covered(pairs: int, **drops: int) -> Coverage:
    """Coverage with so many pairs and drops."""
    counts: dict[Key, int] = {("dropped", reason, "none"): n for reason, n in drops.items()}
    return Coverage.of(Tally({("paired", "1Ki"): pairs, **counts}))


@pytest.mark.parametrize(
    ("coverage", "concluded"),
    [
        (covered(999, QueueFull=1), True),
        (covered(998, QueueFull=1), False),
        (covered(998, QueueFull=1, TooLarge=1), False),
        (covered(10, Duplicate=10, UnsafeMethod=99, MethodNotAsked=5), True),
        (covered(10, CandidateTimedOut=10), False),
        (covered(0, CandidateAway=10), False),
    ],
)
def test_below_the_least_coverage_nothing_is_concluded(coverage: Coverage, concluded: bool) -> None:
    """What was never to be compared is no loss; everything else is, whoever caused it."""
    assert (damage(coverage, report([], None)) == ()) is concluded


def test_lost_copies_are_named() -> None:
    """The sentence says how many were lost by which reason."""
    (found,) = damage(covered(80, QueueFull=5, CandidateTimedOut=15), report([], None))
    assert found.reason == "CoverageLow"
    assert "80 of 100 copies" in found.message
    assert "15 CandidateTimedOut, 5 QueueFull" in found.message


def test_every_way_to_be_dropped_is_in_or_out_of_scope() -> None:
    """Only what the settings exclude, and what came before already, is no loss."""
    assert {drop for drop in Drop if not drop.in_scope} == {Drop.METHOD_NOT_ASKED, Drop.UNSAFE_METHOD, Drop.DUPLICATE}


def test_sizes_have_classes() -> None:
    """Limits belong to the class that they name."""
    assert [size_class(n) for n in (0, 1, 1024, 1025, 2**20, 2**20 + 1)] == [
        "none",
        "1Ki",
        "1Ki",
        "16Ki",
        "1Mi",
        "over1Mi",
    ]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"control": "waf:80"}, "control: must be scheme, host and port"),
        ({"candidate": "http://u:p@waf"}, "candidate: must not hold a password"),
        ({"mirror": {"methods": ["GET", "POST"]}}, "mirror: methods has POST"),
        ({"mirror": {"redact": ["json:card"]}}, 'mirror.redact: "card" is no JSONPath'),
        ({"compare": {"outcome": {"statusIn": [403, 42]}}}, "compare.outcome.statusIn[1]"),
        ({"compare": {"clusterBy": "json:$.x"}}, "compare.clusterBy"),
        ({"labels": {"auditRate": "0"}}, "labels.auditRate: must be above 0"),
        ({"labels": {"auditRate": "one"}}, "labels.auditRate: must be a decimal"),
        ({"limits": {"queue": 0}}, "limits.queue"),
        ({"redact": []}, "redact: "),
        ({"uid": "x"}, "uid: "),
    ],
)
def test_bad_settings_are_named_by_their_field(parts: dict[str, Any], said: str) -> None:
    """Whoever wrote the file is told where to look."""
    with pytest.raises(BadEvaluationError) as raised:
        load(orjson.dumps(evaluation_file(**parts)))
    assert str(raised.value).startswith(said)


def test_a_text_that_is_no_json_is_refused() -> None:
    """A half written file does not start an evaluation."""
    with pytest.raises(BadEvaluationError, match="the file: Invalid JSON"):
        load("{")
