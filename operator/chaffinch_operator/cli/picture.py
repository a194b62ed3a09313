"""The plan as a picture: SVG drawn here; PNG made of it by resvg, which is in the extra `plot`."""

import math
from collections.abc import Iterable, Iterator
from html import escape
from importlib.util import find_spec
from pathlib import Path

from chaffinch_operator.cli import words
from chaffinch_operator.cli.failures import DeclinedError, UsageProblemError
from chaffinch_operator.cli.forecasts import GOOD
from chaffinch_operator.cli.planning import Estimate, GatePlan, Plan

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 960, 190, 30, 84, 22
_INK, _SOFT, _LINE, _PAPER, _HARM, _PROOF = "#1f2933", "#52606d", "#cbd2d9", "#ffffff", "#c8402f", "#3c8d5a"
_FONT = "Segoe UI, Helvetica, Arial, DejaVu Sans, sans-serif"
_TICKS = (10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400, 259200, 604800, 2592000)
_SCALE = 2.0
_PROBE = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20">{}</svg>'


def require(path: Path) -> None:
    """UsageProblemError or DeclinedError if a file of this name cannot be drawn here; asked before any work is done."""
    kind = path.suffix.lower()
    if kind not in {".svg", ".png"}:
        raise UsageProblemError(f"--plot {path}: a picture ends in .svg or .png")
    if kind == ".png" and find_spec("resvg_py") is None:
        raise DeclinedError(
            f"--plot {path}: PNG needs the package resvg_py, which is not installed",
            "install it with: pip install 'chaffinch[cli,plot]'; or draw FILE.svg, which needs nothing",
        )


def write(path: Path, plan: Plan, title: str) -> None:
    """Draw the plan to a file."""
    svg = draw(plan, title)
    try:
        if path.suffix.lower() == ".svg":
            path.write_text(svg)
        else:
            path.write_bytes(_png(svg, path))
    except OSError as error:
        raise DeclinedError(f"--plot {path}: {error.strerror or error}") from error


def _png(svg: str, path: Path) -> bytes:
    import resvg_py  # noqa: PLC0415 -- an extra

    def render(text: str, zoom: float) -> bytes:
        return bytes(resvg_py.svg_to_bytes(svg_string=text, zoom=zoom))

    letter = f'<text x="4" y="16" font-family="{_FONT}">x</text>'
    if render(_PROBE.format(letter), 1.0) == render(_PROBE.format(""), 1.0):
        raise DeclinedError(
            f"--plot {path}: this machine has no fonts, a PNG would have no words in it",
            "install a font (Debian: fonts-dejavu-core), or draw FILE.svg",
        )
    return render(svg, _SCALE)


def draw(plan: Plan, title: str) -> str:
    """SVG: per gate a row for every worsening and for the good canary, on a logarithmic axis of time."""
    rows = [(gate, estimate) for gate in plan.gates for estimate in gate.estimates]
    height = _TOP + _ROW * (len(rows) + 2) + 40
    axis = _Axis.of(plan)
    body = [
        f'<rect width="{_WIDTH}" height="{height}" fill="{_PAPER}"/>',
        _text(20, 30, f"{title}: time to catch harm and to pass", size=17, weight=600),
        _text(20, 50, "dot: median; bar: to the 90th percentile; tick: expected; since the first weight", color=_SOFT),
        *_grid(axis, plan, height - 40),
        *(part for k, row in enumerate(rows) for part in _row(axis, _TOP + _ROW * (k + 1), *row)),
        *_bar(axis, _TOP + _ROW * (len(rows) + 1), plan.promotion, "promoted (good canary)", _INK),
    ]
    inner = "\n".join(body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'font-family="{_FONT}">\n{inner}\n</svg>\n'
    )


class _Axis:
    """Seconds to places, by the logarithm."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    @classmethod
    def of(cls, plan: Plan) -> "_Axis":
        """From the first decision to the last one."""
        estimates = [plan.promotion, *(e for gate in plan.gates for e in gate.estimates)]
        times = [t for e in estimates for t in (e.median, e.p90, e.expected) if math.isfinite(t)]
        high = max([*times, plan.max_duration])
        return cls(max(1.0, 0.7 * min([*times, plan.steps_end or high])), 1.3 * high)

    def at(self, seconds: float) -> float:
        """Place of a time."""
        span = math.log(self.high / self.low)
        share = math.log(max(seconds, self.low) / self.low) / span
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(1.0, share)


def _grid(axis: _Axis, plan: Plan, bottom: float) -> Iterator[str]:
    for tick in _TICKS:
        if axis.low <= tick <= axis.high:
            yield _line(axis.at(tick), _TOP, bottom, _LINE)
            yield _text(axis.at(tick), bottom + 16, words.duration(tick), color=_SOFT, anchor="middle")
    begun = 0.0
    for leg in plan.setting.legs:
        if leg.blind_seconds and begun >= axis.low:
            yield _line(axis.at(begun), _TOP, bottom, _SOFT, dash="2 4")
            yield _text(axis.at(begun) + 3, _TOP - 4, f"{leg.weight} %", size=11, color=_SOFT)
        begun += leg.seconds
    yield _line(axis.at(plan.max_duration), _TOP, bottom, _HARM, dash="6 3")
    yield _text(axis.at(plan.max_duration) - 3, _TOP - 4, "maxDuration", size=11, color=_HARM, anchor="end")


def _row(axis: _Axis, y: float, gate: GatePlan, estimate: Estimate) -> Iterable[str]:
    good = estimate.ratio == GOOD
    what = "passes" if good else f"{estimate.ratio:g}x caught"
    return _bar(axis, y, estimate, f"{gate.name}: {what}", _PROOF if good else _HARM)


def _bar(axis: _Axis, y: float, estimate: Estimate, label: str, color: str) -> Iterator[str]:
    yield _text(_LEFT - 10, y + 4, label, anchor="end")
    if not math.isfinite(estimate.median):
        yield _text(_LEFT + 6, y + 4, "not in half of all rollouts", size=11, color=_SOFT)
        return
    left = axis.at(estimate.median)
    right = axis.at(estimate.p90) if math.isfinite(estimate.p90) else _WIDTH - _RIGHT
    width = max(1.0, right - left)
    yield f'<rect x="{left:.1f}" y="{y - 4:g}" width="{width:.1f}" height="8" fill="{color}" opacity="0.35"/>'
    if math.isfinite(estimate.expected):
        yield _line(axis.at(estimate.expected), y - 7, y + 7, color)
    yield f'<circle cx="{left:.1f}" cy="{y:g}" r="4.5" fill="{color}"/>'


def _text(
    x: float, y: float, text: str, *, size: int = 12, color: str = _INK, weight: int = 400, anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:g}" font-size="{size}" fill="{color}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


def _line(x: float, top: float, bottom: float, color: str, *, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<line x1="{x:.1f}" y1="{top:g}" x2="{x:.1f}" y2="{bottom:g}" stroke="{color}"{dashed}/>'
