"""A history as CSV: what is read, in any order and spelling, and what is refused with the line and the way out."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_operator.canary import csv_history
from chaffinch_operator.canary.csv_history import HistoryError, Recording, parse
from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.snapshot import ArmReading, GateReading
from chaffinch_stats import ArmCounts
from unit.canary.histories import ERRORS, HEADER, MINUTE, SLO, START, Row, csv, gates_of, interval, minutes, spec

NAMES = ("errors", "slow")
FINE = "2026-01-01T12:01:00Z,canary,errors,1,10"


def rows_of(recording: Recording) -> list[tuple[int, int, int, int]]:
    """The columns, row by row."""
    columns = (recording.ends, recording.which, recording.bad, recording.total)
    return list(zip(*columns, strict=True))


@given(st.permutations(minutes(4, (1, 10), (2, 20)) + minutes(4, (3, 30), (4, 40), "slow")))
def test_the_order_of_rows_does_not_matter(rows: list[Row]) -> None:
    """The same readings come out, in time order."""
    gates = gates_of(spec(ERRORS, {**ERRORS, "name": "slow"}))
    straight = minutes(4, (1, 10), (2, 20)) + minutes(4, (3, 30), (4, 40), "slow")
    shuffled, sorted_ = (
        list(csv_history.readings(parse(csv(found), NAMES), gates, MINUTE)) for found in (rows, straight)
    )
    assert shuffled == sorted_
    assert [r.end for r in shuffled] == [START + k * MINUTE for k in range(1, 5)]


@given(st.lists(st.sampled_from(minutes(3, (1, 10), (2, 20))), max_size=12))
def test_repeated_rows_count_once(again: list[Row]) -> None:
    """A file that was put together from overlapping exports is the file without the overlap."""
    gates, rows = gates_of(spec(ERRORS)), minutes(3, (1, 10), (2, 20))
    plain, repeated = (
        list(csv_history.readings(parse(csv(found), NAMES), gates, MINUTE)) for found in (rows, rows + again)
    )
    assert plain == repeated


def test_rows_that_contradict_each_other_are_refused_with_both_lines() -> None:
    """Nobody can know which one is right."""
    rows = [*interval(1, (1, 10), (2, 20)), Row(1, "canary", "errors", 2, 10)]
    with pytest.raises(HistoryError, match=r"line 4: 2 bad of 10 for canary of gate errors.* but line 2 says 1 of 10"):
        parse(csv(rows), NAMES)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T12:01:00Z",
        "2026-01-01T12:01:00+00:00",
        "2026-01-01T14:01:00+02:00",
        "2026-01-01T05:31:00-06:30",
        "2026-01-01 12:01:00",
        "2026-01-01T12:01:00.000000Z",
        "1767268860",
        "1767268860.000",
    ],
)
def test_times_are_read_in_any_zone(text: str) -> None:
    """Without one they are UTC; Unix seconds are times too."""
    assert csv_history.moment(parse([HEADER, f"{text},canary,errors,1,10"], NAMES).times[0]) == START + MINUTE


@pytest.mark.parametrize(
    "lines",
    [
        ["\ufeff" + HEADER, FINE],
        [HEADER + "\r\n", FINE + "\r\n"],
        ["", HEADER, "", FINE, ""],
        [HEADER.upper(), FINE],
        ["gate,total,bad,arm,interval_end", "errors,10,1,canary,2026-01-01T12:01:00Z"],
        [" interval_end , arm , gate , bad , total ", " 2026-01-01T12:01:00Z , canary , errors , 1 , 10 "],
        [HEADER, '"2026-01-01T12:01:00Z","canary","errors","1","10"'],
    ],
    ids=["byte order mark", "CRLF", "empty lines", "capitals", "order of columns", "spaces", "quotes"],
)
def test_what_tools_write_is_read(lines: list[str]) -> None:
    """The same row, however it is spelled."""
    assert rows_of(parse(lines, NAMES)) == rows_of(parse([HEADER, FINE], NAMES))


def test_counts_up_to_1e15_are_exact() -> None:
    """And one more is refused: it is no count of events."""
    most = 10**15
    assert parse([HEADER, f"2026-01-01T12:01:00Z,canary,errors,{most},{most}"], NAMES).total[0] == most
    with pytest.raises(HistoryError, match="1e15"):
        parse([HEADER, f"2026-01-01T12:01:00Z,canary,errors,0,{most + 1}"], NAMES)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2026-01-01T12:01:00Z,canary,errors,-1,10", 'line 2: bad is "-1", it must be a whole number'),
        ("2026-01-01T12:01:00Z,canary,errors,11,10", "line 2: bad is 11, more than total 10"),
        ("2026-01-01T12:01:00Z,canary,errors,NaN,10", 'line 2: bad is "NaN"'),
        ("2026-01-01T12:01:00Z,canary,errors,1,inf", 'line 2: total is "inf"'),
        ("2026-01-01T12:01:00Z,canary,errors,1.5,10", 'line 2: bad is "1.5"'),
        ("2026-01-01T12:01:00Z,canary,errors,1,ten", 'line 2: total is "ten"'),
        ("2026-01-01T12:01:00Z,canary,errors,,10", 'line 2: bad is ""'),
        ("2026-01-01T12:01:00Z,canary,errors,1_0,10", 'line 2: bad is "1_0"'),
        ("2026-01-01T12:01:00Z,canary,errors,٣,10", 'line 2: bad is "٣"'),
        ("2026-01-01T12:01:00Z,stable,errors,1,10", 'line 2: arm is "stable", it must be canary or baseline'),
        ("2026-01-01T12:01:00Z,canary,oops,1,10", 'line 2: gate is "oops", the spec has errors, slow'),
        ("noon,canary,errors,1,10", 'line 2: interval_end is "noon", it must be a time such as'),
        (",canary,errors,1,10", 'line 2: interval_end is ""'),
        ("0001-01-01T00:00:00+14:00,canary,errors,1,10", "line 2: interval_end is"),
        ("2026-01-01T12:01:00Z,canary,errors,1", "line 2: 4 columns, there must be 5"),
        ("2026-01-01T12:01:00Z,canary,errors,1,10,x", "line 2: 6 columns, there must be 5"),
        ('"2026-01-01T12:01:00Z,canary,errors,1,10', "line 2: unexpected end of data"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(row: str, message: str) -> None:
    """The line, the column, what is there and what should be."""
    with pytest.raises(HistoryError) as caught:
        parse([HEADER, row], NAMES)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "it is empty: the first line must be interval_end,arm,gate,bad,total"),
        (["", " "], "line 1: the header"),
        ([HEADER], "there is a header and no row below it"),
        ([FINE, FINE], "it must name the columns interval_end,arm,gate,bad,total"),
        (["interval_end,arm,gate,bad", FINE], "it must name the columns"),
    ],
)
def test_a_file_without_header_or_rows_is_refused(lines: list[str], message: str) -> None:
    """The first line must say what the columns are."""
    with pytest.raises(HistoryError, match=message):
        parse(lines, NAMES)


@given(st.text(max_size=200))
def test_no_text_is_worse_than_a_refusal(text: str) -> None:
    """Any file is read, or refused in words."""
    with suppress(HistoryError):
        parse(text.splitlines(keepends=True), NAMES)


@given(st.lists(st.text(alphabet="0123456789-+.:TZeE, canaryerrors\"'", max_size=40), max_size=6))
def test_no_row_is_worse_than_a_refusal(rows: list[str]) -> None:
    """Any row below a good header is read, or refused in words."""
    with suppress(HistoryError):
        parse([HEADER, *rows], NAMES)


def test_an_arm_that_is_missing_is_no_data() -> None:
    """Never taken for zero; an objective needs the canary alone."""
    gates = gates_of(spec(ERRORS, SLO))
    rows = [Row(1, "canary", "errors", 1, 10), Row(1, "canary", "slo", 1, 10), *interval(2, (1, 10), (2, 20))]
    first, second = csv_history.readings(parse(csv(rows), ["errors", "slo"]), gates, MINUTE)
    assert first.gates[0].problem is not None
    assert first.gates[0].problem.reason is Reason.NO_DATA
    assert "no row of arm baseline at 2026-01-01T12:01:00Z" in first.gates[0].problem.message
    assert first.gates[1] == GateReading("slo", ArmReading(1, 10))
    assert second.gates[0] == GateReading("errors", ArmReading(1, 10), ArmReading(2, 20))
    assert second.gates[1].problem is not None
    assert "no row of arm canary" in second.gates[1].problem.message


def test_a_gate_without_rows_is_no_data() -> None:
    """A spec is not promoted on half of its gates."""
    gates = gates_of(spec(ERRORS, {**ERRORS, "name": "slow"}))
    (only,) = csv_history.readings(parse(csv(interval(1, (1, 10), (2, 20))), NAMES), gates, MINUTE)
    assert only.gates[1].problem is not None
    assert "no rows of this gate" in only.gates[1].problem.message


def test_the_length_of_an_interval_is_the_most_frequent_distance() -> None:
    """Gaps do not stretch it; a single interval has the spec's length."""
    rows = [row for minute in (1, 2, 3, 10) for row in interval(minute, (1, 10), (2, 20))]
    assert parse(csv(rows), NAMES).interval(30.0) == MINUTE
    assert parse(csv(interval(1, (1, 10), (2, 20))), NAMES).interval(30.0) == timedelta(seconds=30)


def test_a_row_takes_fifty_bytes_at_most() -> None:
    """So that a million rows fit in any laptop."""
    recording = parse(csv(minutes(1000, (1, 10), (2, 20))), NAMES)
    columns = (recording.ends, recording.which, recording.bad, recording.total, recording.lines)
    assert sum(column.itemsize for column in columns) <= 50
    assert recording.rows == 2000


def test_the_past_of_an_objective_is_the_canarys_alone() -> None:
    """Its dispersion is measured over time, on what there is."""
    gates = gates_of(spec(ERRORS, SLO))
    rows = [*interval(1, (1, 10), (2, 20)), Row(1, "canary", "slo", 3, 30)]
    found = csv_history.readings(parse(csv(rows), ["errors", "slo"]), gates, MINUTE)
    pairs = csv_history.pairs(gates, found)
    assert csv_history.as_past(pairs["slo"], MINUTE).whole == (ArmCounts(3, 30),)
    assert csv_history.as_past(pairs["errors"], MINUTE).whole == (ArmCounts(3, 30),)
