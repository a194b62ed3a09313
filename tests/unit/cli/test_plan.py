"""`plan` from the command line to its screen, its JSON, its picture and its errors."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from typer.testing import CliRunner, Result

from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.cli.app import app
from chaffinch_operator.cli.failures import DeclinedError
from chaffinch_operator.cli.kubeconfig import Place
from chaffinch_operator.cli.plan import Subject, share_of
from chaffinch_operator.cli.rollout import rollout_of
from chaffinch_operator.cli.world import World
from chaffinch_operator.errors import Refused
from chaffinch_operator.resources import DEPLOYMENTS, REPLICASETS, SERVICES
from support.fake_prometheus import EMPTY, Answer, FakePrometheus, Reply, matrix, refused, vector
from unit.cli.builders import NOW, ago, gate, rollout, status
from unit.cli.conftest import Run
from unit.cli.fakes import FakeCluster
from unit.cli.plans import ERRORS, SLO, body

BY_HAND = ("--rps", "200", "--bad-rate", "0.02")
STARTED = NOW.timestamp() - 7200


@pytest.fixture
def prometheus() -> Iterator[FakePrometheus]:
    """A server on loopback."""
    with FakePrometheus() as server:
        yield server


def nowhere(*args: str, stdin: str = "") -> Result:
    """Run without any kubeconfig."""

    def find(_kubeconfig: str | None, _context: str | None) -> Place:
        raise DeclinedError("there is no kubeconfig")

    return CliRunner().invoke(app, ["plan", *args], obj=World(find=find, now=lambda: NOW), input=stdin)


def manifest(tmp_path: Path, *specs: dict[str, Any]) -> str:
    """A file with these CanaryRollouts, behind another document."""
    documents = [{"kind": "Service", "metadata": {"name": "checkout"}}]
    documents += [
        {"kind": "CanaryRollout", "metadata": {"name": f"web{k}"}, "spec": spec} for k, spec in enumerate(specs)
    ]
    path = tmp_path / "rollout.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return str(path)


def counters(*pods: str) -> Answer:
    """100 requests a second and pod, of which 2 are bad, since two hours; half as much for other pods."""

    def answer(query: str, at: float) -> Reply:
        seconds = max(0.0, at - STARTED)
        rate = 2 if "bad" in query else 100
        return vector(*(({"pod": pod, "instance": pod}, str(int(rate * seconds))) for pod in pods))(query, at)

    return answer


def through_proxy(answer: Answer) -> Any:
    """The same, by way of the API server."""

    def ask(query: dict[str, str]) -> tuple[int, dict[str, Any]]:
        reply = matrix(answer, query["query"], *(float(query[key]) for key in ("start", "end", "step")))
        return reply.status, json.loads(reply.body)

    return ask


def document(result: Result) -> dict[str, Any]:
    """The JSON that was printed."""
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def test_a_file_and_numbers_by_hand_need_no_cluster(tmp_path: Path) -> None:
    """The screen names gates, worsenings, steps, promotion, bottleneck and the way to halve it."""
    result = nowhere(
        "-f", manifest(tmp_path, body(ERRORS, SLO)), "--rps", "40", "--bad-rate", "0.02", "--bad-rate", "slo=0.005"
    )
    assert result.exit_code == 0, result.stderr
    text = result.stdout
    assert re.search(r"GATE +1.25x +1.5x +2x +5x +good passes", text)
    assert re.search(r"errors +\d+m(\d+s)? \(\d+m(\d+s)?\) step 1", text)
    assert re.search(r"1: 25 % +slo", text)
    assert "errors: 40 a second, 2 % bad (as given; dispersion 1 assumed)" in text
    assert "A good canary is promoted after " in text
    assert "Bottleneck: errors." in text
    assert re.search(r"To halve the time for errors to pass \(median .*\): .*marginRatio \d", text)


def test_json_has_the_documented_fields(tmp_path: Path) -> None:
    """Of every gate: traffic, catches and pass, and the same per step."""
    found = document(nowhere("-f", manifest(tmp_path, body()), *BY_HAND, "--dispersion", "2", "-o", "json"))
    assert (found["kind"], found["version"], found["name"]) == ("RolloutPlan", 1, "web0")
    (only,) = found["gates"]
    assert only["traffic"]["dispersion"] == 2.0
    assert [e["ratio"] for e in only["catch"]] == [1.25, 1.5, 2.0, 5.0]
    assert set(only["pass"]) == {"expectedSeconds", "medianSeconds", "p90Seconds", "happens", "step"}
    assert only["steps"][0]["weight"] == 25
    assert found["bottleneck"] == "errors"
    assert found["fitsMaxDuration"] is True
    assert {advice["about"] for advice in found["advice"]} == {"pass", "catch"}


def test_one_spec_has_one_plan(tmp_path: Path) -> None:
    """Chance is the same every time."""
    args = ("-f", manifest(tmp_path, body()), *BY_HAND, "-o", "json")
    assert nowhere(*args).stdout == nowhere(*args).stdout


def test_stdin_is_a_file_too() -> None:
    """As with kubectl."""
    text = yaml.safe_dump({"kind": "CanaryRollout", "metadata": {"name": "x"}, "spec": body()})
    assert nowhere("-f", "-", *BY_HAND, stdin=text).exit_code == 0


def test_a_spec_that_cannot_finish_is_warned_of(tmp_path: Path) -> None:
    """With the numbers, and exit code 0: it is a forecast."""
    result = nowhere(
        "-f", manifest(tmp_path, body(promotion={"maxDuration": "5m"})), "--rps", "5", "--bad-rate", "0.02"
    )
    assert result.exit_code == 0
    assert "warning: this does not fit into maxDuration 5m: half of all good canaries take longer than" in result.stdout


BAD_INPUT: dict[str, tuple[tuple[str, ...], int, str]] = {
    "no name and no file": ((), 2, "name a CanaryRollout, or give a file with -f"),
    "no number": (("-f", "FILE", "--rps", "many"), 2, '"many" is not a number of 0 or more'),
    "a share above one": (("-f", "FILE", "--bad-rate", "errors=1.5"), 2, '"1.5" is not a number of 0 to 1'),
    "a dispersion below one": (("-f", "FILE", "--dispersion", "0.5"), 2, '"0.5" is not a number of 1 or more'),
    "an unknown gate": (("-f", "FILE", "--rps", "1", "--bad-rate", "nope=0.1"), 2, 'no gate "nope" that counts'),
    "no such file": (("-f", "/does/not/exist"), 2, "-f /does/not/exist:"),
    "a picture of another kind": (("-f", "FILE", *BY_HAND, "--plot", "x.pdf"), 2, "a picture ends in .svg or .png"),
    "an empty window": (("-f", "FILE", "--window", "0s"), 2, "--window must be longer than nothing"),
    "no kubeconfig": (("-f", "FILE", "--rps", "10"), 1, "there is no kubeconfig"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_refused_by_name(tmp_path: Path, case: str) -> None:
    """With the exit code of the other commands."""
    args, code, message = BAD_INPUT[case]
    file = manifest(tmp_path, body())
    result = nowhere(*(file if arg == "FILE" else arg for arg in args))
    assert result.exit_code == code
    assert message in result.stderr


def test_a_file_with_several_is_asked_for_a_name(tmp_path: Path) -> None:
    """The name chooses."""
    file = manifest(tmp_path, body(), body(SLO))
    assert "there are CanaryRollouts web0, web1: name one" in nowhere("-f", file, *BY_HAND).stderr
    assert document(nowhere("web1", "-f", file, *BY_HAND, "-o", "json"))["name"] == "web1"


def test_a_spec_that_cannot_be_read_is_named_by_its_field(tmp_path: Path) -> None:
    """As the API server would."""
    result = nowhere("-f", manifest(tmp_path, body(steps=[{"setWeight": 200}])), *BY_HAND)
    assert result.exit_code == 1
    assert "spec.steps.0.setWeight" in result.stderr


def test_an_address_that_this_machine_reaches_is_asked_directly(prometheus: FakePrometheus, tmp_path: Path) -> None:
    """Without a cluster the Deployment's name tells the pods."""
    prometheus.answer("p", counters("checkout-1", "checkout-2", "other-1"))
    file = manifest(tmp_path, body())
    found = document(nowhere("-f", file, "--prometheus", prometheus.address("p"), "-o", "json"))
    seen = found["gates"][0]["traffic"]
    assert (seen["perSecond"], seen["badShare"]) == (pytest.approx(200), pytest.approx(0.02))
    assert seen["origin"].startswith("720,000 requests in 1h; dispersion 1")


def test_a_service_of_the_cluster_is_asked_through_the_api_server(run: Run) -> None:
    """Of stable's pods only: their ReplicaSet is known from the status, or found as the Deployment's."""
    cluster = FakeCluster(rollout(spec=body()))
    cluster.put(SERVICES, {"metadata": {"name": "prometheus", "namespace": "monitoring"}})
    cluster.put(
        DEPLOYMENTS, {"metadata": {"name": "checkout", "namespace": "shop", "uid": "u"}, "spec": {"replicas": 3}}
    )
    for hashed, ready in (("old", 0), ("new", 3)):
        labels, owner = {"pod-template-hash": hashed}, [{"uid": "u"}]
        meta = {"name": f"checkout-{hashed}", "namespace": "shop", "labels": labels, "ownerReferences": owner}
        cluster.put(REPLICASETS, {"metadata": meta, "status": {"readyReplicas": ready}})
    cluster.services = through_proxy(counters("checkout-new-1", "checkout-worker-1"))
    found = document(run(cluster, "plan", "checkout", "-o", "json"))
    assert found["gates"][0]["traffic"]["perSecond"] == pytest.approx(100)
    assert set(cluster.proxied) == {("monitoring", "http:prometheus:9090", "/api/v1/query_range")}


@pytest.mark.parametrize(
    ("header", "through"),
    [("X-Scope-OrgID: shop", True), ("Authorization: Bearer t", False), ("Impersonate-User: root", False)],
)
def test_a_tenant_goes_through_the_api_server_and_what_it_keeps_does_not(run: Run, header: str, through: bool) -> None:
    """Credentials, and headers that would speak to the API server itself, are sent to the address directly."""
    cluster = FakeCluster(rollout(spec=body()))
    cluster.put(SERVICES, {"metadata": {"name": "prometheus", "namespace": "monitoring"}})
    cluster.services = through_proxy(counters("checkout-1"))
    result = run(cluster, "plan", "checkout", "--header", header)
    assert bool(cluster.proxied) is through
    if through:
        assert {"X-Scope-OrgID": "shop"} in cluster.proxied_headers
    else:
        assert result.exit_code == 1
        assert "kubectl port-forward -n monitoring service/prometheus 9090" in result.stderr


@pytest.mark.parametrize(("baseline", "judged"), [("None", 6000), ("Dedicated", 3000)])
def test_a_rollout_under_way_tells_its_own_traffic(run: Run, baseline: str, judged: int) -> None:
    """Its counts and its dispersion; Prometheus is not asked. A dedicated baseline is not all of the rest."""
    arm = {"bad": (judged - 1500) // 100, "total": judged - 1500}
    seen = gate("errors", canary={"bad": 30, "total": 1500}, baseline=arm, dispersion="1.7")
    step = {"index": 0, "startedAt": ago(minutes=1), "canaryRequests": 1500, "totalRequests": judged}
    state = status(gates=[seen], step=step, intervalEnd=ago(minutes=0))
    cluster = FakeCluster(rollout(spec=body(canary={"baseline": baseline}), status=state))
    traffic = document(run(cluster, "plan", "checkout", "-o", "json"))["gates"][0]["traffic"]
    assert (traffic["perSecond"], traffic["badShare"], traffic["dispersion"]) == (100.0, 0.01, 1.7)
    whose = {"None": "stable", "Dedicated": "the baseline"}[baseline]
    assert traffic["origin"].startswith(f"this rollout's {judged - 1500:,} requests of {whose};")
    assert cluster.proxied == []


def test_a_rollout_with_a_baseline_of_its_own_takes_longer_to_be_judged(tmp_path: Path) -> None:
    """The comparison arm gets the canary's share of the requests, not all of stable's."""
    spent = {}
    for baseline in ("None", "Dedicated"):
        file = manifest(tmp_path, body(canary={"baseline": baseline}))
        spent[baseline] = document(nowhere("-f", file, *BY_HAND, "-o", "json"))["gates"][0]["pass"]["medianSeconds"]
    assert spent["Dedicated"] > 1.2 * spent["None"]


@pytest.mark.parametrize(("baseline", "share"), [("None", 1 / 4), ("Dedicated", 1 / 5)])
def test_by_replicas_the_baselines_pods_take_their_share(baseline: str, share: float) -> None:
    """One canary beside three pods of stable, with and without as many of the baseline."""
    made = rollout(spec=body(trafficRouting={"replicas": {}}, canary={"baseline": baseline}))
    spec = CanaryRolloutSpec.model_validate(made["spec"])
    of_weight = share_of(Subject(rollout_of(made), spec, 3, "checkout-"))
    assert (of_weight(25), of_weight(0)) == (pytest.approx(share), 0.0)


@pytest.mark.parametrize(("baseline", "seen"), [("None", 300), ("Dedicated", 200)])
def test_pods_of_a_dedicated_baseline_are_not_stables(
    run: Run, prometheus: FakePrometheus, baseline: str, seen: int
) -> None:
    """Of an earlier rollout, by name."""
    prometheus.answer("p", counters("checkout-1", "checkout-2", "checkout-baseline-1"))
    cluster = FakeCluster(rollout(spec=body(canary={"baseline": baseline})))
    found = document(run(cluster, "plan", "checkout", "--prometheus", prometheus.address("p"), "-o", "json"))
    assert found["gates"][0]["traffic"]["perSecond"] == pytest.approx(seen)


def test_numbers_by_hand_go_over_those_found(run: Run, prometheus: FakePrometheus) -> None:
    """What is not said is measured."""
    prometheus.answer("p", counters("checkout-1"))
    args = ("plan", "checkout", "--prometheus", prometheus.address("p"), "--bad-rate", "errors=0.1", "-o", "json")
    seen = document(run(FakeCluster(rollout(spec=body())), *args))["gates"][0]["traffic"]
    assert (seen["perSecond"], seen["badShare"]) == (pytest.approx(100), 0.1)


def test_without_traffic_the_way_out_is_named(run: Run, prometheus: FakePrometheus) -> None:
    """By hand, with the gates' names."""
    prometheus.answer("p", EMPTY)
    result = run(FakeCluster(rollout(spec=body())), "plan", "checkout", "--prometheus", prometheus.address("p"))
    assert result.exit_code == 1
    assert "the traffic of gate errors is not known: Prometheus has too few requests" in result.stderr
    assert "--rps 100 --bad-rate errors=0.004" in result.stderr


def test_a_prometheus_that_does_not_answer_is_told(run: Run) -> None:
    """Directly, and behind the API server: an address of this machine, or numbers by hand."""
    cluster = FakeCluster(rollout(spec=body()))
    away = run(cluster, "plan", "checkout", "--prometheus", "http://127.0.0.1:1")
    cluster.put(SERVICES, {"metadata": {"name": "prometheus", "namespace": "monitoring"}})
    down = run(cluster, "plan", "checkout")
    cluster.raises["proxy", "services"] = Refused(403, "Forbidden", "services/proxy is forbidden", "Service")
    forbidden = run(cluster, "plan", "checkout")
    assert "answered HTTP 503: no endpoint" in down.stderr
    assert "does not let you through" in forbidden.stderr
    for result in (away, down, forbidden):
        assert result.exit_code == 1
        assert "--prometheus URL" in result.stderr


def test_a_query_that_prometheus_refuses_names_its_gate(run: Run, prometheus: FakePrometheus) -> None:
    """So it can be corrected."""
    prometheus.answer("p", refused(400, "bad_data", "parse error"))
    result = run(FakeCluster(rollout(spec=body())), "plan", "checkout", "--prometheus", prometheus.address("p"))
    assert result.exit_code == 1
    assert "gate errors: stable's history cannot be read: bad_data: parse error" in result.stderr


def test_the_picture_is_drawn_as_svg(tmp_path: Path) -> None:
    """A row for every worsening and the good canary, and the promotion, in well-formed XML."""
    path = tmp_path / "plan.svg"
    result = nowhere("-f", manifest(tmp_path, body()), *BY_HAND, "--plot", str(path))
    assert result.stderr == f"drawn to {path}\n"
    words = [e.text for e in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]
    for label in (
        "errors: 1.25x caught",
        "errors: 5x caught",
        "errors: passes",
        "promoted (good canary)",
        "maxDuration",
    ):
        assert label in words


def test_the_picture_is_drawn_as_png(tmp_path: Path) -> None:
    """Twice as large as the SVG says."""
    path = tmp_path / "plan.PNG"
    assert nowhere("-f", manifest(tmp_path, body()), *BY_HAND, "--plot", str(path)).exit_code == 0
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(head[16:20], "big") == 1920


def test_png_without_its_package_names_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any work is done."""
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    result = nowhere("-f", manifest(tmp_path, body()), *BY_HAND, "--plot", str(tmp_path / "plan.png"))
    assert result.exit_code == 1
    assert "pip install 'chaffinch[cli,plot]'; or draw FILE.svg" in result.stderr


def test_a_picture_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A directory that is not there."""
    result = nowhere("-f", manifest(tmp_path, body()), *BY_HAND, "--plot", str(tmp_path / "no" / "plan.svg"))
    assert result.exit_code == 1
    assert "plan.svg: No such file or directory" in result.stderr
