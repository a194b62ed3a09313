"""After a rollback: a page of it whose numbers are the status', and a replay of its time that decides the same."""

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chaffinch_operator.canary import clock
from chaffinch_operator.canary.status import CanaryRolloutStatus, Counts, GateStatus
from chaffinch_operator.cli.words import share
from support.rollouts import Said, Shop, Street

pytestmark = pytest.mark.cluster

SPEC = {"steps": [{"setWeight": 34, "minDuration": "5m"}]}
"""One long step: a bad candidate is rolled back within it."""


@dataclass(frozen=True, slots=True)
class Record:
    """What the commands said and wrote."""

    status: CanaryRolloutStatus
    report: Said
    page: str
    backtest: Said

    @property
    def gates(self) -> list[GateStatus]:
        """Those that count requests."""
        return [g for g in self.status.gates if g.log_e_harm]


@pytest.fixture(scope="module")
def shop(street: Street) -> Shop:
    """One shop."""
    return street.open(spec=SPEC)


@pytest.fixture(scope="module")
def record(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A release that goes wrong, and what people look at afterwards."""
    folder: Path = tmp_path_factory.mktemp("looking-back")
    with shop.load():
        shop.release("bad", error_rate=0.2)
        shop.wait_rolled_back()
    status = shop.status()
    report = shop.chaffinch("report", shop.name, "-o", str(folder / "page.html"))
    manifest = folder / "rollout.json"
    manifest.write_text(json.dumps(shop.rollout))
    begun, ended = clock.parse(status.analysis_started_at), clock.parse(status.interval_end)
    assert begun is not None
    assert ended is not None
    margin = timedelta(seconds=20)
    backtest = shop.chaffinch(
        "backtest", "-f", str(manifest), "--from", clock.stamp(begun - margin), "--to", clock.stamp(ended + margin),
        "-o", "json",
    )  # fmt: skip
    return Record(status, report, (folder / "page.html").read_text(), backtest)


def test_the_page_has_the_numbers_of_the_status(record: Record) -> None:
    """Counts of both arms of every gate that counts, and how it ended."""
    assert record.report.exit_status == 0, record.report
    assert len(record.gates) == 2
    for gate in record.gates:
        assert _told(gate.canary) in record.page
        assert _told(gate.baseline) in record.page
    assert "RolledBack" in record.page


def test_the_page_has_the_course_of_the_evidence(record: Record) -> None:
    """Read again from Prometheus: curves of both gates, and the weight that the Events tell."""
    assert "cannot be read" not in record.page
    assert "have expired" not in record.page
    for title in ("Weight of the canary", *(f"{gate.name}: evidence of harm" for gate in record.gates)):
        assert title in record.page, title


def test_a_replay_of_that_time_rolls_back(record: Record) -> None:
    """By the same gate, on the same counters, without asking the cluster for anything."""
    assert (record.backtest.exit_status, record.backtest.errors) == (0, "")
    result: dict[str, Any] = json.loads(record.backtest.output)
    assert (result["decision"], result["reason"]) == ("Rollback", "GateFailed")
    assert result["message"].startswith("gate errors: ")
    failed = next(g for g in record.status.gates if g.verdict == "Fail")
    assert result["gates"][0]["name"] == failed.name
    assert result["gates"][0]["canary"]["bad"] > 0


def _told(counts: Counts) -> str:
    return share(counts.bad, counts.total)
