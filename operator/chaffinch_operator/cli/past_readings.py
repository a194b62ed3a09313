"""I/O: what a rollout of the past measured, from a CSV or asked of Prometheus as the operator asked it then."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from chaffinch_operator import names
from chaffinch_operator.canary import csv_history, readings
from chaffinch_operator.canary.clock import ceil_to_grid
from chaffinch_operator.canary.csv_history import HistoryError, Recording
from chaffinch_operator.canary.gates import ResolvedGate
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.snapshot import IntervalReading
from chaffinch_operator.canary.sources import Naming
from chaffinch_operator.cli.failures import DeclinedError, UsageProblemError
from chaffinch_operator.ports.prometheus import Prometheus
from chaffinch_operator.schema import seconds

_AT_ONCE = 8
"""Intervals that are asked side by side."""
MOST_INTERVALS = 100_000
_EVERY_SECONDS = 0.5
_UNDECIDED = "; nothing is decided until it answers"
"""True of a rollout, not of a look back."""
Tell = Callable[[int, int], None]


def naming(spec: CanaryRolloutSpec, namespace: str, name: str, stable_hash: str = "") -> Naming:
    """Which series are whose. Without stable's hash its pods are all of the target's that are not the canary's."""
    target = spec.target_ref.name
    stable, canary = f"{target}-{stable_hash}-" if stable_hash else f"{target}-", names.canary_name(target)
    baseline = names.baseline_name(target) if spec.canary.baseline == "Dedicated" else ""
    return Naming(
        namespace,
        name,
        stable[:58],
        f"{canary}-"[:58],
        stable_workload=target,
        canary_workload=canary,
        baseline_pods=f"{baseline}-"[:58] if baseline else "",
        baseline_workload=baseline,
    )


def read_csv(path: str, gates: Sequence[str]) -> Recording:
    """The rows of a file, or of standard input for "-"."""
    try:
        if path == "-":
            return csv_history.parse(sys.stdin, gates)
        with Path(path).open(encoding="utf-8", newline="") as lines:
            return csv_history.parse(lines, gates)
    except OSError as error:
        raise UsageProblemError(f"cannot read {path}: {error.strerror or error}") from error
    except HistoryError as error:
        raise DeclinedError(f"{path}: {error}") from error


def grid(spec: CanaryRolloutSpec, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """The whole intervals between two times, on the grid that the operator reads them on."""
    length = timedelta(seconds=seconds(spec.analysis.interval))
    first = ceil_to_grid(start, length.total_seconds())
    count = max(0, (end - first) // length)
    if count > MOST_INTERVALS:
        raise UsageProblemError(
            f"that is {count:,} intervals of {spec.analysis.interval}, at most {MOST_INTERVALS:,} are read",
            "give a later --from, an earlier --to, or a longer analysis.interval in the file",
        )
    return [(first + k * length, first + (k + 1) * length) for k in range(count)]


async def read_prometheus(
    prometheus: Prometheus,
    gates: Sequence[ResolvedGate],
    intervals: Sequence[tuple[datetime, datetime]],
    tell: Tell = lambda _done, _of: None,
    settled: timedelta = timedelta(0),
) -> list[IntervalReading]:
    """The intervals in time order. settled: queryOffset. DeclinedError when the server does not answer."""
    out: list[IntervalReading] = []
    for first in range(0, len(intervals), _AT_ONCE):
        asked = (readings.read(prometheus, gates, [one], settled) for one in intervals[first : first + _AT_ONCE])
        for found, problem in await asyncio.gather(*asked):
            if problem is not None:
                message = problem.message.removesuffix(_UNDECIDED)
                raise DeclinedError(message, "name a server that can be reached from here with --prometheus")
            out += found
        tell(len(out), len(intervals))
    return out


def judged(spec: CanaryRolloutSpec, found: Sequence[IntervalReading]) -> list[IntervalReading]:
    """From the first whole interval after the canary's first requests and warm-up: what the operator would judge."""
    first = next((r for r in found if any(g.problem is None and g.canary.total for g in r.gates)), None)
    if first is None:
        return []
    warm = first.start + timedelta(seconds=seconds(spec.analysis.warmup))
    return [r for r in found if r.start > first.start and r.start >= warm]


def progress(on_terminal: bool, what: str = "intervals") -> Tell:
    """Tell how far it is, twice a second, on a terminal."""
    if not on_terminal:
        return lambda _done, _of: None
    last = [time.monotonic()]

    def tell(done: int, of: int) -> None:
        now = time.monotonic()
        if now - last[0] >= _EVERY_SECONDS:
            last[0] = now
            sys.stderr.write(f"\r{done:,} of {of:,} {what}\x1b[K")
            sys.stderr.flush()
        if done == of:
            sys.stderr.write("\r\x1b[K")

    return tell


def told(found: Iterator[IntervalReading], of: int, tell: Tell) -> Iterator[IntervalReading]:
    """The readings, while telling how far it is."""
    for done, reading in enumerate(found, 1):
        yield reading
        tell(done, of)
