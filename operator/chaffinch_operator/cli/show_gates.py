"""One gate in a few lines: verdict, ratio, evidence bars, counts, or the operator's sentence. Pure."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from chaffinch_operator.canary.gates import Kind
from chaffinch_operator.canary.reasons import Verdict
from chaffinch_operator.cli import words
from chaffinch_operator.cli.evidence import GateView, Meter
from chaffinch_operator.cli.outcome import VERDICT_STYLES
from chaffinch_operator.cli.screen import Glyphs

_BAR = 16
_INDENT = (0, 0, 0, 4)


def gate_block(view: GateView, glyphs: Glyphs) -> Iterator[RenderableType]:
    """The lines of one gate."""
    counts = counts_line(view)
    told = counts and view.verdict is not Verdict.NO_DATA
    yield _title(view, glyphs, ratio_line(view) if told else view.sentence)
    bars = _bars(view, glyphs)
    if bars:
        yield Padding(bars, _INDENT, expand=False)
    if counts:
        yield Padding(Text(counts, style="dim"), _INDENT, expand=False)


def mark(verdict: Verdict, glyphs: Glyphs) -> str:
    """One character for a verdict."""
    return {
        Verdict.PASS: glyphs.done,
        Verdict.FAIL: glyphs.failed,
        Verdict.INCONCLUSIVE: glyphs.undecided,
        Verdict.NO_DATA: glyphs.unknown,
    }[verdict]


def _title(view: GateView, glyphs: Glyphs, tail: str) -> RenderableType:
    style = VERDICT_STYLES[view.verdict]
    text = Text.assemble(
        (f"  {mark(view.verdict, glyphs)} ", style), (view.name, "bold"), "  ", (str(view.verdict), style)
    )
    if view.status.dry_run:
        text.append(" (dry run)", style="dim")
    line = Table.grid(padding=(0, 2))
    line.add_column(no_wrap=True)
    line.add_column()
    line.add_row(text, Text(tail))
    return line


def _bars(view: GateView, glyphs: Glyphs) -> Text | None:
    parts = []
    for label, meter, style in (("harm", view.harm, "red"), ("safe", view.safe, "green")):
        if meter is not None:
            parts.append(evidence_bar(label, meter, style, glyphs))
    return Text("  ").join(parts) if parts else None


def evidence_bar(label: str, meter: Meter, style: str, glyphs: Glyphs) -> Text:
    """How far evidence is on its (logarithmic) way to its threshold."""
    full = int(meter.progress * _BAR)
    number = f"{words.e_value(meter.log_e)} of {words.e_value(meter.threshold)}"
    return Text.assemble(
        (f"{label} ", "dim"), (glyphs.full * full, style), (glyphs.empty * (_BAR - full), "dim"), f" {number:<13}"
    )


def counts_line(view: GateView) -> str:
    """The counts of a gate that counts requests; nothing for other kinds, whose sentence says it all."""
    canary, baseline = view.status.canary, view.status.baseline
    if not canary.total or view.kind not in (Kind.RATIO, Kind.OBJECTIVE):
        return ""
    if view.planned:
        return view.sentence
    text = f"canary {words.share(canary.bad, canary.total)}"
    if view.kind is Kind.RATIO:
        return f"{text}, {view.compared} {words.share(baseline.bad, baseline.total)}"
    return f"{text}, at most {words.percent(view.max_ratio)} allowed" if view.max_ratio is not None else text


def ratio_line(view: GateView) -> str:
    """The estimate and the range it lies in: "4.0x stable's, 2.3x to 6.4x, p = 0.0004"."""
    parts = [estimate(view)]
    if view.interval:
        parts.append(confidence(view))
    if view.p_value is not None:
        parts.append(f"p = {view.p_value:.2g}")
    return ", ".join(part for part in parts if part)


def estimate(view: GateView) -> str:
    """The canary's bad share against stable's or its baseline's, or as it is for an objective."""
    if view.ratio is None:
        return ""
    return words.percent(view.ratio) if view.kind is Kind.OBJECTIVE else f"{words.times(view.ratio)} {view.compared}'s"


def confidence(view: GateView) -> str:
    """The confidence sequence in words."""
    if view.interval is None:
        return ""
    low, high = view.interval
    if view.kind is Kind.OBJECTIVE:
        return f"{words.percent(low)} to {words.percent(high)}"
    return words.times_range(low, high)
