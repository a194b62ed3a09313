"""The verdict on what a running collector has stored."""

from pathlib import Path
from typing import Any

import pytest

from chaffinch_shadow.analysis.analyse import analyse_cells, analyse_rows
from chaffinch_shadow.analysis.question import Design, Question
from chaffinch_shadow.document import document
from chaffinch_shadow.readers.outcomes import Outcomes
from chaffinch_shadow.readers.rows import read_rows
from chaffinch_stats.paired import Cells
from integration.shadow.process import Collector, collecting, settings_file
from integration.shadow.versions import Version

LABELLED = {"labels": {"header": "x-label"}}
GOOD = [("/both", "1")] * 40 + [("/", "0")] * 40 + [("/new", "1")] * 8 + [("/old", "1")] * 2


async def compared(collector: Collector, requests: list[tuple[str, str]]) -> dict[str, Any]:
    """The verdict after these requests, with their labels."""
    for target, label in requests:
        await collector.copy(target, x_label=label, x_client=target)
    await collector.settled(len(requests))
    found = await collector.api("/v1/evaluation")
    assert found.status == 200, found.body
    return dict(found.body)


async def test_the_verdict_is_that_of_analyze_on_the_same_counts(
    tmp_path: Path, dsn: str, control: Version, candidate: Version
) -> None:
    """One code path: every number of the document is the same."""
    control.words, candidate.words = ("old", "both"), ("new", "both")
    file = settings_file(tmp_path, control=control.address, candidate=candidate.address, **LABELLED)
    async with collecting(tmp_path, dsn, file) as collector:
        said = await compared(collector, GOOD)
    cells = (40, 0, 0, 0, 0, 8, 2, 40)
    expected = document(analyse_cells(Cells(cells), Question(design=Design.ALWAYS_VALID), expected=90))
    assert said["cells"] == list(cells)
    assert {name: said[name] for name in expected if name != "auc"} == {k: v for k, v in expected.items() if k != "auc"}
    assert (said["coverage"]["share"], said["noise"], said["generation"]) == ("1", None, 1)


async def test_lost_copies_leave_no_verdict_but_inconclusive(
    tmp_path: Path, dsn: str, control: Version, candidate: Version
) -> None:
    """Whatever the counts say; the reason comes first and names what was lost."""
    control.words, candidate.words = ("both",), ("both", "new")
    file = settings_file(tmp_path, control=control.address, candidate=candidate.address, **LABELLED)
    async with collecting(tmp_path, dsn, file) as collector:
        await collector.copy("/both", x_request_id="", x_label="1")
        said = await compared(collector, GOOD[:80])
    assert (said["verdict"], said["reasons"][0]["reason"]) == ("Inconclusive", "CoverageLow")
    assert "NoRequestId" in said["reasons"][0]["message"]


async def test_a_crash_rejects_without_a_label(tmp_path: Path, dsn: str, control: Version, candidate: Version) -> None:
    """Nothing is paired and nothing labelled, and still the breach of errorRate decides; it is said first."""
    candidate.fault = "break off"
    rails = [{"metric": "errorRate", "maxIncrease": "0.01"}, {"metric": "latencyP99", "maxRatio": "2"}]
    file = settings_file(tmp_path, control=control.address, candidate=candidate.address, guardrails=rails)
    async with collecting(tmp_path, dsn, file) as collector:
        said = await compared(collector, [("/", "")] * 200)
    assert said["verdict"] == "Reject"
    assert [(each["reason"], each["metric"]) for each in said["reasons"][:1]] == [("GuardrailBreached", "errorRate")]
    assert "CoverageLow" in {each["reason"] for each in said["reasons"]}


@pytest.mark.parametrize("compare", [{}, {"clusterBy": "header:x-client", "score": {"header": "x-score"}}])
async def test_rows_through_analyze_say_the_same(
    tmp_path: Path, dsn: str, control: Version, candidate: Version, compare: dict[str, Any]
) -> None:
    """What the service says can be made again from its rows, with clusters and scores or without."""
    control.words, candidate.words = ("old", "both"), ("new", "both")
    parts = {"control": control.address, "candidate": candidate.address}
    file = settings_file(tmp_path, **parts, compare=compare, **LABELLED)
    async with collecting(tmp_path, dsn, file) as collector:
        said = await compared(collector, GOOD)
        rows = (await collector.api("/v1/rows.csv")).body
    (tmp_path / "rows.csv").write_text(rows)
    read, asked = read_rows(tmp_path / "rows.csv", Outcomes()), Question(design=Design.ALWAYS_VALID)
    again = document(analyse_rows(read, asked, expected=90))
    for part in ("cells", "metrics", "tests", "auc", "strata", "verdict", "reasons"):
        assert said[part] == again[part], part


async def test_clusters_make_the_tests_robust(tmp_path: Path, dsn: str, control: Version, candidate: Version) -> None:
    """The requests of one client count together, as `clusterBy` says."""
    control.words, candidate.words = ("old", "both"), ("new", "both")
    compare = {"clusterBy": "header:x-client"}
    file = settings_file(tmp_path, control=control.address, candidate=candidate.address, compare=compare, **LABELLED)
    async with collecting(tmp_path, dsn, file) as collector:
        said = await compared(collector, GOOD)
    assert said["cells"] == [40, 0, 0, 0, 0, 8, 2, 40]
    assert said["tests"]["mcnemar"]["clusterRobust"]["clusters"] == 2, "those that differ"


async def test_another_generation_ends_those_before_it(
    tmp_path: Path, dsn: str, control: Version, candidate: Version
) -> None:
    """Else their days of samples would be kept for ever."""
    parts = {"control": control.address, "candidate": candidate.address}
    first = settings_file(tmp_path, **parts)
    async with collecting(tmp_path, dsn, first) as old:
        said = (await old.api("/v1/evaluation")).body
        assert said["running"] is True
        (tmp_path / "second").mkdir()
        second = settings_file(tmp_path / "second", **{**parts, "uid": said["uid"], "generation": 2})
        async with collecting(tmp_path / "second", dsn, second) as new:
            assert (await new.api("/v1/evaluation")).body["running"] is True
        assert (await old.api("/v1/conclude", "POST")).body["running"] is False
