"""Draws flow.svg: what happens between a push and its end, for a good version and for a bad one.

`python docs/pictures/flow.py` writes it, `--check` exits with 1 when the committed picture is not what this draws.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

PICTURE = Path(__file__).with_suffix(".svg")
WIDTH, HEIGHT = 1120, 504
LEFT, RIGHT = 30, 1090
INK, SOFT, LINE, PAPER = "#1f2933", "#52606d", "#cbd2d9", "#ffffff"
STABLE, CANDIDATE, HARM, PROOF = "#3e7cb1", "#f2a541", "#c8402f", "#3c8d5a"
FONT = "-apple-system, Segoe UI, Helvetica, Arial, DejaVu Sans, sans-serif"
Point = tuple[float, float]
Stage = tuple[int, int, str, tuple[str, ...]]

STAGES: tuple[Stage, ...] = (
    (
        30,
        232,
        "1  Hold",
        ("You push a template.", "The API server pauses", "the Deployment: the old", "pods keep serving."),
    ),
    (
        244,
        446,
        "2  Canary",
        ("The new template starts", "as a second Deployment;", "your Service keeps to", "the stable pods."),
    ),
    (
        458,
        808,
        "3  Weight, step by step",
        (
            "The gateway sends a share to the canary.",
            "Each interval compares both arms' errors",
            "and latency. Evidence adds up over steps",
            "and survives restarts; harm ends it at once.",
        ),
    ),
    (
        820,
        1090,
        "4  The end",
        (
            "Proven safe: your Deployment",
            "rolls, by its own strategy.",
            "Proven harm: weight 0, and",
            "the template stays held.",
        ),
    ),
)
WEIGHTS = ((458, 575, 5), (575, 692, 25), (692, 814, 50))
HARM_AT = 640
GOOD, BAD, STRIP = 204, 358, 88


def text(
    x: float, y: float, words: str, *, size: int = 13, color: str = INK, weight: int = 400, anchor: str = "start"
) -> str:
    """One line of text."""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{color}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )


def box(
    left: float, top: float, right: float, bottom: float, fill: str, *, stroke: str = "none", radius: int = 0
) -> str:
    """A rectangle."""
    return (
        f'<rect x="{left:g}" y="{top:g}" width="{right - left:g}" height="{bottom - top:g}" rx="{radius}" '
        f'fill="{fill}" stroke="{stroke}"/>'
    )


def path(points: Sequence[Point], color: str, *, dash: str = "", width: float = 1.5) -> str:
    """An open line."""
    places = " ".join(f"{x:g},{y:g}" for x, y in points)
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{places}" fill="none" stroke="{color}" stroke-width="{width:g}"{dashed}/>'


def stages() -> Iterable[str]:
    """The four boxes above."""
    for left, right, title, lines in STAGES:
        yield box(left, 24, right, 146, "#f7f9fb", stroke=LINE, radius=8)
        yield text(left + 14, 48, title, size=15, weight=600)
        for number, line in enumerate(lines):
            yield text(left + 14, 72 + 18 * number, line, size=12, color=SOFT)


def axis() -> Iterable[str]:
    """Faint lines that lead from the boxes through both strips, and the weights."""
    for left, right, weight in WEIGHTS:
        yield text((left + right) / 2, GOOD - 12, f"weight {weight} %", size=12, color=SOFT, anchor="middle")
    for x in (LEFT, 238, *(left for left, _, _ in WEIGHTS), WEIGHTS[-1][1], RIGHT):
        yield path([(x, 152), (x, BAD + STRIP + 6)], LINE, dash="2 4", width=1)


def strip(top: float, shares: Sequence[tuple[float, float, float]], rest: float) -> Iterable[str]:
    """Stable's area with the canary's shares (from, to, percent) on top; from `rest` on, the new version serves all."""
    yield box(LEFT, top, RIGHT, top + STRIP, STABLE)
    for left, right, percent in shares:
        yield box(left, top, right, top + STRIP * percent / 100, CANDIDATE)
    if rest < RIGHT:
        yield (
            f'<polygon points="{rest:g},{top + STRIP / 2:g} {rest + 60:g},{top + STRIP:g} {RIGHT},{top + STRIP} '
            f'{RIGHT},{top} {rest:g},{top}" fill="{CANDIDATE}"/>'
        )


def mark(x: float, top: float, color: str, words: str) -> Iterable[str]:
    """A moment of decision, with its sentence below the strip."""
    yield path([(x, top - 6), (x, top + STRIP + 10)], color, width=2)
    yield f'<circle cx="{x:g}" cy="{top - 6:g}" r="4.5" fill="{color}"/>'
    yield text(x + 8, top + STRIP + 18, words, size=12, color=color, weight=600)


def good(top: float) -> Iterable[str]:
    """Three weights, proof, promotion."""
    end = WEIGHTS[-1][1]
    yield text(LEFT, top - 12, "A good version", size=14, weight=600)
    yield from strip(top, WEIGHTS, rest=end)
    yield text(LEFT + 14, top + 53, "stable serves every request", color=PAPER, weight=600)
    yield text(970, top + 49, "the new version is stable", weight=600, anchor="middle")
    yield from mark(end, top, PROOF, "every gate proved it safe: promoted")


def bad(top: float) -> Iterable[str]:
    """Harm is proven at the second weight."""
    yield text(LEFT, top - 12, "A bad version", size=14, weight=600)
    yield from strip(top, [WEIGHTS[0], (WEIGHTS[1][0], HARM_AT, WEIGHTS[1][2])], rest=RIGHT)
    yield text(LEFT + 14, top + 53, "stable serves every request", color=PAPER, weight=600)
    yield text(866, top + 53, "stable again, its pods never touched", color=PAPER, weight=600, anchor="middle")
    yield from mark(HARM_AT, top, HARM, "a gate proved harm: rolled back")


def legend() -> Iterable[str]:
    """What the colours mean."""
    meanings = (STABLE, "served by the old template"), (CANDIDATE, "served by the new template")
    for x, (color, words) in zip((LEFT, LEFT + 220), meanings, strict=True):
        yield box(x, HEIGHT - 24, x + 14, HEIGHT - 10, color, radius=2)
        yield text(x + 20, HEIGHT - 12, words, size=12, color=SOFT)


def draw() -> str:
    """The whole picture."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" font-family="{FONT}" role="img">'
    )
    parts = [
        head,
        "<title>From a push to promotion or rollback: who serves the requests, over time</title>",
        box(0.5, 0.5, WIDTH - 0.5, HEIGHT - 0.5, PAPER, stroke=LINE, radius=10),
        *axis(),
        *stages(),
        *good(GOOD),
        *bad(BAD),
        *legend(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the picture, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when the picture is stale")
    options = parser.parse_args(arguments)
    if options.check:
        if PICTURE.is_file() and PICTURE.read_text(encoding="utf-8") == draw():
            return 0
        sys.stderr.write(f"{PICTURE.name} is stale: run make pictures\n")
        return 1
    PICTURE.write_text(draw(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
