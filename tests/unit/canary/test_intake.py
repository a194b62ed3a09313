"""From raw counters to the events between two readings: exact, whatever order, resets and births there are."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_operator.canary.intake import (
    NotCounterError,
    Reading,
    Series,
    boundary,
    check_counters,
    has_boundary,
    read_buckets,
    read_classes,
    read_pair,
)
from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.snapshot import ArmReading, GateReading
from chaffinch_operator.canary.sources import Buckets, Classes, Pair
from unit.canary.builders import NAMING

PAIR = Pair("bad_total", "all_total", NAMING.by_pod)
CLASSES = Classes("rq_xx", "envoy_response_code_class", "5", NAMING.by_backend)
BUCKETS = Buckets("h_bucket", "count by (le) (h_bucket)", "h", 0.25, NAMING.by_pod)
STABLE, CANARY = "web-hv1-a", "web-canary-hv2-b"


def series(pod: str, value: float, **labels: str) -> Series:
    """One series of a pod."""
    return Series({"pod": pod, "instance": f"{pod}:8080", **labels}, value)


def reading(before: list[Series], after: list[Series]) -> Reading:
    """Start and end of an interval."""
    return Reading(tuple(before), tuple(after))


def pods(stable: tuple[float, float], canary: tuple[float, float]) -> Reading:
    """One series of each arm, from a value to a value."""
    return reading(
        [series(STABLE, stable[0]), series(CANARY, canary[0])], [series(STABLE, stable[1]), series(CANARY, canary[1])]
    )


def test_differences_are_events() -> None:
    """Of each arm, bad and all."""
    found = read_pair("g", PAIR, pods((1, 3), (0, 1)), pods((10, 110), (5, 25)))
    assert found == GateReading("g", canary=ArmReading(1, 20), baseline=ArmReading(2, 100))


def test_beside_a_dedicated_baseline_stables_own_events_are_others() -> None:
    """Compared is what the baseline's pods counted."""
    arms = replace(NAMING, baseline_pods="web-baseline-").by_pod
    beside = [series("web-baseline-hv3-c", 0)], [series("web-baseline-hv3-c", 40)]
    all_of_it = pods((10, 110), (5, 25))
    total = reading([*all_of_it.before, *beside[0]], [*all_of_it.after, *beside[1]])
    found = read_pair("g", Pair("bad_total", "all_total", arms), pods((1, 3), (0, 1)), total)
    assert found == GateReading("g", canary=ArmReading(1, 20), baseline=ArmReading(0, 40), other_requests=100)


def test_a_reset_counts_from_zero() -> None:
    """A restarted container lost what it had; what it has counted since is counted."""
    found = read_pair("g", PAIR, pods((9, 2), (0, 0)), pods((1000, 50), (5, 25)))
    assert found.baseline == ArmReading(2, 50)


def test_a_first_error_is_an_error() -> None:
    """A series born in an instance that was scraped before counts from zero."""
    bad = reading([], [series(CANARY, 3)])
    assert read_pair("g", PAIR, bad, pods((0, 10), (0, 10))).canary == ArmReading(3, 10)


def test_an_instance_seen_for_the_first_time_is_known_from_now_on() -> None:
    """Prometheus may have discovered it late, with any number of events in it."""
    total = reading([series(STABLE, 0)], [series(STABLE, 9), series(CANARY, 5000)])
    bad = reading([], [series(CANARY, 700)])
    assert read_pair("g", PAIR, bad, total) == GateReading("g", ArmReading(0, 0), ArmReading(0, 9))


def test_an_aggregation_by_pod_is_known_by_its_pod() -> None:
    """Where the instance label was summed away."""
    before = [Series({"pod": CANARY}, 4.0)]
    after = [Series({"pod": CANARY}, 6.0), Series({"pod": CANARY, "code": "500"}, 1.0)]
    total = reading(before, after)
    assert read_pair("g", PAIR, reading([], []), total).canary == ArmReading(0, 3)


def test_series_of_others_are_ignored() -> None:
    """Another workload that the query selects too."""
    total = reading([series("api-1", 0), series(CANARY, 0)], [series("api-1", 99), series(CANARY, 1)])
    assert read_pair("g", PAIR, reading([], []), total) == GateReading("g", ArmReading(0, 1), ArmReading(0, 0))


COUNTERS = st.lists(st.integers(0, 50), min_size=2, max_size=6)


@given(st.lists(st.tuples(st.sampled_from([STABLE, CANARY, "api-1"]), COUNTERS), max_size=6), st.randoms())
def test_order_is_irrelevant(rows: list[tuple[str, list[int]]], chance: object) -> None:
    """Any order of series on either side gives the same events."""
    before = [series(pod, float(values[0]), n=str(i)) for i, (pod, values) in enumerate(rows)]
    after = [series(pod, float(values[-1]), n=str(i)) for i, (pod, values) in enumerate(rows)]
    mixed_before, mixed_after = list(before), list(after)
    chance.shuffle(mixed_before)  # type: ignore[attr-defined]
    chance.shuffle(mixed_after)  # type: ignore[attr-defined]
    none = reading([], [])
    assert read_pair("g", PAIR, none, reading(before, after)) == read_pair(
        "g", PAIR, none, reading(mixed_before, mixed_after)
    )


@given(st.lists(st.integers(0, 100), min_size=1, max_size=8), st.data())
def test_sums_do_not_depend_on_how_time_is_cut(steps: list[int], data: st.DataObject) -> None:
    """Without a reset, any intervals from the first reading to the last give the same sum."""
    values = [sum(steps[:i]) for i in range(len(steps) + 1)]
    inner = data.draw(st.sets(st.integers(0, len(steps))))
    cuts = sorted({0, len(steps)} | inner)
    none = reading([], [])
    total = sum(
        read_pair(
            "g", PAIR, none, reading([series(CANARY, float(values[a]))], [series(CANARY, float(values[b]))])
        ).canary.total
        for a, b in pairwise(cuts)
    )
    assert total == sum(steps)


def test_classes_are_told_by_their_label() -> None:
    """The sum of all classes is the total, the class 5 is bad."""

    def rows(*counts: int) -> list[Series]:
        names = ["httproute/shop/web/rule/0/backend/0", "httproute/shop/web/rule/0/backend/1"]
        keys = [(name, code) for name in names for code in ("2", "5")]
        return [
            Series({"envoy_cluster_name": name, "envoy_response_code_class": code, "instance": "e"}, float(count))
            for (name, code), count in zip(keys, counts, strict=True)
        ]

    found = read_classes("g", CLASSES, reading(rows(0, 0, 0, 0), rows(100, 1, 20, 2)))
    assert found == GateReading("g", canary=ArmReading(2, 22), baseline=ArmReading(1, 101))
    strangers = reading(
        [Series({"envoy_cluster_name": "x"}, 1.0)], [*rows(0, 0, 1, 0), Series({"envoy_cluster_name": "x"}, 9)]
    )
    assert read_classes("g", CLASSES, strangers).problem is None


def test_buckets_count_what_is_slower() -> None:
    """All minus those at or below the threshold."""
    before = [series(CANARY, 0, le="0.25"), series(CANARY, 0, le="+Inf"), series("api", 0, le="+Inf")]
    after = [series(CANARY, 90, le="0.25"), series(CANARY, 100, le="+Inf"), series("api", 7, le="+Inf")]
    assert read_buckets("g", BUCKETS, reading(before, after)).canary == ArmReading(10, 100)


def test_boundaries_are_numbers() -> None:
    """Prometheus 2 writes 250, Prometheus 3 writes 250.0; what is no boundary is none."""
    assert has_boundary(BUCKETS, [])
    assert has_boundary(BUCKETS, [series(CANARY, 0, le="0.250")])
    assert not has_boundary(BUCKETS, [series(CANARY, 0, le="+Inf")])
    assert math.isnan(boundary(series(CANARY, 0)))
    assert math.isnan(boundary(series(CANARY, 0, le="wide")))


PROBLEMS: dict[str, tuple[Reading, Reading, Reason, str]] = {
    "nothing": (reading([], []), reading([], []), Reason.NO_DATA, "`all_total` returns nothing"),
    "no label": (
        reading([], []),
        reading([], [Series({"job": "web"}, 1.0)]),
        Reason.BAD_QUERY,
        "keep it, as in sum by (pod) (...)",
    ),
    "nobody's series": (
        reading([], []),
        reading([], [series("api-1", 1)]),
        Reason.NO_DATA,
        "none of them of stable or",
    ),
    "no series of the canary": (
        reading([], []),
        reading([], [series(STABLE, 1)]),
        Reason.NO_DATA,
        "only of stable: the canary has none yet",
    ),
    "more bad than all": (
        pods((0, 0), (0, 9)),
        pods((0, 1), (0, 5)),
        Reason.BAD_QUERY,
        "canary has 9 bad of 5 events: the two counters of `all_total` do not belong together",
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_cannot_be_judged_says_why(name: str) -> None:
    """Neither harm nor safety; the message names the query and the way out."""
    bad, total, reason, words = PROBLEMS[name]
    problem = read_pair("g", PAIR, bad, total).problem
    assert problem is not None
    assert problem.reason is reason
    assert words in problem.message


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 0.5])
def test_no_raw_counter_is_refused(value: float) -> None:
    """With the way out, however long the query."""
    with pytest.raises(NotCounterError, match=r"raw counters?") as refused:
        check_counters("q" * 2000, [series(CANARY, value)])
    assert len(str(refused.value)) < 300
    check_counters("q", [series(CANARY, 3.0)])


def test_a_bucket_above_the_total_is_refused() -> None:
    """Counters of a histogram that contradict each other prove nothing."""
    rows = [series(CANARY, 5, le="0.25"), series(CANARY, 0, le="+Inf")]
    found = read_buckets("g", BUCKETS, reading([series(CANARY, 0, le="0.25"), series(CANARY, 0, le="+Inf")], rows))
    assert found.problem is not None
    assert found.problem.reason is Reason.BAD_QUERY
