"""The history of a rollout as a CSV of `interval_end,arm,gate,bad,total`: parsed, checked, and read in order. Pure.

Rows may come in any order. They are kept as columns of machine integers, about 40 bytes a row, so that a million rows
are no burden; what is repeated counts once, what contradicts itself is refused.
"""

import csv
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise

from chaffinch_operator.canary import past
from chaffinch_operator.canary.clock import EPOCH, stamp
from chaffinch_operator.canary.gates import COUNTING, Kind, ResolvedGate
from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.snapshot import ArmReading, Blocker, GateReading, IntervalReading
from chaffinch_stats import ArmCounts, Interval

COLUMNS = ("interval_end", "arm", "gate", "bad", "total")
ARMS = ("canary", "baseline")
LARGEST = 10**15
"""Counts above this are no counts of events, and would lose digits."""
_MICROSECOND = timedelta(microseconds=1)
_UNIX = re.compile(r"[0-9]{9,11}(\.[0-9]{1,6})?")
_WHOLE = re.compile(r"[0-9]{1,16}")
_SHOWN = 60
_LATEST = 10**17
"""Microseconds since the epoch, some time in the year 5138."""

Cell = tuple[int, int]
Cells = dict[tuple[int, int], Cell]


class HistoryError(ValueError):
    """A history that cannot be judged; the message names the line and the way out."""


@dataclass(slots=True)
class Recording:
    """The rows, by column, in time order once parsed."""

    gates: tuple[str, ...]
    ends: "array[int]" = field(default_factory=lambda: array("q"))
    """Microseconds since the epoch."""
    which: "array[int]" = field(default_factory=lambda: array("H"))
    """Twice the index of the gate, plus the index of the arm."""
    bad: "array[int]" = field(default_factory=lambda: array("q"))
    total: "array[int]" = field(default_factory=lambda: array("q"))
    lines: "array[int]" = field(default_factory=lambda: array("q"))

    @property
    def rows(self) -> int:
        """Number of rows, repetitions included."""
        return len(self.ends)

    @property
    def times(self) -> list[int]:
        """The distinct ends of intervals, in order."""
        return [end for end, _ in groupby(self.ends)]

    @property
    def present(self) -> frozenset[str]:
        """Gates that have rows."""
        return frozenset(self.gates[code // 2] for code in set(self.which))

    def interval(self, default_seconds: float) -> timedelta:
        """Length of an interval: the most frequent distance of two ends; the default where there is but one."""
        gaps = Counter(after - before for before, after in pairwise(self.times))
        if not gaps:
            return timedelta(seconds=default_seconds)
        most = max(gaps.values())
        return min(gap for gap, times in gaps.items() if times == most) * _MICROSECOND


def parse(lines: Iterable[str], gates: Sequence[str]) -> Recording:
    """Read the text of a CSV, line by line.

    Args:
        lines: with or without line ends; a byte order mark, CRLF and empty lines are fine.
        gates: names that column `gate` may hold.

    Raises:
        HistoryError: naming the line, what is wrong with it, and what would be right.

    """
    reader = csv.reader(_without_mark(lines), strict=True)
    history = Recording(tuple(gates))
    try:
        order = _header(next((row for row in reader if row), None))
        read = _Row(history, {name: 2 * index for index, name in enumerate(gates)})
        for row in reader:
            if row:
                read.add(reader.line_num, row, order)
    except csv.Error as error:
        raise HistoryError(f"line {reader.line_num}: {error}") from error
    except UnicodeDecodeError as error:
        raise HistoryError(f"after line {reader.line_num}: not UTF-8 text ({error.reason})") from error
    if not history.rows:
        raise HistoryError("there is a header and no row below it: every interval has a row for each arm and gate")
    _sort(history)
    for _ in _intervals(history):
        pass
    return history


def readings(history: Recording, gates: Sequence[ResolvedGate], interval: timedelta) -> Iterator[IntervalReading]:
    """The intervals in time order, as the operator would have read them.

    A gate that the spec has and the history lacks, or an arm that an interval lacks, is no data: never zero.
    """
    codes = {name: 2 * index for index, name in enumerate(history.gates)}
    present = history.present
    wanted = [g for g in gates if g.name in present or g.kind in (Kind.RATIO, Kind.OBJECTIVE)]
    for micros, cells in _intervals(history):
        end = moment(micros)
        values = tuple(_reading(g, cells, codes[g.name], g.name in present, end) for g in wanted)
        yield IntervalReading(end - interval, end, values)


def moment(micros: int) -> datetime:
    """A time of `Recording.times`."""
    return EPOCH + micros * _MICROSECOND


def _reading(
    gate: ResolvedGate, cells: Mapping[tuple[int, int], Cell], code: int, present: bool, end: datetime
) -> GateReading:
    canary, baseline = cells.get((code, 0)), cells.get((code, 1))
    alone = gate.kind in (Kind.OBJECTIVE, Kind.RESTARTS)
    if canary is not None and (baseline is not None or alone):
        return GateReading(gate.name, ArmReading(*canary), ArmReading(*(baseline or (0, 0))))
    if not present:
        message = "the history has no rows of this gate"
    else:
        missing = "canary" if canary is None else "baseline"
        message = f"the history has no row of arm {missing} at {stamp(end)}"
    return GateReading(gate.name, problem=Blocker(Reason.NO_DATA, message))


def _intervals(history: Recording) -> Iterator[tuple[int, Cells]]:
    """Per end the cells by (gate code, arm). HistoryError where two rows of one cell differ."""
    for end, rows in groupby(range(history.rows), history.ends.__getitem__):
        cells: Cells = {}
        lines: dict[tuple[int, int], int] = {}
        for row in rows:
            code = history.which[row]
            key, cell = (code & ~1, code & 1), (history.bad[row], history.total[row])
            if cells.setdefault(key, cell) != cell:
                raise _contradiction(history, row, lines[key], cells[key])
            lines.setdefault(key, history.lines[row])
        yield end, cells


def _contradiction(history: Recording, row: int, first: int, seen: Cell) -> HistoryError:
    code = history.which[row]
    at = stamp(moment(history.ends[row]))
    return HistoryError(
        f"line {history.lines[row]}: {history.bad[row]} bad of {history.total[row]} for {ARMS[code & 1]} of gate "
        f"{history.gates[code // 2]} at {at}, but line {first} says {seen[0]} of {seen[1]}: keep the one that is right"
    )


def _sort(history: Recording) -> None:
    """By time; rows of one interval stay in the order of the file."""
    ends = history.ends
    if all(before <= after for before, after in pairwise(ends)):
        return
    order = sorted(range(len(ends)), key=ends.__getitem__)
    for name in ("ends", "which", "bad", "total", "lines"):
        column: array[int] = getattr(history, name)
        setattr(history, name, array(column.typecode, (column[i] for i in order)))


def _without_mark(lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield line.removeprefix("\ufeff") if number == 0 else line


def _header(row: Sequence[str] | None) -> tuple[int, ...]:
    """Where each of COLUMNS stands."""
    if row is None:
        raise HistoryError(f"it is empty: the first line must be {','.join(COLUMNS)}")
    names = [name.strip().lower() for name in row]
    if sorted(names) != sorted(COLUMNS):
        raise HistoryError(
            f'line 1: the header is "{_cut(",".join(row))}", it must name the columns {",".join(COLUMNS)}'
        )
    return tuple(names.index(name) for name in COLUMNS)


class _Row:
    """Checks rows and appends them; remembers the last time's text, which hundreds of rows may share."""

    def __init__(self, history: Recording, codes: Mapping[str, int]) -> None:
        self._history, self._codes = history, codes
        self._text, self._micros = "", 0

    def add(self, line: int, row: Sequence[str], order: Sequence[int]) -> None:
        """Append one row. HistoryError names the line and the column."""
        if len(row) != len(COLUMNS):
            raise HistoryError(f"line {line}: {len(row)} columns, there must be {len(COLUMNS)}: {','.join(COLUMNS)}")
        when, arm, gate, bad_text, total_text = (row[place].strip() for place in order)
        try:
            micros, code = self._time(when), self._code(gate) + _arm(arm)
            bad, total = _count("bad", bad_text), _count("total", total_text)
        except HistoryError as error:
            raise HistoryError(f"line {line}: {error}") from None
        if bad > total:
            raise HistoryError(f"line {line}: bad is {bad}, more than total {total}: total counts the bad ones too")
        history = self._history
        history.ends.append(micros)
        history.which.append(code)
        history.bad.append(bad)
        history.total.append(total)
        history.lines.append(line)

    def _time(self, text: str) -> int:
        if text != self._text or not text:
            self._micros, self._text = _micros(text), text
        return self._micros

    def _code(self, gate: str) -> int:
        code = self._codes.get(gate)
        if code is None:
            raise HistoryError(f'gate is "{_cut(gate)}", the spec has {", ".join(self._codes)}')
        return code


def _arm(text: str) -> int:
    if text not in ARMS:
        raise HistoryError(f'arm is "{_cut(text)}", it must be canary or baseline')
    return ARMS.index(text)


def _count(column: str, text: str) -> int:
    if _WHOLE.fullmatch(text) and (value := int(text)) <= LARGEST:
        return value
    raise HistoryError(f'{column} is "{_cut(text)}", it must be a whole number from 0 to 1e15')


def _micros(text: str) -> int:
    """Microseconds since the epoch of an RFC 3339 time (without a zone: UTC) or of Unix seconds."""
    try:
        micros = _since_epoch(text)
        if 0 <= micros <= _LATEST:
            return micros
    except ValueError:
        pass
    raise HistoryError(
        f'interval_end is "{_cut(text)}", it must be a time such as 2026-01-31T12:00:00Z, or Unix seconds'
    )


def _since_epoch(text: str) -> int:
    if _UNIX.fullmatch(text):
        seconds, _, fraction = text.partition(".")
        return int(seconds) * 1_000_000 + int(fraction.ljust(6, "0") or 0)
    at = datetime.fromisoformat(text)
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - EPOCH) // _MICROSECOND


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def pairs(gates: Sequence[ResolvedGate], readings: Iterable[IntervalReading]) -> dict[str, list[Interval | None]]:
    """Per gate that counts both arms, interval by interval; None where one has no data. An objective has one arm."""
    counting = [g.name for g in gates if g.kind in COUNTING]
    out: dict[str, list[Interval | None]] = {name: [] for name in counting}
    for reading in readings:
        found = {r.gate: r for r in reading.gates if r.problem is None}
        for name in counting:
            value = found.get(name)
            out[name].append(
                None if value is None else Interval(_arm_counts(value.canary), _arm_counts(value.baseline))
            )
    return out


def as_past(values: Sequence[Interval | None], interval: timedelta) -> past.History:
    """Two equal arms as the history that a gate is calibrated by: together, and as two halves."""
    seen = tuple(v for v in values if v is not None)
    whole = tuple(None if v is None else v.canary + v.baseline for v in values)
    return past.History(interval.total_seconds(), whole, seen)


def _arm_counts(arm: ArmReading) -> ArmCounts:
    return ArmCounts(arm.bad, arm.total)
