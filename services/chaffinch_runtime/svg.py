"""Line charts over time as SVG: for the report page and for files of their own. Pure; every text is escaped.

Coordinates are whole tenths of a pixel and relative, which halves the size. Colours are light or dark as the reader
prefers; lines also differ by their dashes, so that colour is not needed to tell them apart.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from chaffinch_runtime.curves import Curve, Sample

WIDTH, HEIGHT = 7200, 2000
LEFT, RIGHT, TOP, BOTTOM = 620, 7100, 120, 1720
COLUMNS = (RIGHT - LEFT) // 10
"""Pixels of the plotted area: curves need no more columns."""

_LIGHT = {"bg": "#fff", "fg": "#1b1f24", "muted": "#59636e", "grid": "#d8dee4", "harm": "#c62828", "safe": "#2e7d32",
          "ratio": "#1565c0"}  # fmt: skip
_DARK = {"bg": "#15181c", "fg": "#e6e9ec", "muted": "#9aa4ae", "grid": "#323941", "harm": "#ff7b72", "safe": "#5bd07a",
         "ratio": "#6cb6ff"}  # fmt: skip
_COLOURS = """\
svg text{fill:%(muted)s}svg .h{fill:%(fg)s}svg .grid{stroke:%(grid)s}svg .harm{stroke:%(harm)s}\
svg .safe{stroke:%(safe)s}svg .ratio{stroke:%(ratio)s}svg .mark{stroke:%(fg)s}svg .band{fill:%(ratio)s}\
svg .bg{fill:%(bg)s}
"""
_SHAPES = """\
svg text{font:110px system-ui,sans-serif}svg .h{font-size:130px;font-weight:600}
svg path,svg line{fill:none;stroke-width:16}svg .grid{stroke-width:8}svg path.safe{stroke-dasharray:70 30}
svg .rule{stroke-width:12;stroke-dasharray:24 24}svg .mark{stroke-width:12;stroke-dasharray:60 30}
svg path.band{fill-opacity:.18;stroke:none}
"""


def themed(template: str) -> str:
    """Rules in light colours, and in dark ones where a reader prefers those. Few viewers of files know var()."""
    return f"{template % _LIGHT}@media(prefers-color-scheme:dark){{{template % _DARK}}}\n"


STYLE = _SHAPES + themed(_COLOURS)

_ILLEGAL = re.compile("[^\\t\\n\\r -\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


def text(raw: object) -> str:
    """Text that is safe in HTML and XML, in elements and attributes; characters that XML has not are replaced."""
    return escape(_ILLEGAL.sub("\ufffd", str(raw)), quote=True)


@dataclass(frozen=True, slots=True)
class Axis:
    """The vertical axis, linear in the values it is given; what lies beyond is drawn at the edge."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def y(self, value: float) -> int:
        """Height on the chart."""
        inside = min(self.high, max(self.low, value))
        return round(BOTTOM - (inside - self.low) / (self.high - self.low) * (BOTTOM - TOP))


@dataclass(frozen=True, slots=True)
class Line:
    """A curve; style is a class of STYLE."""

    curve: Curve
    style: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A horizontal line with its meaning."""

    value: float
    label: str
    style: str
    at_end: bool = False
    """Where its meaning stands: two rules close to each other need both ends."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line with its meaning."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart. `description` is read out in place of the picture."""

    title: str
    description: str
    axis: Axis
    times: tuple[str, ...]
    """Labels of the horizontal axis, evenly spread from its start to its end."""
    lines: tuple[Line, ...] = ()
    rules: tuple[Rule, ...] = ()
    marks: tuple[Mark, ...] = ()
    band: tuple[Curve, Curve] | None = None


def draw(chart: Chart, identity: str, attributes: str = "") -> str:
    """An <svg> element; identity makes the ids of its title and description unique on a page."""
    axis, key = chart.axis, text(identity)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-labelledby="{key}-t {key}-d"{attributes}>'
        ),
        f'<title id="{key}-t">{text(chart.title)}</title><desc id="{key}-d">{text(chart.description)}</desc>',
        *_grid(chart),
    ]
    if chart.band is not None:
        parts += [f'<path class="band" d="{area}"/>' for area in _areas(*chart.band, axis)]
    parts += [f'<path class="{line.style}" d="{_path(s, axis)}"/>' for line in chart.lines for s in line.curve.lines()]
    parts += [_rule(rule, axis) for rule in chart.rules]
    parts += [_mark(mark) for mark in chart.marks]
    return "\n".join([*parts, "</svg>"])


def stack(charts: Sequence[Chart], heading: str) -> str:
    """A file of its own: the charts below each other."""
    top = 260
    height = top + len(charts) * (HEIGHT + 200)
    parts = [
        (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH // 10}" '
            f'height="{height // 10}"><style>{STYLE}</style><rect class="bg" width="{WIDTH}" height="{height}"/>'
        ),
        f'<text class="h" x="120" y="170">{text(heading)}</text>',
    ]
    for number, chart in enumerate(charts):
        y = top + number * (HEIGHT + 200)
        parts.append(f'<text class="h" x="{LEFT}" y="{y + 90}">{text(chart.title)}</text>')
        parts.append(draw(chart, f"c{number}", f' y="{y + 80}" width="{WIDTH}" height="{HEIGHT}"'))
    return "\n".join([*parts, "</svg>\n"])


def _grid(chart: Chart) -> Iterable[str]:
    for value, label in chart.axis.ticks:
        y = chart.axis.y(value)
        yield f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{RIGHT}" y2="{y}"/>'
        yield f'<text x="{LEFT - 60}" y="{y + 40}" text-anchor="end">{text(label)}</text>'
    last = max(1, len(chart.times) - 1)
    for number, label in enumerate(chart.times):
        x = round(LEFT + number / last * (RIGHT - LEFT))
        anchor = "start" if number == 0 else "end" if number == last else "middle"
        yield f'<text x="{x}" y="{BOTTOM + 170}" text-anchor="{anchor}">{text(label)}</text>'


def _rule(rule: Rule, axis: Axis) -> str:
    y = axis.y(rule.value)
    x, anchor = (RIGHT - 40, "end") if rule.at_end else (LEFT + 40, "start")
    return (
        f'<line class="{rule.style} rule" x1="{LEFT}" y1="{y}" x2="{RIGHT}" y2="{y}"/>'
        f'<text x="{x}" y="{y - 30}" text-anchor="{anchor}">{text(rule.label)}</text>'
    )


def _mark(mark: Mark) -> str:
    x = _x(mark.place)
    anchor, shift = ("end", -40) if mark.place > 0.5 else ("start", 40)
    return (
        f'<line class="mark" x1="{x}" y1="{TOP - 60}" x2="{x}" y2="{BOTTOM}"/>'
        f'<text x="{x + shift}" y="{TOP}" text-anchor="{anchor}">{text(mark.label)}</text>'
    )


def _x(place: float) -> int:
    return round(LEFT + min(1.0, max(0.0, place)) * (RIGHT - LEFT))


def _points(samples: Sequence[Sample], axis: Axis) -> list[tuple[int, int]]:
    return [(_x(place), axis.y(value)) for place, value in samples]


def _path(samples: Sequence[Sample], axis: Axis) -> str:
    points = _points(samples, axis)
    if len(points) == 1:
        points = [points[0], (points[0][0] + 1, points[0][1])]
    return _outline(points)


def _outline(points: Sequence[tuple[int, int]]) -> str:
    (x, y), parts = points[0], []
    for nx, ny in points[1:]:
        if (nx, ny) != (x, y):
            parts.append(f"{nx - x} {ny - y}")
        x, y = nx, ny
    return f"M{points[0][0]} {points[0][1]}l{' '.join(parts) or '1 0'}"


def _areas(low: Curve, high: Curve, axis: Axis) -> Iterable[str]:
    for below, above in zip(low.lines(), high.lines(), strict=True):
        yield f"{_outline([*_points(above, axis), *reversed(_points(below, axis))])}z"


def log_ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    """Ticks at powers of ten for values that are natural logarithms, ten at most."""
    first, last = math.ceil(low / math.log(10.0) - 1e-9), math.floor(high / math.log(10.0) + 1e-9)
    step = max(1, math.ceil((last - first + 1) / 8))
    powers = [p for p in range(first, last + 1) if p % step == 0]
    return tuple((p * math.log(10.0), f"{10.0**p:g}" if -3 <= p <= 4 else f"1e{p}") for p in powers)
