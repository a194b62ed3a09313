"""Stable's counters on a grid: resets, gaps, pods that come and go, halves of pods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_operator.canary import past
from chaffinch_operator.canary.past import History, Track
from chaffinch_operator.canary.sources import Buckets, Classes, Naming, Native, Pair
from chaffinch_operator.ports.queries import Selector
from chaffinch_stats import ArmCounts
from unit.canary.builders import NAMING

NO = math.nan
PAIR = Pair("bad_total", "all_total", NAMING.by_pod)
CLASSES = Classes(Selector("rq_xx"), "class", "5", NAMING.by_backend)
BUCKETS = Buckets(Selector("took_bucket"), "", "took", 250.0, NAMING.by_pod)
BACKEND = "httproute/shop/web/rule/0/backend/"


def pod(name: str, *values: float, **labels: str) -> Track:
    """A series of a pod that is its own instance."""
    return Track({"pod": name, "instance": name, **labels}, values)


def of_pair(bad: Sequence[Track], total: Sequence[Track]) -> History:
    """The history of two counters in steps of ten seconds."""
    return past.read(PAIR, [bad, total], 10.0)


def counts(*pairs: tuple[int, int] | None) -> tuple[ArmCounts | None, ...]:
    """Steps."""
    return tuple(ArmCounts(*pair) if pair else None for pair in pairs)


def test_counters_become_steps() -> None:
    """Exact differences of stable alone: the canary's pods and other people's are not looked at."""
    total = [pod("web-hv1-a", 10, 30, 60), pod("web-canary-b", 0, 500, 900), pod("web-hv0-c", 0, 7, 8)]
    found = of_pair([pod("web-hv1-a", 1, 3, 3), pod("web-canary-b", 0, 99, 99)], total)
    assert found.whole == counts((2, 20), (0, 30))
    assert found.halves == ()
    assert found.seen_seconds == 20
    assert found.sum == ArmCounts(2, 50)


STEPS: dict[str, tuple[Sequence[float], Sequence[float], tuple[tuple[int, int] | None, ...]]] = {
    "a first error is an error": ((NO, NO, 2), (0, 10, 30), ((0, 10), (2, 20))),
    "a reset leaves its step out": ((5, 1, 2), (50, 10, 30), (None, (1, 20))),
    "a gap leaves both of its steps out": ((1, 1, 1, 2), (10, NO, 30, 50), (None, None, (1, 20))),
    "errors that were gone for a while are not counted twice": ((9, NO, 9, 9), (10, 20, 30, 40), (None, None, (0, 10))),
    "a pod that comes counts from its second point on": ((NO, 3, 3), (NO, 400, 410), (None, (0, 10))),
    "more bad than all is nonsense": ((0, 11, 12), (10, 20, 30), (None, (1, 10))),
}


@pytest.mark.parametrize("what", STEPS)
def test_a_step_counts_only_where_it_is_certain(what: str) -> None:
    """A step that cannot be known is left out, never guessed."""
    bad, total, expected = STEPS[what]
    assert of_pair([pod("web-hv1-a", *bad)], [pod("web-hv1-a", *total)]).whole == counts(*expected)


def test_a_counter_without_any_bad_event_has_none() -> None:
    """No series of errors is no error."""
    assert of_pair([], [pod("web-hv1-a", 10, 30)]).whole == counts((0, 20))


def test_beside_a_dedicated_baseline_the_history_is_still_stables() -> None:
    """The baseline is as young as the canary, and has none."""
    arms = replace(NAMING, baseline_pods="web-baseline-").by_pod
    total = [pod("web-hv1-a", 10, 30), pod("web-baseline-b", 0, 500)]
    assert past.read(replace(PAIR, arms=arms), [[], total], 10.0).whole == counts((0, 20))


def test_the_canary_is_no_history_of_stables_whatever_stable_is_called() -> None:
    """A replay knows stable by the target's name, with which the names of canary and baseline begin too."""
    for naming in (
        Naming("shop", "web", "web-", "web-canary-"),
        Naming("shop", "web", "web-", "web-canary-", "web-baseline-"),
    ):
        total = [pod("web-hv1-a", 10, 30), pod("web-canary-b", 0, 500)]
        assert past.read(replace(PAIR, arms=naming.by_pod), [[], total], 10.0).whole == counts((0, 20))


def test_nothing_of_stable_is_no_history() -> None:
    """Neither an empty answer nor one of other pods."""
    assert of_pair([], []).whole == ()
    assert of_pair([], [pod("web-hv0-c", 1, 2)]).whole == ()
    assert of_pair([], [pod("web-hv1-a", NO, 2)]).whole == ()


def test_pods_are_split_into_two_halves() -> None:
    """Every other one by name, whatever the order of the answer."""
    total = [pod(f"web-hv1-{name}", 0, size) for name, size in (("d", 8), ("b", 2), ("a", 1), ("c", 4))]
    (interval,) = of_pair([], total).halves
    assert (interval.canary, interval.baseline) == (ArmCounts(0, 5), ArmCounts(0, 10))


def test_pods_that_replace_each_other_keep_both_halves_filled() -> None:
    """Those that came together are split, so that neither half is ever empty."""
    total = [
        pod("web-hv1-a", 0, 10, NO, NO),
        pod("web-hv1-c", 0, 10, NO, NO),
        pod("web-hv1-b", NO, NO, 0, 10),
        pod("web-hv1-d", NO, NO, 0, 10),
    ]
    found = of_pair([], total)
    assert found.whole == counts((0, 20), None, (0, 20))
    assert [(h.canary.total, h.baseline.total) for h in found.halves] == [(10, 10), (10, 10)]


def test_containers_of_one_pod_stay_together() -> None:
    """Two scraped ports of a pod are one pod, and one pod has no halves."""
    total = [Track({"pod": "web-hv1-a", "instance": port}, (0, 10)) for port in ("1.1.1.1:80", "1.1.1.1:81")]
    assert of_pair([], total).whole == counts((0, 20))
    assert of_pair([], total).halves == ()


def test_behind_a_gateway_there_is_one_arm() -> None:
    """The pods in its metrics are the gateway's: their halves say nothing of stable's noise."""
    rows = [
        Track({"envoy_cluster_name": BACKEND + number, "pod": proxy, "instance": proxy, "class": kind}, values)
        for number, proxy, kind, values in (
            ("0", "envoy-1", "2", (10, 20, 30)),
            ("0", "envoy-1", "5", (NO, 1, 1)),
            ("0", "envoy-2", "2", (100, 150, 210)),
            ("1", "envoy-2", "5", (0, 77, 99)),
        )
    ]
    found = past.read(CLASSES, [rows], 10.0)
    assert found.whole == counts((1, 61), (0, 70))
    assert found.halves == ()


def test_a_histogram_counts_what_was_slower() -> None:
    """Both spellings of the boundary are one; without the boundary nothing is known."""
    rows = [
        pod("web-hv1-a", 0, 10, 20, le="+Inf"),
        pod("web-hv1-a", 0, 7, NO, le="250"),
        pod("web-hv1-a", NO, NO, 15, le="250.0"),
        pod("web-hv1-a", 0, 1, 1, le="odd"),
    ]
    assert past.read(BUCKETS, [rows], 10.0).whole == counts((3, 10), (2, 10))
    assert past.read(BUCKETS, [rows[:1]], 10.0).whole == ()


def test_every_class_that_begins_as_bad_does_is_bad() -> None:
    """Codes as applications tell them: 500 and 503."""
    codes = Classes(Selector("hits_total"), "code", "5", NAMING.by_pod)
    rows = [
        pod("web-hv1-a", 0, 7, code="200"),
        pod("web-hv1-a", 0, 2, code="500"),
        pod("web-hv1-a", NO, 1, code="503"),
    ]
    assert past.read(codes, [rows], 10.0).whole == counts((3, 10))


def test_native_histograms_have_no_history() -> None:
    """It is said, so that a dispersion can be set."""
    source = Native(Selector("took"), "took", 0.25, NAMING.by_pod)
    assert past.queries(source) == ()
    assert past.read(source, [], 10.0).problem == "no history is read of native histograms"


def test_queries_are_summed_by_what_is_needed() -> None:
    """However many labels a metric has, the answer has one series per pod; a comment does not swallow the bracket."""
    commented = Pair("bad_total # why", "all_total", NAMING.by_pod)
    assert past.queries(commented) == (
        "sum by (pod, instance) (\nbad_total # why\n)",
        "sum by (pod, instance) (\nall_total\n)",
    )
    assert past.queries(CLASSES) == ("sum by (envoy_cluster_name, pod, instance, class) (\nrq_xx\n)",)
    assert past.queries(BUCKETS) == ("sum by (pod, instance, le) (\ntook_bucket\n)",)


VALUES = st.lists(st.one_of(st.just(NO), st.integers(0, 50).map(float)), min_size=4, max_size=4)


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=5))
def test_whatever_the_series_the_halves_make_up_the_whole(series: list[tuple[list[float], list[float]]]) -> None:
    """No event is counted twice or lost between the two, and bad never exceeds all."""
    bad = [pod(f"web-hv1-{k}", *b) for k, (b, _) in enumerate(series)]
    total = [pod(f"web-hv1-{k}", *n) for k, (_, n) in enumerate(series)]
    found = of_pair(bad, total)
    assert of_pair(bad[::-1], total[::-1]) == found
    seen = [arm for arm in found.whole if arm is not None]
    if found.halves:
        assert [half.canary + half.baseline for half in found.halves] == seen
