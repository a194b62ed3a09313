"""Draws the plots of docs/statistics.md, each an SVG beside this file.

`python docs/pictures/plots.py` writes them, `--check` exits with 1 when a committed one is not what this draws.
Measured figures are read from docs/simulations.md, the rest is computed by `chaffinch_stats`.
"""

from __future__ import annotations

import argparse
import itertools
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from chaffinch_stats import CountGate, planning, spending

FOLDER = Path(__file__).parent
SIMULATIONS = FOLDER.parent / "simulations.md"
INK, SOFT, LINE, PAPER = "#1f2933", "#52606d", "#cbd2d9", "#ffffff"
BLUE, ORANGE, RED, GREEN = "#3e7cb1", "#f2a541", "#c8402f", "#3c8d5a"
FONT = "-apple-system, Segoe UI, Helvetica, Arial, DejaVu Sans, sans-serif"
WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 84, 560, 60, 340
LABELS = RIGHT + 14
LOOKS = 60
ALPHA = 0.05
SHARE = 0.25
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scale:
    """From a value to a place on the page, evenly or by logarithm."""

    low: float
    high: float
    begin: float
    end: float
    by_logarithm: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value, to a tenth of a pixel."""
        low, high, at = (
            (map(math.log, (self.low, self.high, value)))
            if self.by_logarithm
            else (
                self.low,
                self.high,
                value,
            )
        )
        return round(self.begin + (at - low) / (high - low) * (self.end - self.begin), 1)


def text(
    x: float, y: float, words: str, *, size: int = 12, color: str = SOFT, weight: int = 400, anchor: str = "start"
) -> str:
    """One line of text."""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{color}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )


def line(points: Sequence[Point], color: str, *, dash: str = "", width: float = 2.0) -> str:
    """An open line."""
    places = " ".join(f"{x:g},{y:g}" for x, y in points)
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{places}" fill="none" stroke="{color}" stroke-width="{width:g}"{dashed}/>'


def dot(x: float, y: float, color: str, *, hollow: bool = False) -> str:
    """A measured point."""
    return (
        f'<circle cx="{x:g}" cy="{y:g}" r="4.5" fill="{PAPER if hollow else color}" stroke="{color}" stroke-width="2"/>'
    )


def page(title: str, parts: Iterable[str]) -> str:
    """A whole picture."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" font-family="{FONT}" role="img">'
    )
    frame = f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="10" fill="{PAPER}" stroke="{LINE}"/>'
    heading = text(24, 34, title, size=15, color=INK, weight=600)
    return "\n".join([head, f"<title>{escape(title)}</title>", frame, heading, *parts, "</svg>"]) + "\n"


def grid(
    x: Scale, y: Scale, across: Mapping[float, str], up: Mapping[float, str], names: tuple[str, str]
) -> Iterator[str]:
    """Both axes: values with their labels, and what they are."""
    for value, label in up.items():
        yield line([(LEFT, y(value)), (RIGHT, y(value))], LINE, width=1)
        yield text(LEFT - 8, y(value) + 4, label, anchor="end")
    for value, label in across.items():
        yield line([(x(value), BOTTOM), (x(value), BOTTOM + 5)], LINE, width=1)
        yield text(x(value), BOTTOM + 20, label, anchor="middle")
    yield text((LEFT + RIGHT) / 2, BOTTOM + 42, names[0], anchor="middle")
    yield text(24, TOP - 6, names[1])


def percents(*values: float) -> dict[float, str]:
    """Labels of shares."""
    return {value: f"{value:.0%}".replace("%", " %") for value in values}


def measured(case: str, rule: str) -> float:
    """A figure of docs/simulations.md: of a case and a rule by their beginnings. LookupError when there is none."""
    for row in SIMULATIONS.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if len(cells) > 2 and cells[0].startswith(case) and cells[1].startswith(rule):
            number = float(re.sub(r"[ %,]", "", cells[2]))
            return number / 100 if "%" in cells[2] else number
    raise LookupError(f"docs/simulations.md has no row {case!r}, {rule!r}")


def peeking() -> str:
    """How false alarms grow with the number of looks."""
    x, y = Scale(0, LOOKS, LEFT, RIGHT), Scale(0, 1, BOTTOM, TOP)
    looks = range(1, LOOKS + 1)
    bounds = [1.96] * LOOKS
    above, below = spending.crossing([float(k) for k in looks], bounds, [-b for b in bounds])
    sums = itertools.accumulate(a + b for a, b in zip(above, below, strict=True))
    anew = [(x(k), y(1 - (1 - ALPHA) ** k)) for k in looks]
    ours = measured("60 looks, 1 % errors, share 50%", "our gate")
    parts = [
        *grid(
            x,
            y,
            {k: str(k) for k in (1, 10, 20, 30, 40, 50, 60)},
            percents(0, 0.25, 0.5, 0.75, 1),
            ("looks", "rolled back though harmless"),
        ),
        line(anew, RED),
        text(LABELS, anew[-1][1] + 4, "a test of each interval", color=RED),
        line(summed := [(x(k), y(p)) for k, p in zip(looks, sums, strict=True)], ORANGE),
        text(LABELS, summed[-1][1] + 4, "a test of the sums", color=ORANGE),
        line([(LEFT, y(ALPHA)), (RIGHT, y(ALPHA))], SOFT, dash="5 4", width=1.5),
        text(LABELS, y(ALPHA) - 4, "alpha 5 %"),
        dot(x(LOOKS), y(ours), GREEN),
        text(LABELS, y(ours) + 10, f"Chaffinch, measured {ours:.1%}".replace("%", " %"), color=GREEN),
    ]
    return page("A test at 5 % that is looked at again and again", parts)


def noise() -> str:
    """False alarms under over-dispersion, with and without tempering."""
    sigmas = (0.1, 0.2, 0.3, 0.5)
    x, y = Scale(0, 0.55, LEFT, RIGHT), Scale(0, 0.35, BOTTOM, TOP)
    parts = [
        *grid(
            x,
            y,
            {s: f"{s:g}" for s in (0, *sigmas)},
            percents(0, 0.1, 0.2, 0.3),
            ("noise of one arm's error rate, sigma a minute", "rolled back though harmless"),
        ),
        line([(LEFT, y(ALPHA)), (RIGHT, y(ALPHA))], SOFT, dash="5 4", width=1.5),
        text(LABELS, y(ALPHA) + 4, "alpha 5 %"),
    ]
    rules = (
        ("our gate, no dispersion", "dispersion 1", RED),
        ("our gate, dispersion from", "dispersion: Auto, 2 h history", GREEN),
    )
    for rule, words, color in rules:
        points = [(x(s), y(measured(f"sigma {s:g}", rule))) for s in sigmas]
        parts += [line(points, color), *(dot(*point, color) for point in points)]
        parts.append(text(LABELS, points[-1][1] + 4, words, color=color))
    return page("Errors that come in bursts: 1,000 requests a minute and arm, 1 % bad, an hour", parts)


def delays() -> str:
    """How soon harm is found, in fixed sample sizes."""
    cases = (
        ("1.0% to 5.00%, share 10%", "1 to 5 %, share 10 %"),
        ("0.1% to 0.30%, share 50%", "0.1 to 0.3 %, share 50 %"),
        ("1.0% to 2.00%, share 50%", "1 to 2 %, share 50 %"),
        ("1.0% to 2.00%, share 10%", "1 to 2 %, share 10 %"),
        ("1.0% to 1.50%, share 50%", "1 to 1.5 %, share 50 %"),
        ("1.0% to 1.25%, share 50%", "1 to 1.25 %, share 50 %"),
    )
    left, step = 200, 40
    x = Scale(0, 2.2, left, 700)
    parts = [
        text(
            (left + 700) / 2,
            BOTTOM + 42,
            "requests until harm is found; 1 is a test of fixed size with 90 % power",
            anchor="middle",
        )
    ]
    for value in (0.0, 0.5, 1.0, 1.5, 2.0):
        parts += [line([(x(value), TOP + 10), (x(value), BOTTOM)], SOFT if value == 1 else LINE, width=1)]
        parts.append(text(x(value), BOTTOM + 20, f"{value:g}", anchor="middle"))
    for number, (case, words) in enumerate(cases):
        at = TOP + 44 + step * number
        median, mean, late = (measured(case, f"our gate: {what}") for what in ("median", "mean", "90th"))
        planned = measured(case, "GroupSequential OBrienFleming: mean")
        parts += [
            text(left - 12, at + 4, words, anchor="end"),
            line([(x(median), at), (x(late), at)], GREEN, width=3),
            *(dot(x(value), at, GREEN) for value in (median, mean, late)),
            dot(x(planned), at + 12, BLUE, hollow=True),
        ]
    parts += [
        dot(left + 6, TOP - 2, GREEN),
        text(left + 18, TOP + 2, "Anytime: median, mean, 90th percentile", color=GREEN),
        dot(left + 286, TOP - 2, BLUE, hollow=True),
        text(left + 298, TOP + 2, "GroupSequential: mean", color=BLUE),
    ]
    return page("How soon harm is found", parts)


def margins() -> str:
    """Requests that a canary like stable needs to pass, against the margin."""
    x, y = Scale(1.2, 3.0, LEFT, RIGHT, by_logarithm=True), Scale(300, 2e6, BOTTOM, TOP, by_logarithm=True)
    across = {m: f"{m:g}" for m in (1.2, 1.5, 2.0, 2.5, 3.0)}
    parts = list(
        grid(
            x,
            y,
            across,
            {n: f"{n:,.0f}" for n in (1e3, 1e4, 1e5, 1e6)},
            ("marginRatio", "requests of both arms until a good canary passes"),
        )
    )
    for rate, color in ((0.001, RED), (0.01, ORANGE), (0.05, BLUE)):
        points = []
        for k in range(46):
            margin = round(1.2 * (3.0 / 1.2) ** (k / 45), 4)
            needed = planning.requests_to_pass(CountGate(margin_ratio=margin), rate, SHARE, 0.05)
            points.append((x(margin), y(needed)))
        parts += [
            line(points, color),
            text(LABELS, points[-1][1] + 4, f"stable has {rate:.1%} bad".replace("%", " %"), color=color),
        ]
    return page("What a margin costs: canary share 25 %, beta 5 %", parts)


PICTURES = {"peeking": peeking, "noise": noise, "delays": delays, "margins": margins}


def main(arguments: Sequence[str]) -> int:
    """Write the plots, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a plot is stale")
    options = parser.parse_args(arguments)
    stale = []
    for name, draw in PICTURES.items():
        file = FOLDER / f"{name}.svg"
        drawn = draw()
        if not options.check:
            file.write_text(drawn, encoding="utf-8")
        elif not file.is_file() or file.read_text(encoding="utf-8") != drawn:
            stale.append(file.name)
    if stale:
        sys.stderr.write(f"stale: {', '.join(stale)}; run make pictures\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
