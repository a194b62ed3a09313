"""Native histograms: what is slower than a boundary, at every schema, and what is refused instead of guessed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_operator.canary.gates import resolve
from chaffinch_operator.canary.intake import UnusableError, raw, read_buckets
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.native import as_buckets, neighbours
from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.snapshot import ArmReading
from chaffinch_operator.canary.sources import Native
from chaffinch_operator.ports.prometheus import BadQuery
from chaffinch_operator.ports.prometheus_answers import matrix, streams
from chaffinch_operator.ports.queries import Histogram, Selector, Track
from unit.canary.builders import NAMING, SPEC, merged

SOURCE = Native(Selector("h"), "h", 0.25, NAMING.by_pod)
CANARY = {"pod": "web-canary-b", "instance": "b"}


def histogram(schema: int, observed: dict[int, int]) -> Histogram:
    """Observations by bucket; index i holds (base^(i-1), base^i]."""
    base = 2.0 ** (2.0**-schema)
    buckets = tuple((base ** (index - 1), base**index, float(count)) for index, count in sorted(observed.items()))
    return Histogram(float(sum(observed.values())), buckets)


def track(*histograms: Histogram) -> Track:
    """The canary's, ten seconds apart, the first of them before the interval."""
    return Track(CANARY, [1_000_000 + 10_000 * k for k in range(len(histograms))], (), histograms)


@given(st.integers(0, 8), st.dictionaries(st.integers(-60, 60), st.integers(1, 9), min_size=1))
def test_slow_is_what_lies_above_a_power_of_two(schema: int, observed: dict[int, int]) -> None:
    """Such as a quarter: it is a boundary of every schema from 0 on."""
    grown = {index: 2 * count for index, count in observed.items()}
    tracks = as_buckets(SOURCE, [track(histogram(schema, observed), histogram(schema, grown))])
    found = read_buckets("g", SOURCE, raw("h", tracks, 1_000_000, 1_010_000))
    slow = sum(count for index, count in observed.items() if index > -2 * 2**schema)
    assert found.canary == ArmReading(slow, sum(observed.values()))


@given(st.integers(-4, 8), st.integers(-40, 40), st.floats(0.001, 0.999))
def test_what_lies_between_boundaries_is_none(schema: int, index: int, part: float) -> None:
    """Seen by the growth of any bucket, also where the threshold's own bucket is empty."""
    base = 2.0 ** (2.0**-schema)
    threshold = base ** (index + part)
    if not math.isfinite(threshold) or threshold in {base**index, base ** (index + 1)}:
        return
    around = neighbours(threshold, histogram(schema, {index + 7: 1}))
    assert around is not None
    assert around[0] < threshold < around[1]
    assert math.isclose(around[0], base**index)


@given(st.integers(-4, 8), st.integers(-20, 20))
def test_a_boundary_is_none_of_its_neighbours(schema: int, index: int) -> None:
    """At every schema."""
    base = 2.0 ** (2.0**-schema)
    assert neighbours(base**index, histogram(schema, {index: 1, index + 1: 1, index + 3: 2})) is None


def test_nothing_is_known_of_boundaries_that_are_not_seen() -> None:
    """No observation, custom boundaries elsewhere, or the bucket at zero: what is counted there is counted exactly."""
    assert neighbours(0.3, Histogram(0, ())) is None
    assert neighbours(0.3, Histogram(3, ((0.1, 0.15, 2.0), (-1e-9, 1e-9, 1.0)))) is None
    assert neighbours(0.3, Histogram(2, ((0.25, 0.35, 2.0),))) == (0.25, 0.35)


def test_a_threshold_that_is_no_boundary_is_refused() -> None:
    """With boundaries around it and with powers of two to choose from."""
    source = Native(Selector("h"), "h", 0.3, NAMING.by_pod)
    with pytest.raises(UnusableError) as refused:
        as_buckets(source, [track(histogram(0, {0: 1}))])
    assert refused.value.blocker.reason is Reason.BAD_QUERY
    assert refused.value.blocker.message == (
        "threshold: h has no bucket boundary at 0.3, only 0.25 and 0.5 around it: choose a power of two, such as "
        "0.25 or 0.5"
    )


def test_the_unit_is_that_of_the_boundaries() -> None:
    """Milliseconds where the histogram is in milliseconds."""
    for unit, threshold in (("Seconds", 0.256), ("Milliseconds", 256.0)):
        latency = {"histogram": "h", "threshold": "256ms", "format": "Native", "unit": unit, "matchers": 'a="b",'}
        body = merged(SPEC, {"analysis": {"gates": [{"name": "slow", "latency": latency}]}})
        (gate,) = resolve(CanaryRolloutSpec.model_validate(body), NAMING)
        assert isinstance(gate.source, Native)
        assert (gate.source.query.text, gate.source.threshold) == ('h{a="b"}', threshold)
        assert gate.count is not None
        assert gate.count.safe_below == 0.01


ANSWER = {
    "resultType": "matrix",
    "result": [
        {
            "metric": CANARY,
            "values": [[1, "2"]],
            "histograms": [[2.5, {"count": "3", "sum": "1", "buckets": [[0, "0.25", "0.5", "3"]]}]],
        }
    ],
}


def test_answers_with_histograms_are_read() -> None:
    """A series that changed its type in the window becomes two, of which no gate takes both."""
    plain, native = matrix(ANSWER)
    assert (list(plain.times), list(plain.values), plain.histograms) == ([1000], [2.0], ())
    assert (list(native.times), native.histograms) == ([2500], (Histogram(3.0, ((0.25, 0.5, 3.0),)),))
    with pytest.raises(BadQuery, match="native histograms"):
        streams(ANSWER)
    with pytest.raises(UnusableError, match=r"latency\.format: Classic"):
        as_buckets(SOURCE, [plain])
    with pytest.raises(UnusableError, match=r"latency\.format: Native"):
        raw("h", [native], 0, 1000)


@pytest.mark.parametrize(
    "wrong", [{}, {"count": 3}, {"count": "3", "buckets": [[0, "1"]]}, {"count": "3", "buckets": 1}, "x", None]
)
def test_histograms_that_are_none_are_refused(wrong: object) -> None:
    """Whatever a stranger sends."""
    with pytest.raises(BadQuery, match="plain values or histograms"):
        matrix({"resultType": "matrix", "result": [{"metric": {}, "histograms": [[1, wrong]]}]})
