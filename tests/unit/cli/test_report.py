"""`report`: a rollout as a page, its course read again from Prometheus; and `backtest --from` over the same time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaffinch_operator.canary import backtest, clock
from chaffinch_operator.canary.backtest import Plan
from chaffinch_operator.canary.gates import resolve
from chaffinch_operator.canary.judgement import Thresholds
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.snapshot import ArmReading, GateReading, IntervalReading
from chaffinch_operator.canary.status import CanaryRolloutStatus
from chaffinch_operator.cli import past_readings
from chaffinch_operator.cli.course import Change, changes, settled, weight_at
from chaffinch_operator.errors import Refused
from chaffinch_operator.resources import EVENTS
from chaffinch_operator.schema import compact
from support.fake_prometheus import EMPTY, Answer, FakePrometheus, Labels, Reply, counters, vector
from unit.cli import builders
from unit.cli.conftest import Run
from unit.cli.fakes import FakeCluster

MINUTE = timedelta(minutes=1)
BEGUN = builders.NOW - timedelta(minutes=30)
"""When the canary got its weight: on the grid of one-minute intervals."""
FIRST = BEGUN + MINUTE
END = BEGUN + timedelta(minutes=11)
RATES = {"checkout-canary-c1": (2, 40), "checkout-6c5d4f7b9-s1": (1, 160)}
"""Bad and all requests a second, by pod: 5 % against 0.6 %."""
GATES: list[dict[str, Any]] = [
    {"name": "errors", "ratio": {"bad": "bad_total", "total": "all_total"}},
    {"name": "split", "sampleRatio": {}},
    {"name": "restarts", "podRestarts": {"max": 2}},
]


def known(query: str, at: float) -> list[tuple[Labels, str]]:
    """Counters that began to grow with the canary, and stop with it."""
    second = min(at, END.timestamp()) - BEGUN.timestamp()
    place = 0 if "bad_total" in query else 1
    return [
        ({"pod": pod, "instance": pod}, str(max(0, int(second * rates[place]))))
        for pod, rates in RATES.items()
        if "canary" not in pod or second >= 0
    ]


@pytest.fixture
def prometheus() -> Iterator[FakePrometheus]:
    """A Prometheus that remembers the rollout."""
    with FakePrometheus() as server:
        server.answer("shop", counters(known))
        yield server


def spec(address: str) -> dict[str, Any]:
    """Two steps, one-minute intervals."""
    return builders.spec(
        steps=[{"setWeight": 20, "minDuration": "10m"}],
        analysis={
            "interval": "1m",
            "queryOffset": "5s",
            "warmup": "10s",
            "provider": {"prometheus": {"address": address}},
            "gates": GATES,
        },
    )


def judged(body: dict[str, Any]) -> list[dict[str, Any]]:
    """status.gates as the operator would have written it: its own fold of every interval."""
    of = CanaryRolloutSpec.model_validate(body)
    gates = resolve(of, past_readings.naming(of, "shop", "checkout", "6c5d4f7b9"))
    count = (END - FIRST) // MINUTE
    readings = [
        IntervalReading(
            FIRST + k * MINUTE,
            FIRST + (k + 1) * MINUTE,
            (GateReading("errors", ArmReading(120, 2400), ArmReading(60, 9600)),),
        )
        for k in range(count)
    ]
    plan = Plan((), of.promotion, share=0.2)
    *_, last = backtest.replay(gates, Thresholds.of(of, gates), plan, readings)
    whole = CanaryRolloutStatus(gates=list(last.gates))
    return list(compact(whole)["gates"])


def rolled_back(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The object after the operator rolled it back."""
    status = {
        **builders.rejected(),
        "gates": judged(body),
        "analysisStartedAt": clock.stamp(BEGUN),
        "intervalEnd": clock.stamp(END),
        "history": [
            {
                "digest": "b" * 16,
                "image": "registry.example/shop/checkout:1.10.0",
                "result": "RolledBack",
                "reason": "GateFailed",
                "at": clock.stamp(END + MINUTE),
                "message": "gate errors: 8x",
            }
        ],
        **changes,
    }
    return builders.rollout(spec=body, status=status, uid="u1")


def event(reason: str, note: str, at: datetime, uid: str = "u1") -> dict[str, Any]:
    """An Event of the operator."""
    name = f"{uid}-{reason}-{at:%H%M%S}".lower()
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "regarding": {"uid": uid},
        "reason": reason,
        "note": note,
        "eventTime": clock.stamp(at),
    }


def cluster(obj: dict[str, Any], *events: dict[str, Any]) -> FakeCluster:
    """A cluster with the rollout and its Events."""
    made = FakeCluster(obj)
    told = events or (
        event("StepWeight", "step 1 of 1: weight 20 % is being applied", BEGUN),
        event("Analyzing", "step 1 of 1: weight 20 %, no harm found", BEGUN),
    )
    for one in told:
        made.put(EVENTS, one)
    return made


def test_the_page_has_the_status_numbers_and_their_course(run: Run, prometheus: FakePrometheus, tmp_path: Path) -> None:
    """The table is the status; the curves, read again, end with the same counts, so nothing needs to be said."""
    body, path = spec(prometheus.address("shop")), tmp_path / "r.html"
    done = run(cluster(rolled_back(body)), "report", "checkout", "-n", "shop", "-o", str(path))
    assert (done.exit_code, done.stderr, done.stdout) == (0, "", f"wrote {path}\n")
    html = path.read_text()
    assert "1,200 of 24,000 (5 %)" in html
    assert "600 of 96,000 (0.62 %)" in html
    assert "differ from" not in html
    assert html.count("<svg") == 3
    assert "RolledBack" in html
    assert "Percent of requests for the canary, from 20 to 20" in html


def test_intervals_that_the_operator_passed_over_are_not_in_the_curves(
    run: Run, prometheus: FakePrometheus, tmp_path: Path
) -> None:
    """Those in which the weight was changing; Events tell when that was."""
    body, path = spec(prometheus.address("shop")), tmp_path / "r.html"
    changed = FIRST + timedelta(minutes=4, seconds=30)
    told = (
        event("StepWeight", "step 1 of 2: weight 20 % is being applied", BEGUN),
        event("Analyzing", "no harm found", BEGUN),
        event("StepWeight", "step 2 of 2: weight 40 % is being applied", changed),
        event("Analyzing", "no harm found", changed + timedelta(seconds=2)),
    )
    done = run(cluster(rolled_back(body), *told), "report", "checkout", "-n", "shop", "-o", str(path))
    assert done.exit_code == 0
    html = path.read_text()
    assert "counts of errors, split differ from those that the operator judged" in " ".join(html.split())
    assert "Over 9 intervals" in html
    assert "from 20 to 40" in html


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (EMPTY, "Prometheus has nothing of that time any more"),
        (None, "the final evidence is shown, not its course; name a server that can be reached from here"),
    ],
)
def test_without_history_the_final_evidence_is_shown(
    run: Run, prometheus: FakePrometheus, tmp_path: Path, answer: Answer | None, said: str
) -> None:
    """And the page says why there is no course."""
    address = prometheus.address("shop") if answer else "http://127.0.0.1:1"
    prometheus.answer("shop", answer or EMPTY)
    body, path = spec(address), tmp_path / "r.html"
    done = run(cluster(rolled_back(body)), "report", "checkout", "-n", "shop", "-o", str(path))
    html = path.read_text()
    assert (done.exit_code, said in html, said in done.stderr) == (0, True, True)
    assert "nothing is decided" not in html
    assert "1,200 of 24,000" in html
    assert "<svg" not in html


def test_events_are_not_needed(run: Run, prometheus: FakePrometheus, tmp_path: Path) -> None:
    """Expired or forbidden: the page says that weights are not known."""
    body, path = spec(prometheus.address("shop")), tmp_path / "r.html"
    forbidden, expired = cluster(rolled_back(body)), FakeCluster(rolled_back(body))
    forbidden.raises["list", "events"] = Refused(403, "Forbidden", "events is forbidden")
    for where, said in ((forbidden, "Events cannot be read"), (expired, "have expired")):
        assert run(where, "report", "checkout", "-n", "shop", "-o", str(path)).exit_code == 0
        html = path.read_text()
        assert said in html
        assert "Weight of the canary" not in html


def test_before_the_first_request_there_is_nothing_to_show(run: Run, tmp_path: Path) -> None:
    """The page says so."""
    path = tmp_path / "r.html"
    obj = builders.rollout(spec=spec("http://127.0.0.1:1"), status=builders.status("Start", "Initializing", gates=[]))
    assert run(FakeCluster(obj), "report", "checkout", "-n", "shop", "-o", str(path)).exit_code == 0
    assert "no canary has had traffic yet" in path.read_text()


def test_names_and_images_are_text(run: Run, prometheus: FakePrometheus, tmp_path: Path) -> None:
    """An image or a message is no markup, whoever wrote it."""
    body, path = spec(prometheus.address("shop")), tmp_path / "r.html"
    evil = {"digest": "b" * 16, "image": "<script>alert(1)</script>"}
    obj = rolled_back(body, candidate=evil, lastDecision=builders.decision("Rejected", "RolledBack", "<img src=x>"))
    assert run(cluster(obj), "report", "checkout", "-n", "shop", "-o", str(path)).exit_code == 0
    html = path.read_text()
    assert "<script" not in html
    assert "<img" not in html


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ((), 2, "give either the NAME"),
        (("checkout", "--from-backtest", "x.json"), 2, "give either the NAME"),
        (("nobody", "-n", "shop"), 1, 'there is no CanaryRollout "nobody"'),
        (("--from-backtest", "nowhere.json"), 2, "cannot read nowhere.json"),
    ],
)
def test_what_cannot_be_reported_is_said(run: Run, args: tuple[str, ...], code: int, message: str) -> None:
    """Two lines and an exit code."""
    done = run(FakeCluster(builders.rollout(status=builders.status())), "report", *args)
    assert (done.exit_code, message in done.stderr) == (code, True), done.stderr


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "BacktestResult", "version": 2}', "NaN", "<html>"])
def test_a_file_that_is_no_result_is_refused(run: Run, tmp_path: Path, text: str) -> None:
    """With the field that is wrong, and the command that writes one."""
    path = tmp_path / "result.json"
    path.write_text(text)
    done = run(FakeCluster(), "report", "--from-backtest", str(path))
    assert done.exit_code == 1
    assert "is no result of a backtest" in done.stderr
    assert "backtest ... -o json" in done.stderr


def test_backtest_from_prometheus_decides_as_the_operator_did(
    run: Run, prometheus: FakePrometheus, tmp_path: Path
) -> None:
    """Over the time of the rollout, without a cluster: Rollback, and nothing after it."""
    path = tmp_path / "rollout.yaml"
    path.write_text(yaml.safe_dump(builders.rollout(spec=spec(prometheus.address("shop")))))
    done = run(FakeCluster(), "backtest", "-f", str(path), "--from", "35m", "-o", "json")
    assert (done.exit_code, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert (result["decision"], result["reason"]) == ("Rollback", "GateFailed")
    assert result["intervals"][-1]["decision"] == "Rollback"
    assert [i["decision"] for i in result["intervals"][:-1]] == ["Hold"] * (len(result["intervals"]) - 1)
    assert result["intervals"][0]["end"] == clock.stamp(FIRST + MINUTE)
    errors = result["intervals"][0]["gates"][0]
    assert (errors["canary"], errors["baseline"]) == ({"bad": 120, "total": 2400}, {"bad": 60, "total": 9600})


def test_backtest_from_prometheus_says_when_there_was_no_canary(
    run: Run, prometheus: FakePrometheus, tmp_path: Path
) -> None:
    """A wrong time or namespace is no verdict."""
    path = tmp_path / "rollout.yaml"
    path.write_text(yaml.safe_dump(builders.rollout(spec=spec(prometheus.address("shop")))))
    done = run(FakeCluster(), "backtest", "-f", str(path), "--from", "2h", "--to", "90m")
    assert done.exit_code == 1
    assert "has no requests of the canary in that time" in done.stderr


def test_weights_are_told_by_the_events_of_this_rollout_alone() -> None:
    """From when each was applied; before the first nobody knows."""
    told = [
        event("StepWeight", "step 1 of 2: weight 5 % is being applied", BEGUN),
        event("Analyzing", "no harm found", BEGUN + MINUTE),
        event("StepWeight", "step 2 of 2: weight 50 % is being applied", BEGUN + 5 * MINUTE),
        event("StepWeight", "weight 99 %", BEGUN, uid="another"),
        event("StepWeight", "step 2 of 2: weight 77 %", BEGUN - timedelta(days=1)),
        {"metadata": {"name": "x"}, "regarding": None, "eventTime": None},
    ]
    known = changes(told, "u1", BEGUN)
    assert known == (Change(BEGUN, BEGUN + MINUTE, 5.0), Change(BEGUN + 5 * MINUTE, BEGUN + 5 * MINUTE, 50.0))
    assert [weight_at(known, BEGUN + k * MINUTE) for k in (0, 1, 4, 5)] == [None, 5.0, 5.0, 50.0]


def test_an_interval_with_a_change_in_it_is_left_out() -> None:
    """Until queryOffset after the weight was applied."""
    known = (Change(BEGUN, BEGUN, 5.0), Change(BEGUN + 2 * MINUTE, BEGUN + 2.5 * MINUTE, 50.0))
    found = [IntervalReading(BEGUN + k * MINUTE, BEGUN + (k + 1) * MINUTE, ()) for k in range(5)]
    kept = settled(found, known, timedelta(seconds=45))
    assert [r.start for r in kept] == [BEGUN, BEGUN + MINUTE, BEGUN + 4 * MINUTE]


def _noisy(query: str, at: float) -> Reply:
    """Four pods of stable whose errors come and go, each in its own time."""
    samples = []
    for number in range(4):
        pod, minute = f"checkout-6c5d4f7b9-p{number}", (at - BEGUN.timestamp()) / 60.0
        bad = sum(((7 * k * (number + 3)) % 11) for k in range(2000 + int(minute)))
        value = bad if "bad_total" in query else 600 * int(2000 + minute)
        samples.append(({"pod": pod, "instance": pod}, str(value)))
    return vector(*samples)(query, at)


def test_false_alarms_are_told_of_stables_own_history(run: Run, prometheus: FakePrometheus, tmp_path: Path) -> None:
    """Its pods in two halves are the arms; a single pod cannot be split."""
    path = tmp_path / "rollout.yaml"
    path.write_text(yaml.safe_dump(builders.rollout(spec=spec(prometheus.address("shop")))))
    args = ("backtest", "-f", str(path), "--from", "3h", "--aa", "100", "--aa-length", "1h")
    prometheus.answer("shop", _noisy)
    done = run(FakeCluster(), *args, "-o", "json")
    assert (done.exit_code, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert (result["rollouts"], result["scheme"]["intervals"]) == (100, 60)
    assert result["gates"][0]["dispersionSource"].startswith("History: ")
    prometheus.answer("shop", counters(known))
    refused = run(FakeCluster(), *args)
    assert refused.exit_code == 1
    assert "no history of two pods of stable" in refused.stderr
