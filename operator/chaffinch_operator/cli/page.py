"""A report as one HTML page that needs nothing else: no script, no font, no address. Pure; every text is escaped."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaffinch_operator.cli import words
from chaffinch_operator.cli.charts import Replayed, gate_charts, weight_chart
from chaffinch_runtime.page import facts
from chaffinch_runtime.page import page as framed
from chaffinch_runtime.svg import Chart, draw, text

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """What a report says beside its charts."""

    title: str
    decision: str
    """One word: Promote, Rollback, Hold, or what the rollout came to."""
    sentence: str
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def render(page: Page, head: Document, seen: Replayed | None) -> str:
    """The page. head: a backtest's document without intervals; seen: its curves, None when there are none."""
    body = [
        f"<header><h1>{text(page.title)}</h1>",
        f'<p><span class="v {text(page.decision)}">{text(page.decision)}</span> {text(page.sentence)}</p></header>',
        *(f'<p class="note">{text(note)}</p>' for note in page.notes),
        facts(page.facts),
        _gate_table(head),
        *_weights(seen),
        *(part for number, gate in enumerate(head["gates"]) for part in _gate(number, gate, head, seen)),
    ]
    return framed(page.title, body)


_COLUMNS = ("gate", "verdict", "canary", "baseline", "ratio", "range", "p", "harm", "safe", "dispersion")


def _gate_table(head: Document) -> str:
    limits = head["thresholds"]
    header = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
    rows = "".join(_gate_row(gate) for gate in head["gates"])
    return (
        f'<h2>Gates</h2><div class="scroll"><table><caption>Evidence as e-values: a gate fails at harm '
        f"{words.e_value(limits['logEHarm'])}, passes at safe {words.e_value(limits['logESafe'])}</caption>"
        f"<tr>{header}</tr>{rows}</table></div>"
    )


def _gate_row(gate: Document) -> str:
    cells = [
        _arm(gate["canary"]),
        _arm(gate["baseline"]),
        _number(gate["ratio"]),
        _range(gate),
        _number(gate["pValue"], 2),
        _evidence(gate["logEHarm"]),
        _evidence(gate["logESafe"]),
        _number(gate["dispersion"]),
    ]
    dry = "" if gate["acting"] else " (does not act)"
    verdict = f'<td class="v {text(gate["verdict"])}">{text(gate["verdict"])}{dry}</td>'
    rest = "".join(f"<td>{text(cell)}</td>" for cell in cells)
    return f'<tr><th scope="row">{text(gate["name"])}</th>{verdict}{rest}</tr>'


def _arm(arm: Document) -> str:
    return words.share(arm["bad"], arm["total"])


def _number(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}g}"


def _range(gate: Document) -> str:
    low, high = gate["interval"]
    if low is None and high is None:
        return ""
    return f"{_number(low) or '0'} to {_number(high) or 'any'}"


def _evidence(log_e: float | None) -> str:
    return "" if log_e is None else words.e_value(log_e)


def _weights(seen: Replayed | None) -> Iterator[str]:
    chart = weight_chart(seen) if seen else None
    if chart is not None:
        yield "<h2>Weight</h2>"
        yield draw(chart, "weight")


def _gate(number: int, gate: Document, head: Document, seen: Replayed | None) -> Iterator[str]:
    name = gate["name"]
    yield f'<section><h2>{text(name)}: <span class="{text(gate["verdict"])}">{text(gate["verdict"])}</span></h2>'
    yield f"<p>{text(head['messages'].get(name, ''))}</p>"
    charts: Sequence[Chart] = []
    if seen is not None:
        charts = list(gate_charts(seen, name, head["thresholds"], head["designs"].get(name)))
    for place, chart in enumerate(charts):
        yield f"<h3>{text(chart.title)}</h3>"
        yield draw(chart, f"g{number}-{place}")
    yield "</section>"
