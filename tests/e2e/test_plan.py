"""`kubectl chaffinch plan` on a real cluster: of a rollout under way, of a file not applied, without Prometheus."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chaffinch_operator.canary.reasons import Action, Reason
from chaffinch_operator.canary.status import CanaryRolloutStatus
from support.rollouts import Said, Shop, Street, deep_merge
from support.timeline import doing

pytestmark = pytest.mark.cluster

RATE = 120.0
SPEC = {"steps": [{"setWeight": 34, "minDuration": "10m"}]}
"""One long step: it is under way for as long as it is looked at."""
IN_CLUSTER = "http://prometheus.monitoring:9090"
ELSEWHERE = "http://prometheus.monitoring:9999"
"""A Service that is there, and a port of it that is not."""


@dataclass(frozen=True, slots=True)
class Record:
    """What the commands said."""

    table: Said
    running: Said
    status: CanaryRolloutStatus
    from_file: Said
    unreachable: Said

    def gate(self, said: Said, name: str = "errors") -> dict[str, Any]:
        """What the JSON says of a gate."""
        assert said.exit_status == 0, said
        return gate_of(said, name)


def gate_of(said: Said, name: str = "errors") -> dict[str, Any]:
    """What the JSON says of a gate."""
    found: dict[str, Any] = next(g for g in json.loads(said.output)["gates"] if g["name"] == name)
    return found


def rate(said: Said) -> float:
    """Requests a second that a plan goes by."""
    return float(gate_of(said)["traffic"]["perSecond"])


def manifest(shop: Shop, folder: Path, address: str) -> str:
    """A CanaryRollout that is in no cluster: by the pods' counters, of a Prometheus that is told the tenant."""
    prometheus = {"address": address, "headers": [{"name": "X-Scope-OrgID", "value": "shop"}]}
    gates = [{"name": "errors", "template": "PodHTTPErrors"}]
    analysis = {"provider": {"prometheus": prometheus}, "gates": gates}
    path = folder / f"{address.rpartition(':')[2]}.json"
    changed = {"metadata": {"name": "planned"}, "spec": {"analysis": analysis}}
    path.write_text(json.dumps(deep_merge(shop.rollout, changed)))
    return str(path)


@pytest.fixture(scope="module")
def record(street: Street, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A plan before the release, and plans within it."""
    shop, folder = street.open(spec=SPEC), tmp_path_factory.mktemp("plan")
    said: list[Said] = []
    with shop.load(RATE):
        file = manifest(shop, folder, IN_CLUSTER)

        def planned() -> bool:
            said.append(shop.chaffinch("plan", "-f", file, "-o", "json"))
            return said[-1].exit_status == 0 and rate(said[-1]) == pytest.approx(RATE, rel=0.25)

        shop.wait_for(planned, 120, "a plan from Prometheus, of more than the load's first moments")
        shop.release("good")
        shop.wait(doing(Action.SHIFT, Reason.ANALYZING, weight=34), 60, "a canary with traffic")
        shop.wait(lambda s: s.step.total_requests > 10 * RATE, 60, "ten seconds of counts")
        running, status = shop.chaffinch("plan", shop.name, "-o", "json"), shop.status()
        table = shop.chaffinch("plan", shop.name)
    unreachable = shop.chaffinch("plan", "-f", manifest(shop, folder, ELSEWHERE))
    return Record(table, running, status, said[-1], unreachable)


def test_a_rollout_under_way_is_planned_by_its_own_counts(record: Record) -> None:
    """The rate that was counted, of which the first and the last moments lack, and the dispersion of the status."""
    gate, seen = record.gate(record.running), next(g for g in record.status.gates if g.name == "errors")
    assert RATE / 2 < gate["traffic"]["perSecond"] < 1.25 * RATE
    assert gate["traffic"]["dispersion"] == pytest.approx(float(seen.dispersion))
    assert gate["traffic"]["origin"].startswith("this rollout's ")
    assert "requests of stable" in gate["traffic"]["origin"]
    assert [answer["ratio"] for answer in gate["catch"]] == sorted(answer["ratio"] for answer in gate["catch"])
    assert gate["pass"]["medianSeconds"] > 0
    assert json.loads(record.running.output)["steps"][0]["weight"] == 34


def test_the_table_says_the_same(record: Record) -> None:
    """Gates, steps and the sentence about promotion, on one screen."""
    assert record.table.exit_status == 0, record.table
    for words in ("errors", "latency", "34 %", "this rollout's"):
        assert words in record.table.output, record.table


def test_a_file_that_nobody_applied_is_planned_through_the_api_server(record: Record) -> None:
    """From the real Prometheus, at an address that only the cluster resolves, with the spec's headers."""
    traffic = record.gate(record.from_file)["traffic"]
    assert traffic["perSecond"] == pytest.approx(RATE, rel=0.25)
    assert "requests in" in traffic["origin"]
    assert json.loads(record.from_file.output)["name"] == "planned"


def test_a_prometheus_that_does_not_answer_is_named_with_the_ways_out(record: Record) -> None:
    """Exit code 1, the address, how to reach it from here, and how to do without."""
    assert (record.unreachable.exit_status, record.unreachable.output) == (1, "")
    assert f"no traffic could be read from Prometheus at {ELSEWHERE}" in record.unreachable.errors
    assert "kubectl port-forward -n monitoring service/prometheus" in record.unreachable.errors
    assert "--rps" in record.unreachable.errors
