"""The page and its pictures: whole by themselves, safe whatever is in the data, small however long the rollout was."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_operator.cli.charts import Replayed, all_charts, gate_charts, weight_chart
from chaffinch_operator.cli.page import Page, render
from chaffinch_runtime.svg import Axis, Chart, draw, log_ticks, stack, text

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'&\x00\x08\ud800"


def gate(name: str = "errors", k: int = 0, **changes: Any) -> dict[str, Any]:
    """One gate of a document."""
    whole = {
        "name": name,
        "verdict": "Inconclusive",
        "acting": True,
        "canary": {"bad": k, "total": 100 * k},
        "baseline": {"bad": k, "total": 300 * k},
        "ratio": 1.0 + 0.5 * math.sin(k),
        "interval": [0.5, 2.0],
        "pValue": 0.5,
        "logEHarm": 3.0 * math.sin(k / 7),
        "logESafe": 3.0 * math.cos(k / 7),
        "dispersion": 1.0,
    }
    return {**whole, **changes}


def head(*gates: dict[str, Any]) -> dict[str, Any]:
    """A document without intervals."""
    return {
        "thresholds": {"alpha": 0.05, "beta": 0.05, "gates": 1, "logEHarm": 3.0, "logESafe": 3.0},
        "designs": {g["name"]: {"harmRatio": 1.0, "marginRatio": 1.5, "maxRatio": None} for g in gates},
        "messages": {g["name"]: f"{g['name']}: as it is" for g in gates},
        "gates": list(gates),
    }


def seen(*names: str, intervals: int = 60, weight: float | None = 10.0) -> Replayed:
    """The curves of some minutes."""
    made = Replayed(START, START + timedelta(minutes=intervals))
    for k in range(1, intervals + 1):
        at = (START + timedelta(minutes=k)).isoformat()
        gates = [gate(name, k) for name in names]
        made.add({"end": at, "at": at, "weight": weight, "decision": "Hold", "gates": gates})
    return made


class Elements(HTMLParser):
    """All elements with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One element."""
        self.found.append((tag, dict(attrs)))


def page(title: str = "CanaryRollout shop/web", **changes: Any) -> Page:
    """What is said beside the charts."""
    whole: dict[str, Any] = {"decision": "Hold", "sentence": "so far", "facts": (("From", "noon"),), "notes": ()}
    return Page(title, **{**whole, **changes})


def test_the_page_needs_nothing_else() -> None:
    """No script, no frame, no address of anything, and a policy that would forbid it."""
    elements = Elements(render(page(), head(gate()), seen("errors"))).found
    assert {tag for tag, _ in elements} <= {
        "html", "head", "meta", "title", "style", "body", "main", "header", "h1", "h2", "h3", "p", "span", "div",
        "table", "caption", "tr", "th", "td", "section", "svg", "desc", "line", "path", "text",
    }  # fmt: skip
    assert not [name for _, attrs in elements for name in attrs if name in {"src", "href"} or name.startswith("on")]
    html = render(page(), head(gate()), seen("errors"))
    assert "default-src &#x27;none&#x27;" in html
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", html)
    assert "prefers-color-scheme:dark" in html


def test_nothing_in_the_data_becomes_markup() -> None:
    """Names, images, messages, notes and verdicts are text, whatever is in them."""
    evil = gate(EVIL, verdict=EVIL)
    html = render(
        page(EVIL, decision=EVIL, sentence=EVIL, facts=((EVIL, EVIL),), notes=(EVIL,)), head(evil), seen(EVIL)
    )
    elements = Elements(html).found
    assert not {"script", "img"} & {tag for tag, _ in elements}
    assert not [name for _, attrs in elements for name in attrs if name.startswith("on")]
    assert "\x00" not in html
    html.encode()


@given(st.text(max_size=50))
def test_any_text_keeps_a_picture_well_formed(name: str) -> None:
    """XML has no room for some characters: they are replaced."""
    charts = all_charts(seen(name, intervals=3), head(gate(name)))
    root = ET.fromstring(stack(charts, name))
    assert root.tag.endswith("svg")


def test_every_chart_has_a_title_and_a_description() -> None:
    """Read out in place of the picture, and bound to it by ids that are unique on the page."""
    html = render(page(), head(gate("errors"), gate("slow")), seen("errors", "slow"))
    ids = re.findall(r'id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    labelled = re.findall(r'aria-labelledby="([^"]+)"', html)
    assert len(labelled) == 5
    assert {part for label in labelled for part in label.split()} == set(ids)


def test_ten_gates_of_a_day_are_a_page_of_reasonable_size() -> None:
    """1,440 intervals of ten gates in less than 1.5 MB."""
    names = [f"gate-{k}" for k in range(10)]
    html = render(page(), head(*map(gate, names)), seen(*names, intervals=1440))
    assert 50_000 < len(html.encode()) < 1_500_000


def test_a_page_without_curves_says_what_is_known() -> None:
    """The table of gates stays."""
    html = render(page(notes=("Prometheus has nothing of that time any more",)), head(gate(k=3)), None)
    assert "<svg" not in html
    assert "3 of 300" in html
    assert "any more" in html


def test_gates_that_do_not_count_have_no_chart() -> None:
    """Their sentence says it all."""
    quiet = gate("split", logEHarm=None, logESafe=None, ratio=None, interval=[None, None])
    made = Replayed(START, START + timedelta(minutes=1))
    made.add({"end": "2026-01-01T12:01:00Z", "at": None, "weight": None, "decision": "Hold", "gates": [quiet]})
    assert list(gate_charts(made, "split", head(quiet)["thresholds"], None)) == []
    assert weight_chart(made) is None


def test_a_gate_of_planned_looks_has_its_ratio_alone() -> None:
    """It has no evidence in between."""
    looks = gate(logEHarm=None, logESafe=None, interval=[None, None], ratio=1.4)
    made = Replayed(START, START + timedelta(minutes=1))
    made.add({"end": "2026-01-01T12:01:00Z", "at": None, "weight": None, "decision": "Hold", "gates": [looks]})
    whole = head(looks)
    (chart,) = gate_charts(made, "errors", whole["thresholds"], whole["designs"]["errors"])
    assert (chart.title.partition(":")[0], chart.band) == ("errors", None)
    ET.fromstring(draw(chart, "c"))


def test_the_decision_is_marked_where_it_fell() -> None:
    """A vertical line with its word, in every chart."""
    made = Replayed(START, START + timedelta(minutes=4))
    for k, decision in enumerate(("Hold", "Rollback", "Rollback", "Rollback"), 1):
        at = (START + timedelta(minutes=k)).isoformat()
        decided = (START + timedelta(minutes=min(k, 2))).isoformat()
        made.add({"end": at, "at": decided, "weight": 10, "decision": decision, "gates": [gate(k=k)]})
    marks = [m for chart in all_charts(made, head(gate())) for m in chart.marks]
    assert {(m.label, m.place) for m in marks} == {("Rollback", 0.5)}


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e300, -1e300])
def test_what_lies_beyond_the_axis_is_drawn_at_its_edge(value: float) -> None:
    """No coordinate is infinite."""
    axis = Axis(-1.0, 1.0, ())
    assert axis.y(value) in (axis.y(1.0), axis.y(-1.0))


@given(st.floats(-50, 0), st.floats(1, 50))
def test_ticks_lie_on_the_axis_and_are_few(low: float, high: float) -> None:
    """Powers of ten."""
    ticks = log_ticks(low, high)
    assert len(ticks) <= 10
    assert all(low - 1e-6 <= value <= high + 1e-6 for value, _ in ticks)


def test_one_value_is_a_dot() -> None:
    """A rollout of one interval has a picture too."""
    made = seen("errors", intervals=1)
    for chart in all_charts(made, head(gate())):
        ET.fromstring(draw(chart, "c"))


def test_text_is_escaped_for_attributes_too() -> None:
    """Both kinds of quotes."""
    assert text("<a href='x' & \"y\">") == "&lt;a href=&#x27;x&#x27; &amp; &quot;y&quot;&gt;"


def test_an_empty_chart_is_a_picture() -> None:
    """With its title."""
    assert "<title" in draw(Chart("nothing", "nothing yet", Axis(0.0, 1.0, ()), ("noon",)), "c")
