"""What a replay is told as: a table, JSON as it goes along, a picture, a page. No length of history fills memory."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from chaffinch_operator.canary.backtest import Point, describe
from chaffinch_operator.canary.gates import number_of_tests
from chaffinch_operator.cli.charts import Replayed, all_charts
from chaffinch_operator.cli.evidence import Thresholds, gate_view
from chaffinch_operator.cli.failures import UsageProblemError
from chaffinch_operator.cli.flags import Output
from chaffinch_operator.cli.page import Page, render
from chaffinch_operator.cli.replay_document import Document, Span, Subject, head, interval_document, outcome_of
from chaffinch_operator.cli.screen import glyphs_for, show
from chaffinch_operator.cli.session import Session
from chaffinch_runtime.svg import stack

_SPOOL_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Outputs:
    """Files beside what is printed."""

    plot: str | None = None
    report: str | None = None


def tell_replay(
    session: Session, subject: Subject, start: datetime, end: datetime, points: Iterator[Point], outputs: Outputs
) -> None:
    """Go through the points once and write everything that was asked for."""
    seen = Replayed(start, end) if outputs.plot or outputs.report else None
    last: Point | None = None
    count = 0
    with ExitStack() as stack_:
        spool = stack_.enter_context(_spool()) if session.wants_data else None
        for point in points:
            last, count = point, count + 1
            if spool is not None or seen is not None:
                document = interval_document(subject, point)
                if seen is not None:
                    seen.add(document)
                if spool is not None:
                    spool.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
        summary = head(
            subject, outcome_of(last), last.gates if last else (), Span(start, last.end if last else end, count)
        )
        if seen is not None:
            write_files(summary, seen, outputs)
        if spool is not None:
            _print(session, summary, spool)
        elif last is not None:
            _show(session, subject, last, summary)


def _spool() -> "tempfile.SpooledTemporaryFile[str]":
    return tempfile.SpooledTemporaryFile(_SPOOL_BYTES, mode="w+", encoding="utf-8")


def _print(session: Session, summary: Document, spool: IO[str]) -> None:
    """The document, its intervals one on a line."""
    spool.seek(0)
    if session.flags.output is Output.YAML:
        session.print_data({**summary, "intervals": [json.loads(line) for line in spool]})
        return
    session.write(json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False).removesuffix("\n}"))
    session.write(',\n  "intervals": [')
    for number, line in enumerate(spool):
        session.write(f"{',' if number else ''}\n    {line.rstrip()}")
    session.write("\n  ]\n}\n")


def _show(session: Session, subject: Subject, last: Point, summary: Document) -> None:
    from rich.console import Group  # noqa: PLC0415 -- keeps --help quick
    from rich.text import Text  # noqa: PLC0415 -- keeps --help quick

    from chaffinch_operator.cli.show_gates import gate_block  # noqa: PLC0415 -- keeps --help quick

    glyphs = glyphs_for(session.console)
    limits = Thresholds(subject.thresholds.alpha, subject.beta, number_of_tests(subject.gates))
    lines: list[Any] = [Text(describe(last.decision), style="bold")]
    lines += [Text(f"note: {note}", style="yellow") for note in subject.notes]
    history = summary["history"]
    lines += [Text(f"{history['intervals']:,} intervals, {history['start']} to {history['end']}"), Text()]
    for gate, status in zip(subject.gates, last.gates, strict=True):
        lines += gate_block(gate_view(status, gate, limits), glyphs)
        if status.dispersion_source:
            lines.append(Text(f"    dispersion {status.dispersion} ({status.dispersion_source})", style="dim"))
    show(session.console, Group(*lines))


def write_files(summary: Document, seen: Replayed, outputs: Outputs) -> None:
    """The picture and the page, where they were asked for."""
    title = f"Backtest of {summary['name']}"
    if outputs.plot:
        write_file(outputs.plot, stack(all_charts(seen, summary), f"{title}: {summary['decision']}"))
    if outputs.report:
        write_file(outputs.report, render(page_of(summary, title), summary, seen))


def page_of(summary: Document, title: str) -> Page:
    """What a page says of a backtest."""
    history, limits = summary["history"], summary["thresholds"]
    facts = (
        ("History", f"{history['intervals']:,} intervals of {history['source']}"),
        ("From", str(history["start"])),
        ("To", str(history["end"])),
        ("Alpha", alpha_of(limits)),
        ("Beta", f"{limits['beta']:g}"),
    )
    sentence = f"at {summary['at']} ({summary['reason']}): {summary['message']}"
    return Page(title, summary["decision"], sentence, facts, tuple(summary["notes"]))


def alpha_of(limits: Document) -> str:
    """Alpha, and how many gates share it."""
    return f"{limits['alpha']:g}" + (f", shared by {limits['gates']} gates" if limits["gates"] > 1 else "")


def write_file(path: str, content: str) -> None:
    """Write a file whole; "-" is standard output."""
    try:
        if path == "-":
            import sys  # noqa: PLC0415 -- rarely needed

            sys.stdout.write(content)
        else:
            Path(path).write_text(content, encoding="utf-8")
    except OSError as error:
        raise UsageProblemError(f"cannot write {path}: {error.strerror or error}") from error
