"""What we take for granted of Prometheus, held against the real program: the stand-in of other tests answers alike.

A real Prometheus scrapes an exporter of ours every 200 ms. Without its binary (make cluster-build) these are skipped.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from chaffinch_operator.canary import gates, history, past, readings
from chaffinch_operator.canary.gates import ResolvedGate
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.snapshot import ArmReading
from chaffinch_operator.canary.sources import Naming, Pair
from chaffinch_operator.ports.prometheus import BadQuery, HttpPrometheus
from chaffinch_operator.ports.queries import Sample, Selector, Track
from chaffinch_stats import ArmCounts
from support import fake_prometheus
from support.fake_prometheus import FakePrometheus
from support.real_prometheus import Exporter, scraped, until

Object = dict[str, Any]
PODS = ("web-1-a", "web-canary-x-b")
NAMING = Naming("shop", "web", "web-1-", "web-canary-")


@pytest.fixture
async def stand_in() -> AsyncIterator[Callable[[fake_prometheus.Answer], HttpPrometheus]]:
    """Our port to the stand-in, told what to answer."""
    with FakePrometheus() as fake:
        async with aiohttp.ClientSession() as session:

            def port(answer: fake_prometheus.Answer) -> HttpPrometheus:
                fake.answer("web", answer)
                return HttpPrometheus(fake.address("web"), session=session)

            yield port


async def test_a_moment_in_the_past_can_be_asked_again(exporter: Exporter, prometheus: HttpPrometheus) -> None:
    """A query with a time gives what was known then, also when the counter has grown since."""
    exporter.text = "asked_total 3\n"
    then = await scraped(prometheus, "asked_total", 3)
    exporter.text = "asked_total 8\n"
    await scraped(prometheus, "asked_total", 8)
    again = await prometheus.instant("asked_total", then + timedelta(microseconds=1))
    assert [s.value for s in again] == [3]


async def test_a_counter_that_vanished_is_not_told_any_more(exporter: Exporter, prometheus: HttpPrometheus) -> None:
    """A series that a scrape no longer has goes stale at once, not after five minutes."""
    exporter.text = 'gone_total{pod="web-1-a"} 3\n'
    await scraped(prometheus, "gone_total", 3)
    exporter.text = "other_total 1\n"

    async def gone() -> bool:
        return not await prometheus.instant("gone_total", datetime.now(UTC))

    await until(gone)


def resolved(gate: Object) -> tuple[ResolvedGate, ...]:
    """A gate of a spec, as it is asked."""
    spec = CanaryRolloutSpec.model_validate(
        {
            "targetRef": {"name": "web"},
            "serviceRef": {"name": "web", "port": 80},
            "trafficRouting": {"replicas": {}},
            "analysis": {"gates": [{"name": "gate", **gate}]},
        }
    )
    return gates.resolve(spec, NAMING)


async def test_increments_between_two_readings_are_exact(exporter: Exporter, prometheus: HttpPrometheus) -> None:
    """Two instant queries give whole events per arm; a first error is an error, as its instance was known before."""
    gate = resolved({"ratio": {"bad": 'hits_total{code="500"}', "total": "sum by (pod, instance) (hits_total)"}})
    exporter.text = 'hits_total{code="200",pod="web-1-a"} 10\nhits_total{code="200",pod="web-canary-x-b"} 5\n'
    start = await scraped(prometheus, "sum(hits_total)", 15)
    exporter.text = (
        'hits_total{code="200",pod="web-1-a"} 110\nhits_total{code="200",pod="web-canary-x-b"} 25\n'
        'hits_total{code="500",pod="web-canary-x-b"} 2\n'
    )
    end = await scraped(prometheus, "sum(hits_total)", 137)
    (interval,), problem = await readings.read(prometheus, gate, [(start, end)])
    assert problem is None
    (reading,) = interval.gates
    assert (reading.canary, reading.baseline) == (ArmReading(2, 22), ArmReading(0, 100))


async def test_the_threshold_is_found_however_the_boundary_is_spelled(
    exporter: Exporter, prometheus: HttpPrometheus
) -> None:
    """Whether it stores le="250" or le="250.0", a threshold of 250 ms meets it, and one of 300 ms is refused."""
    fields = {"histogram": "took", "unit": "Milliseconds"}
    buckets = (("100", 1), ("250", 4), ("+Inf", 9))
    pages = [
        "".join(f'took_bucket{{pod="{pod}",le="{le}"}} {n * times}\n' for pod in PODS for le, n in buckets)
        for times in (1, 2)
    ]
    moments = []
    for page, count in zip(pages, (9, 18), strict=True):
        exporter.text = page
        moments.append(await scraped(prometheus, 'max(took_bucket{le="+Inf"})', count))
    interval = [(moments[0], moments[1])]
    (met,), _ = await readings.read(prometheus, resolved({"latency": {**fields, "threshold": "250ms"}}), interval)
    assert (met.gates[0].canary, met.gates[0].baseline) == (ArmReading(5, 9), ArmReading(5, 9))
    (missed,), _ = await readings.read(prometheus, resolved({"latency": {**fields, "threshold": "300ms"}}), interval)
    assert missed.gates[0].problem is not None
    assert "only 100, 250" in missed.gates[0].problem.message


REFUSED = {
    "a scalar": ("scalar(vector(1))", fake_prometheus.data("scalar", [0, "1"])),
    "a text": ('"hello"', fake_prometheus.data("string", [0, "hello"])),
    "a range": ("up[1m]", fake_prometheus.data("matrix", [])),
    "no query": ("up{", fake_prometheus.refused(400, "bad_data", "parse error: unexpected end of input")),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_the_stand_in_refuses_as_prometheus_does(
    what: str, prometheus: HttpPrometheus, stand_in: Callable[[fake_prometheus.Answer], HttpPrometheus]
) -> None:
    """What is no instant vector is a BadQuery from both, with the same first words."""
    query, answer = REFUSED[what]
    words = []
    for port in (prometheus, stand_in(answer)):
        with pytest.raises(BadQuery) as refusal:
            await port.instant(query, datetime.now(UTC))
        words.append(refusal.value.message.split(":")[0])
    assert words[0] == words[1]


async def test_the_stand_in_answers_a_vector_as_prometheus_does(
    exporter: Exporter, prometheus: HttpPrometheus, stand_in: Callable[[fake_prometheus.Answer], HttpPrometheus]
) -> None:
    """Labels and values come the same way from both."""
    exporter.text = 'alike_total{pod="web-1-a"} 7\n'
    at = await scraped(prometheus, "alike_total", 7)
    query = "sum by (pod) (alike_total)"
    real = await prometheus.instant(query, at)
    told = await stand_in(fake_prometheus.vector(({"pod": "web-1-a"}, "7"))).instant(query, at)
    assert real == told == [Sample({"pod": "web-1-a"}, 7.0)]


async def test_the_stand_in_answers_a_range_as_prometheus_does(
    exporter: Exporter, prometheus: HttpPrometheus, stand_in: Callable[[fake_prometheus.Answer], HttpPrometheus]
) -> None:
    """A range is the instant answers on its grid: from both, and a moment without a value is left out."""
    query, step = "sum by (pod) (ranged_total)", timedelta(seconds=0.5)
    exporter.text = 'ranged_total{pod="web-1-a"} 2\n'
    start = await scraped(prometheus, query, 2) - 2 * step
    exporter.text = 'ranged_total{pod="web-1-a"} 9\n'
    end = await scraped(prometheus, query, 9)
    grid = [start + k * step for k in range(int((end - start) / step) + 1)]
    told = {at.timestamp(): await prometheus.instant(query, at) for at in grid}

    def remembered(_: str, at: float) -> fake_prometheus.Reply:
        nearest = min(told, key=lambda known: abs(known - at))
        return fake_prometheus.vector(*((s.labels, f"{s.value:g}") for s in told[nearest]))(query, at)

    real = await prometheus.range(query, start, end, step)
    alike = await stand_in(remembered).range(query, start, end, step)
    expected = [(round(at, 3), samples[0].value) for at, samples in told.items() if samples]
    assert 0 < len(expected) < len(grid)
    for streams in (real, alike):
        assert [s.labels for s in streams] == [{"pod": "web-1-a"}]
        assert [(round(at, 3), value) for at, value in streams[0].points] == expected


async def test_the_past_is_read_in_exact_steps(exporter: Exporter, prometheus: HttpPrometheus) -> None:
    """Summed by pod in the query, whatever labels there are and however it ends; pods come, and never count at once."""
    source = Pair('past_total{code="500"} # bad', "past_total", NAMING.by_pod)

    def page(a: int, bad: int, b: int | None = None) -> str:
        rows = [("200", "web-1-a", a), ("500", "web-1-a", bad), *([("200", "web-1-b", b)] if b else [])]
        return "".join(f'past_total{{code="{code}",pod="{pod}"}} {value}\n' for code, pod, value in rows)

    pages = (
        'past_total{code="200",pod="web-1-a"} 10\npast_total{code="200",pod="web-2-z"} 1\n',
        page(a=15, bad=2),
        page(a=19, bad=3, b=900),
        page(a=20, bad=3, b=907),
    )
    moments = []
    for text, total in zip(pages, (11, 17, 922, 930), strict=True):
        exporter.text = text
        moments.append(await scraped(prometheus, "sum(past_total)", total))
    step = timedelta(milliseconds=50)
    points = (moments[-1] - moments[0]) // step + 2
    answers = []
    for query in past.queries(source):
        streams = await prometheus.range(query, moments[0], moments[0] + (points - 1) * step, step)
        assert {frozenset(s.labels) - {"instance"} for s in streams} == {frozenset({"pod"})}
        answers.append([history.track(stream, moments[0], step, points) for stream in streams])
    found = past.read(source, answers, step.total_seconds())
    assert found.sum == ArmCounts(3, 20)
    halves = sum(found.halves[1:], start=found.halves[0])
    assert (halves.canary, halves.baseline) == (ArmCounts(3, 13), ArmCounts(0, 7))


async def test_a_range_that_cannot_be_evaluated_is_a_bad_query(prometheus: HttpPrometheus) -> None:
    """So is one of more points than Prometheus gives."""
    now = datetime.now(UTC)
    with pytest.raises(BadQuery, match="parse error"):
        await prometheus.range("up{", now, now, timedelta(seconds=1))
    with pytest.raises(BadQuery, match="maximum resolution"):
        await prometheus.range("up", now - timedelta(days=9), now, timedelta(seconds=1))


async def test_nothing_there_is_no_data_and_no_error(prometheus: HttpPrometheus) -> None:
    """A query that matches nothing is an empty vector and an empty range: the gate says NoData."""
    now = datetime.now(UTC)
    assert await prometheus.instant("never_heard_of_total", now) == []
    gate = resolved({"ratio": {"bad": "never_heard_of_total", "total": "never_heard_of_total"}})
    (interval,), _ = await readings.read(prometheus, gate, [(now - timedelta(seconds=5), now)])
    assert interval.gates[0].problem is not None
    assert interval.gates[0].problem.reason is Reason.NO_DATA


async def test_what_happens_between_two_ends_is_counted(exporter: Exporter, prometheus: HttpPrometheus) -> None:
    """A counter that was reset and outgrew its past, and the last events of a pod that went, inside one interval."""
    gate = resolved({"ratio": {"bad": 'busy_total{code="500"}', "total": "busy_total"}})
    page = 'busy_total{{code="200",pod="web-1-a"}} {}\n'
    gone = 'busy_total{{code="200",pod="web-canary-x-b"}} {}\n'
    exporter.text = page.format(10) + gone.format(3)
    start = await scraped(prometheus, "sum(busy_total)", 13)
    exporter.text = page.format(4) + gone.format(8)
    await scraped(prometheus, "sum(busy_total)", 12)
    exporter.text = page.format(30)
    end = await scraped(prometheus, "sum(busy_total)", 30)
    (interval,), problem = await readings.read(prometheus, gate, [(start, end)], timedelta(seconds=1))
    assert problem is None
    assert interval.gates[0].problem is None
    assert (interval.gates[0].canary, interval.gates[0].baseline) == (ArmReading(0, 5), ArmReading(0, 30))


async def test_intervals_add_up(exporter: Exporter, prometheus: HttpPrometheus) -> None:
    """However a time is cut, its parts hold together what the whole holds, also at the borders of samples."""
    gate = resolved({"ratio": {"bad": 'cut_total{code="500"}', "total": "cut_total"}})
    page = "".join(f'cut_total{{{{code="200",pod="{pod}"}}}} {{0}}\n' for pod in PODS)
    exporter.text = page.format(1)
    moments = [await scraped(prometheus, "max(cut_total)", 1)]
    for value in (5, 9, 12, 2, 40):
        exporter.text = page.format(value)
        moments.append(await scraped(prometheus, "max(cut_total)", value))
    (track, *_) = await prometheus.raw(Selector("cut_total"), moments[-1], 60_000)
    at_samples = [datetime.fromtimestamp(at / 1000, UTC) for at in list(track.times)[1:-1:2]]
    cuts = sorted({*moments, *(at for at in at_samples if moments[0] < at < moments[-1])})
    settled = timedelta(seconds=1)
    whole, _ = await readings.read(prometheus, gate, [(moments[0], moments[-1])], settled)
    parts, _ = await readings.read(prometheus, gate, list(pairwise(cuts)), settled)
    assert whole[0].gates[0].canary == ArmReading(0, 4 + 4 + 3 + 2 + 38)
    assert sum(part.gates[0].canary.total for part in parts) == whole[0].gates[0].canary.total


async def test_one_query_serves_many_rollouts(exporter: Exporter, prometheus: HttpPrometheus) -> None:
    """Prometheus takes the values as they are, whatever signs are in them, and each rollout gets its own."""
    names = ["a", "b.c", "b+c", "(d)", "e|f", "bxc"]
    exporter.text = "".join(f'many_total{{of="{name}"}} {number}\n' for number, name in enumerate(names))
    at = await scraped(prometheus, "max(many_total)", len(names) - 1)
    found = await asyncio.gather(
        *(prometheus.raw(Selector("many_total", "", ("of",), ((name,),)), at, 60_000) for name in names[:-1])
    )
    assert [[track.labels["of"] for track in tracks] for tracks in found] == [[name] for name in names[:-1]]
    assert [tracks[0].values[-1] for tracks in found] == [0, 1, 2, 3, 4]


async def test_the_newest_samples_tell_who_is_gone(exporter: Exporter, prometheus: HttpPrometheus) -> None:
    """A stale series has none; of the others the time is that of the last scrape."""
    exporter.text = 'told_total{pod="web-1-a"} 1\ntold_total{pod="web-canary-x-b"} 1\n'
    await scraped(prometheus, "sum(told_total)", 2)
    exporter.text = 'told_total{pod="web-1-a"} 1\n'
    at = await scraped(prometheus, "sum(told_total)", 1)
    (left,) = await prometheus.newest(Selector("told_total"), at)
    assert left.labels["pod"] == "web-1-a"
    tracks = await prometheus.raw(Selector("told_total"), at, 60_000)
    assert len(tracks) == 2
    newest = max(max(track.times) for track in tracks)
    assert round(left.value * 1000) == newest


async def test_the_stand_in_answers_raw_samples_as_prometheus_does(
    exporter: Exporter, prometheus: HttpPrometheus, stand_in: Callable[[fake_prometheus.Answer], HttpPrometheus]
) -> None:
    """Labels, times and values come the same way from both; so do the times of the newest samples."""
    exporter.text = 'raw_total{pod="web-1-a"} 7\n'
    at = await scraped(prometheus, "raw_total", 7)
    labels = {"__name__": "raw_total", "instance": f"127.0.0.1:{exporter.server_port}", "job": "shop", "pod": "web-1-a"}
    fake = stand_in(fake_prometheus.vector((labels, "7")))
    for port in (prometheus, fake):
        (track,) = await port.raw(Selector("raw_total", 'pod="web-1-a"'), at, 60_000)
        assert isinstance(track, Track)
        assert dict(track.labels) == labels
        assert set(track.values) == {7.0}
        last = at.timestamp() * 1000
        assert all(last - 60_000 < moment <= last for moment in track.times)
        (newest,) = await port.newest(Selector("raw_total"), at)
        assert round(newest.value * 1000) == max(track.times)
