"""From samples of raw counters to the events of an interval: exact, whatever order, resets and births there are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_operator.canary import intake
from chaffinch_operator.canary.intake import (
    LOOKBACK_MS,
    Reading,
    UnusableError,
    boundary,
    has_boundary,
    increments,
    instants,
    late,
    overdue,
    raw,
    read_buckets,
    read_classes,
    read_pair,
)
from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.snapshot import ArmReading, GateReading
from chaffinch_operator.canary.sources import Buckets, Classes, Pair
from chaffinch_operator.ports.queries import Sample, Selector, Track
from unit.canary.builders import NAMING

PAIR = Pair("bad_total", "all_total", NAMING.by_pod)
CLASSES = Classes(Selector("rq_xx"), "envoy_response_code_class", "5", NAMING.by_backend)
BUCKETS = Buckets(Selector("h_bucket"), "count by (le) (h_bucket)", "h", 0.25, NAMING.by_pod)
STABLE, CANARY = "web-hv1-a", "web-canary-hv2-b"
START, END = 1_000_000, 1_030_000
"""An interval of thirty seconds; scrapes come every ten."""


def track(pod: str, samples: Mapping[int, float], **labels: str) -> Track:
    """A series of a pod: values by seconds since the interval's start."""
    times = [START + second * 1000 for second in samples]
    return Track({"pod": pod, "instance": f"{pod}:8080", **labels}, times, list(samples.values()))


def read(*tracks: Track, start: int = START, end: int = END) -> Reading:
    """The raw samples of an interval."""
    return raw("all_total", tracks, start, end)


def both(stable: Mapping[int, float], canary: Mapping[int, float]) -> Reading:
    """One series of each arm."""
    return read(track(STABLE, stable), track(CANARY, canary))


def total(*tracks: Track, bad: Reading | None = None) -> GateReading:
    """What a pair of queries counts."""
    return read_pair("g", PAIR, bad or read(), read(*tracks))


# events


def test_differences_are_events() -> None:
    """Of each arm, bad and all."""
    found = read_pair("g", PAIR, both({-5: 1, 25: 3}, {-5: 0, 25: 1}), both({-5: 10, 25: 110}, {-5: 5, 25: 25}))
    assert found == GateReading("g", canary=ArmReading(1, 20), baseline=ArmReading(2, 100))


def test_beside_a_dedicated_baseline_stables_own_events_are_others() -> None:
    """Compared is what the baseline's pods counted."""
    arms = replace(NAMING, baseline_pods="web-baseline-").by_pod
    bad, everything = both({-5: 1, 25: 3}, {-5: 0, 25: 1}), both({-5: 10, 25: 110}, {-5: 5, 25: 25})
    beside = track("web-baseline-hv3-c", {-5: 0, 25: 40})
    found = read_pair("g", Pair("bad_total", "all_total", arms), bad, read(*everything.tracks, beside))
    assert found == GateReading("g", canary=ArmReading(1, 20), baseline=ArmReading(0, 40), other_requests=100)


def test_a_reset_counts_from_zero_even_when_the_counter_outgrows_its_past() -> None:
    """Every sample is looked at: a container that restarted inside the interval lost nothing that was scraped."""
    found = total(track(STABLE, {-5: 50, 5: 60, 15: 20, 25: 90}), track(CANARY, {-5: 0, 25: 1}))
    assert found.baseline == ArmReading(0, 10 + 20 + 70)


def test_the_last_events_of_a_pod_that_went_are_counted() -> None:
    """Up to its last scrape."""
    found = total(track(STABLE, {-5: 50, 5: 60}), track(CANARY, {-5: 0, 25: 1}))
    assert found.baseline == ArmReading(0, 10)


def test_a_sample_on_the_border_belongs_to_the_interval_that_it_ends() -> None:
    """Counted once."""
    samples = {-30: 0.0, 0: 7.0, 30: 12.0}
    before = read(track(CANARY, samples), start=START - 30_000, end=START)
    assert [count for _, count in increments(before)] == [7]
    assert [count for _, count in increments(read(track(CANARY, samples)))] == [5]


def test_a_first_error_is_an_error() -> None:
    """A series born in an instance that was scraped before counts from zero, and goes on from there."""
    bad = read(track(CANARY, {5: 2, 15: 3}))
    assert total(track(STABLE, {-5: 0}), track(CANARY, {-5: 0, 25: 10}), bad=bad).canary == ArmReading(3, 10)


def test_an_instance_seen_for_the_first_time_is_known_from_now_on() -> None:
    """Prometheus may have discovered it late, with any number of events in it; what it counts later counts."""
    bad = read(track(CANARY, {5: 700, 15: 701}))
    found = total(track(STABLE, {-5: 0, 25: 9}), track(CANARY, {5: 5000, 15: 5020}), bad=bad)
    assert found == GateReading("g", ArmReading(1, 20), ArmReading(0, 9))


def test_an_instance_that_was_long_silent_is_known_anew() -> None:
    """What it counted in the gap belongs to no interval."""
    gap = LOOKBACK_MS // 1000
    assert total(track(CANARY, {15 - gap: 5, 15: 99})).canary == ArmReading(0, 94)
    assert total(track(CANARY, {14 - gap: 5, 15: 99, 25: 100})).canary == ArmReading(0, 1)


def test_where_one_bucket_was_reset_all_were() -> None:
    """A bucket that has outgrown its past is no evidence of how fast requests were."""
    low, high = track(CANARY, {-5: 10, 5: 15}, le="0.25"), track(CANARY, {-5: 100, 5: 16}, le="+Inf")
    assert read_buckets("g", BUCKETS, read(low, high)).canary == ArmReading(1, 16)


def test_a_part_that_was_away_says_nothing_of_those_that_stayed() -> None:
    """It was reset at some time while it was away: in the others' smaller steps there need have been none."""
    low = track(CANARY, {-35: 37, 15: 1}, le="0.25")
    high = track(CANARY, {-35: 900, -25: 7, 5: 400, 15: 446, 25: 500}, le="+Inf")
    assert read_buckets("g", BUCKETS, read(low, high)).canary == ArmReading((500 - 7) - 1, 500 - 7)


def test_values_at_both_ends_are_compared() -> None:
    """Of an aggregation there are no raw samples; it is known by its pod where the instance was summed away."""
    before = [Sample({"pod": CANARY}, 4.0), Sample({"pod": STABLE}, 9.0)]
    after = [Sample({"pod": CANARY}, 6.0), Sample({"pod": CANARY, "code": "500"}, 1.0), Sample({"pod": STABLE}, 2.0)]
    found = read_pair("g", PAIR, instants("b", [], [], START, END), instants("t", before, after, START, END))
    assert found == GateReading("g", canary=ArmReading(0, 3), baseline=ArmReading(0, 2))


def test_an_aggregation_over_a_long_interval_has_no_lookback() -> None:
    """Its two values belong together however far apart they are."""
    end = START + 10 * LOOKBACK_MS
    reading = instants("t", [Sample({"pod": CANARY}, 4.0)], [Sample({"pod": CANARY}, 9.0)], START, end)
    assert [count for _, count in increments(reading)] == [5]


def test_series_of_others_are_ignored() -> None:
    """Another workload that the query selects too."""
    found = total(track("api-1", {-5: 0, 25: 99}), track(CANARY, {-5: 0, 25: 1}))
    assert found == GateReading("g", ArmReading(0, 1), ArmReading(0, 0))


# properties

SECONDS = st.integers(-200, 120)
SAMPLES = st.dictionaries(SECONDS, st.integers(0, 30), max_size=14)
SERIES = st.dictionaries(
    st.tuples(st.sampled_from([STABLE, CANARY]), st.sampled_from(["0.25", "+Inf"])), SAMPLES, max_size=4
)


def tracks_of(series: Mapping[tuple[str, str], Mapping[int, int]]) -> list[Track]:
    """Series with any samples: resets, gaps and births."""
    return [track(pod, {k: float(v) for k, v in samples.items()}, le=le) for (pod, le), samples in series.items()]


def counted(tracks: list[Track], start: int, end: int) -> dict[str, int]:
    """Events by series, as Prometheus would answer for this interval alone."""
    window = [
        Track(t.labels, *zip(*kept, strict=True))
        for t in tracks
        if (kept := [(at, v) for at, v in zip(t.times, t.values, strict=True) if start - LOOKBACK_MS < at <= end])
    ]
    found = increments(raw("q", window, start, end), parts="le")
    return {str(sorted(labels.items())): count for labels, count in found}


@given(SERIES, st.lists(st.integers(0, 120), max_size=5))
def test_intervals_add_up_however_time_is_cut(
    series: Mapping[tuple[str, str], Mapping[int, int]], cuts: list[int]
) -> None:
    """The events of [a, c] are those of [a, b] and [b, c], exactly."""
    tracks = tracks_of(series)
    borders = [START + second * 1000 for second in sorted({0, 120, *cuts})]
    whole = {key: count for key, count in counted(tracks, borders[0], borders[-1]).items() if count}
    summed: dict[str, int] = {}
    for start, end in pairwise(borders):
        for key, count in counted(tracks, start, end).items():
            summed[key] = summed.get(key, 0) + count
    assert {key: count for key, count in summed.items() if count} == whole


@given(SERIES, st.randoms())
def test_order_and_repetition_are_irrelevant(
    series: Mapping[tuple[str, str], Mapping[int, int]], chance: Random
) -> None:
    """Of series and of their samples."""
    tracks = tracks_of(series)
    mixed = []
    for one in [*tracks, *tracks[:1]]:
        pairs = list(zip(one.times, one.values, strict=True))
        pairs += pairs[:2]
        chance.shuffle(pairs)
        mixed.append(Track(one.labels, [at for at, _ in pairs], [value for _, value in pairs]))
    chance.shuffle(mixed)
    assert counted(mixed, START, END) == counted(tracks, START, END)


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=12))
def test_no_scraped_event_is_lost_or_made(steps: list[tuple[int, bool]]) -> None:
    """Whatever the container does between scrapes, the events since the last one or since its restart count."""
    samples, value, truth = {-5: 0.0}, 0, 0
    for number, (events, restarts) in enumerate(steps):
        value = events if restarts and events < value else value + events
        truth += events
        samples[number + 1] = float(value)
    assert sum(count for _, count in increments(read(track(CANARY, samples)))) == truth


# kinds of sources


def test_classes_are_told_by_their_label() -> None:
    """The sum of all classes is the total, the class 5 is bad."""

    def rows(*counts: int) -> list[Track]:
        names = ["httproute/shop/web/rule/0/backend/0", "httproute/shop/web/rule/0/backend/1"]
        keys = [(name, code) for name in names for code in ("2", "5")]
        return [
            Track(
                {"envoy_cluster_name": name, "envoy_response_code_class": code, "instance": "e"},
                (START - 5000, START + 25_000),
                (0.0, float(count)),
            )
            for (name, code), count in zip(keys, counts, strict=True)
        ]

    found = read_classes("g", CLASSES, read(*rows(100, 1, 20, 2)))
    assert found == GateReading("g", canary=ArmReading(2, 22), baseline=ArmReading(1, 101))
    stranger = Track({"envoy_cluster_name": "x"}, (START, END), (1.0, 9.0))
    assert read_classes("g", CLASSES, read(*rows(100, 1, 20, 2), stranger)) == found


def test_buckets_count_what_is_slower() -> None:
    """All minus those at or below the threshold."""
    tracks = [
        track(pod, {-5: 0, 25: n}, le=le)
        for pod, le, n in ((CANARY, "0.25", 90), (CANARY, "+Inf", 100), ("api", "+Inf", 7))
    ]
    assert read_buckets("g", BUCKETS, read(*tracks)).canary == ArmReading(10, 100)


def test_boundaries_are_numbers() -> None:
    """Prometheus 2 writes 250, Prometheus 3 writes 250.0; what is no boundary is none."""
    assert has_boundary(BUCKETS, [])
    assert has_boundary(BUCKETS, [track(CANARY, {}, le="0.250")])
    assert not has_boundary(BUCKETS, [track(CANARY, {}, le="+Inf")])
    assert math.isnan(boundary({}))
    assert math.isnan(boundary({"le": "wide"}))


# what cannot be judged

NOTHING = read()
PROBLEMS: dict[str, tuple[Reading, Reading, Reason, str]] = {
    "nothing": (NOTHING, NOTHING, Reason.NO_DATA, "`all_total` returns nothing"),
    "no label": (
        NOTHING,
        read(Track({"job": "web"}, (START,), (1.0,))),
        Reason.BAD_QUERY,
        "keep it, as in sum by (pod) (...)",
    ),
    "nobody's series": (NOTHING, read(track("api-1", {0: 1})), Reason.NO_DATA, "none of them of stable or"),
    "no series of the canary": (
        NOTHING,
        read(track(STABLE, {0: 1})),
        Reason.NO_DATA,
        "only of stable: the canary has none yet",
    ),
    "a canary that was summed up and is gone": (
        instants("b", [], [], START, END),
        instants(
            "t",
            [Sample({"pod": CANARY}, 1.0), Sample({"pod": STABLE}, 1.0)],
            [Sample({"pod": STABLE}, 1.0)],
            START,
            END,
        ),
        Reason.NO_DATA,
        "only of stable",
    ),
    "more bad than all": (
        both({-5: 0, 25: 1}, {-5: 0, 25: 9}),
        both({-5: 0, 25: 1}, {-5: 0, 25: 5}),
        Reason.BAD_QUERY,
        "canary has 9 bad of 5 events: the two counters of `all_total` do not belong together",
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_cannot_be_judged_says_why(name: str) -> None:
    """Neither harm nor safety; the message names the query and the way out."""
    bad, everything, reason, words = PROBLEMS[name]
    problem = read_pair("g", PAIR, bad, everything).problem
    assert problem is not None
    assert problem.reason is reason
    assert words in problem.message


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 0.5])
def test_no_raw_counter_is_refused(value: float) -> None:
    """With the way out, however long the query, and wherever in the window it is."""
    with pytest.raises(UnusableError, match=r"raw counters?") as refused:
        raw("q" * 2000, [track(CANARY, {-50: value, 0: 1})], START, END)
    assert refused.value.blocker.reason is Reason.BAD_QUERY
    assert len(str(refused.value)) < 300
    with pytest.raises(UnusableError, match=r"raw counters?"):
        instants("q", [], [Sample({"pod": CANARY}, value)], START, END)


def test_two_values_at_one_time_are_no_data() -> None:
    """Two scrapers that write the same series."""
    twice = [track(CANARY, {0: 1.0}), track(CANARY, {0: 2.0})]
    with pytest.raises(UnusableError, match="scraped twice") as refused:
        raw("q", twice, START, END)
    assert refused.value.blocker.reason is Reason.NO_DATA


def test_a_bucket_above_the_total_is_refused() -> None:
    """Counters of a histogram that contradict each other prove nothing."""
    found = read_buckets(
        "g", BUCKETS, read(track(CANARY, {-5: 0, 5: 5}, le="0.25"), track(CANARY, {-5: 0, 5: 0}, le="+Inf"))
    )
    assert found.problem is not None
    assert found.problem.reason is Reason.BAD_QUERY


# late scrapes


def lateness(newest: Mapping[str, float] | None = None) -> str:
    """The problem with a stable pod scraped up to 20 s before the end, every 10 s; newest: by pod, of the start."""
    reading = both({-10: 1, 0: 1, 10: 1}, {-5: 1, 5: 1, 15: 1, 25: 1})
    times = [Sample(track(pod, {}).labels, START / 1000 + second) for pod, second in (newest or {}).items()]
    problem = late("all_total", reading, times)
    return problem.message if problem else ""


def test_a_scrape_that_did_not_come_is_noticed() -> None:
    """By how often its source was scraped until then."""
    reading = both({-10: 1, 0: 1, 10: 1}, {-5: 1, 5: 1, 15: 1, 25: 1})
    assert overdue(reading) == {f"{STABLE}:8080": START + 10_000}
    assert overdue(both({-10: 1, 0: 1, 10: 1, 21: 1}, {25: 1})) == {}
    assert overdue(read(track(CANARY, {5: 1}))) == {}


def test_what_was_seen_only_once_and_long_ago_is_overdue() -> None:
    """Nothing tells how often it is scraped, but an interval without a single sample says nothing of it."""
    assert overdue(read(track(CANARY, {-100: 1}))) == {f"{CANARY}:8080": START - 100_000}


@pytest.mark.parametrize("needed", [True, False])
def test_without_stable_there_is_nothing_to_compare_with(needed: bool) -> None:
    """A gate that compares has no data when only the canary is seen; one that looks at the canary alone has."""
    alone = read(track(CANARY, {-10: 100, 0: 110, 10: 120, 20: 130, 30: 140}))
    problem = read_pair("g", PAIR, read(), alone, both=needed).problem
    assert (problem is not None and problem.reason is Reason.NO_DATA) == needed


def test_an_interval_waits_for_no_pod_that_went() -> None:
    """Its series went stale: all it had is there."""
    assert lateness({CANARY: 35}) == ""


def test_a_scrape_after_the_end_proves_that_all_before_it_are_there() -> None:
    """Samples of a series come in order."""
    assert lateness({CANARY: 35, STABLE: 31}) == ""


def test_late_scrapes_make_no_data() -> None:
    """An interval whose samples may still come is not counted; the message names what it waits for."""
    assert lateness({CANARY: 35, STABLE: 10}).startswith(
        f"`all_total`: {STABLE}:8080 was last scraped 20 s before the interval's end: scrapes are late"
    )
    assert "queryOffset" in lateness({STABLE: 30})


def test_lookback_outlasts_the_slowest_scrapes() -> None:
    """Two minutes between scrapes, and one that is late."""
    assert intake.LOOKBACK_MS >= 125_000
