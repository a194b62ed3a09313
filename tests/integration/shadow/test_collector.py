"""The collector as it runs: copies in, pairs in the database, whatever the versions do."""

import asyncio
import csv
import io
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from integration.shadow.process import collecting, command, dropped, settings_file
from integration.shadow.versions import Version

QUICK = {"timeoutMs": 200}


def versions(control: Version, candidate: Version, **parts: Any) -> dict[str, Any]:
    """The part of the settings that says where the versions are."""
    return {"control": control.address, "candidate": candidate.address, **parts}


async def test_from_copies_to_cells(tmp_path: Path, dsn: str, control: Version, candidate: Version) -> None:
    """Both versions get each copy once, marked; labels, verdicts, scores and noise end in exact counts."""
    candidate.words = ("attack", "probe")
    parts = versions(control, candidate, noiseControl=control.address, labels={"header": "x-label"})
    compare = {"score": {"header": "x-score"}, "ignore": ["header:x-name", "header:x-score"]}
    async with collecting(tmp_path, dsn, settings_file(tmp_path, **parts, compare=compare)) as collector:
        for target, label, times in (("/attack", "1", 3), ("/probe", "1", 2), ("/probe?x", "0", 1), ("/", "0", 4)):
            for _ in range(times):
                assert await collector.copy(target, x_label=label) == 204
        coverage = await collector.settled(10)
        cells = (await collector.api("/v1/cells")).body
        guardrails = (await collector.api("/v1/guardrails")).body
        rows = list(csv.DictReader(io.StringIO((await collector.api("/v1/rows.csv")).body)))
    assert (coverage["pairs"], coverage["share"], coverage["damage"]) == ("10", "1", [])
    assert cells["cells"] == ["4", "1", "0", "0", "0", "2", "0", "3"]
    assert (cells["labels"]["positive"], cells["labelMaturity"]) == ("5", "1")
    assert guardrails["differing"] == ["7", "3", "0", "0"]
    assert guardrails["errors"] == ["10", "0", "0", "0"]
    assert guardrails["latency"]["candidate"]["p99"] > 0
    assert [(r["label"], r["control"], r["candidate"]) for r in rows].count(("1", "0", "1")) == 2
    assert sorted(candidate.asked) == sorted(f"r-{n}" for n in range(1, 11))


FAULTS = [
    ("hang", "CandidateTimedOut"),
    ("flood", "CandidateAnswerTooLarge"),
    ("break off", "CandidateBrokeOff"),
    ("away", "CandidateAway"),
]


@pytest.mark.parametrize(("fault", "reason"), FAULTS)
async def test_a_version_that_fails_is_counted_and_hurts_nobody(
    tmp_path: Path, dsn: str, control: Version, candidate: Version, fault: str, reason: str
) -> None:
    """Copies are answered as ever, the control is asked as ever, the loss is named, and nothing can be concluded."""
    candidate.fault = fault
    if fault == "away":
        await candidate.end()
    limits = QUICK if fault == "hang" else {"answerBytes": 4096}
    file = settings_file(tmp_path, **versions(control, candidate, limits=limits))
    async with collecting(tmp_path, dsn, file) as collector:
        assert [await collector.copy() for _ in range(10)] == [204] * 10
        coverage = await collector.settled(10)
        errors = (await collector.api("/v1/guardrails")).body["errors"]
    assert dropped(coverage) == {reason: 10}
    assert [one["reason"] for one in coverage["damage"]] == ["CoverageLow"]
    assert errors == ["0", "10", "0", "0"]
    assert len(control.asked) == 10


async def test_a_candidate_that_answers_500_detects_nothing_and_errs(
    tmp_path: Path, dsn: str, control: Version, candidate: Version
) -> None:
    """An answer is an outcome: it stays in the counts, and in those of errors."""
    candidate.fault = "500"
    file = settings_file(tmp_path, **versions(control, candidate, labels={"header": "x-label"}))
    async with collecting(tmp_path, dsn, file) as collector:
        await collector.copy("/attack", x_label="attack")
        await collector.settled(1)
        cells = (await collector.api("/v1/cells")).body["cells"]
        errors = (await collector.api("/v1/guardrails")).body["errors"]
        lost = (await collector.api("/v1/samples/lost")).body["samples"]
    assert (cells[6], errors, [one["target"] for one in lost]) == ("1", ["0", "1", "0", "0"], ["/attack"])


async def test_every_copy_is_accounted_for_under_forced_drops(
    tmp_path: Path, dsn: str, control: Version, candidate: Version
) -> None:
    """Pairs and drops by reason and size add up to what was sent, while the queue overflows."""
    candidate.fault = "hang"
    limits = {**QUICK, "concurrency": 2, "queue": 5}
    mirror = {"methods": ["GET", "POST"], "allowUnsafe": True, "maxBodyBytes": 2000}
    file = settings_file(tmp_path, **versions(control, candidate, limits=limits, mirror=mirror))
    async with collecting(tmp_path, dsn, file) as collector:
        await asyncio.gather(*(collector.copy() for _ in range(200)))
        for body in (b"x" * 2000, b"x" * 2001, b"x" * 100_000):
            await collector.copy(method="POST", body=body)
        await collector.copy(method="PUT")
        await collector.copy(method="OPTIONS")
        await collector.copy(x_request_id="")
        await collector.copy(x_request_id="r-1")
        coverage = await collector.settled(collector.sent)
        counters = (await collector.admin("metrics")).body
    found = dropped(coverage)
    assert int(coverage["received"]) == collector.sent == 207
    assert found.pop("QueueFull") + found.pop("CandidateTimedOut") + found.pop("ControlTimedOut", 0) == 201
    assert found == {"TooLarge": 2, "UnsafeMethod": 1, "MethodNotAsked": 1, "NoRequestId": 1, "Duplicate": 1}
    sizes = {(one["size"], one["copies"]) for one in coverage["dropped"] if one["reason"] == "TooLarge"}
    assert sizes == {("16Ki", "1"), ("256Ki", "1")}
    assert 'chaffinch_shadow_copies_total{outcome="TooLarge"} 2.0' in counters


async def test_what_was_taken_is_compared_before_the_end(
    tmp_path: Path, dsn: str, control: Version, candidate: Version, connection: asyncpg.Connection
) -> None:
    """SIGTERM: copies that were answered are compared and stored, and the process ends by itself."""
    limits = {"concurrency": 1, "queue": 1000}
    file = settings_file(tmp_path, **versions(control, candidate, limits=limits))
    async with collecting(tmp_path, dsn, file) as collector:
        await asyncio.gather(*(collector.copy() for _ in range(100)))
        assert await collector.end() == 0
    assert await connection.fetchval("SELECT count(*) FROM traffic_samples") == 100


async def test_a_request_counts_once_across_restarts(
    tmp_path: Path, dsn: str, control: Version, candidate: Version
) -> None:
    """A second life, or a second replica, finds what the first stored: the repetition is a duplicate."""
    file = settings_file(tmp_path, **versions(control, candidate))
    async with collecting(tmp_path, dsn, file) as collector:
        await collector.copy(x_request_id="same")
        await collector.settled(1)
        collector.kill()
        await collector.start()
        await collector.copy(x_request_id="same")
        coverage = await collector.settled(2)
    assert (coverage["pairs"], dropped(coverage), coverage["share"]) == ("1", {"Duplicate": 1}, "1")


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "the file: Invalid JSON"), ('{"uid": "x"}', "uid: "), (None, "No such file")],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str | None, said: str) -> None:
    """The process says what is wrong and where, and does not start."""
    file = tmp_path / "evaluation.json"
    if text is not None:
        file.write_text(text)
    done = command("serve", EVALUATION=str(file), DSN="postgresql://nobody@127.0.0.1:1/x")
    assert done.returncode == 1
    assert said in done.stderr
    assert str(file) in done.stderr


def test_a_database_without_the_schema_is_not_served(tmp_path: Path, server: Any) -> None:
    """The message names the command that repairs it."""
    file = settings_file(tmp_path, control="http://a", candidate="http://b")
    done = command("serve", EVALUATION=str(file), DSN=server.dsn)
    assert (done.returncode, "run `chaffinch-shadow migrate` first" in done.stderr) == (1, True)


def test_the_schema_is_made_once(dsn: str) -> None:
    """Jobs are repeated."""
    for _ in range(2):
        done = command("migrate", DSN=dsn)
        assert (done.returncode, done.stdout) == (0, "schema 1\n"), done.stderr
