"""Draws ledger.svg: how requests become entries, blocks, a tree and a signed checkpoint.

`python docs/pictures/ledger.py` writes it, `--check` exits with 1 when the committed picture is not what this draws.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

PICTURE = Path(__file__).with_suffix(".svg")
WIDTH, HEIGHT = 1120, 372
INK, SOFT, LINE, PAPER = "#1f2933", "#52606d", "#cbd2d9", "#ffffff"
LEAF, CHAIN, TREE, SEAL = "#3e7cb1", "#f2a541", "#3c8d5a", "#c8402f"
FONT = "-apple-system, Segoe UI, Helvetica, Arial, DejaVu Sans, sans-serif"
LEFT, STEP, SIDE = 300, 96, 76
ANCHOR = "A copy kept elsewhere (an anchor) shows a history that was cut, replaced or rolled back."
BLOCKS = ((0, 3), (3, 4), (4, 8))
"""Entries of each batch, first and past the last."""
BANDS = (
    (28, "Requests", ("what arrives while a batch is", "written is the next batch")),
    (110, "Entries", ("one a decision, refusals too;", "each is hashed to a leaf")),
    (192, "Blocks", ("one a batch, in its transaction;", "each holds the hash before it")),
    (274, "Checkpoint", ("each second: the root of the tree", "over all leaves, signed")),
)


def text(
    x: float, y: float, words: str, *, size: int = 12, color: str = INK, weight: int = 400, middle: bool = False
) -> str:
    """One line of text."""
    anchor = ' text-anchor="middle"' if middle else ""
    place = f'x="{x:g}" y="{y:g}"{anchor}'
    return f'<text {place} font-size="{size}" fill="{color}" font-weight="{weight}">{escape(words)}</text>'


def box(left: float, top: float, width: float, height: float, color: str, words: str = "") -> str:
    """A filled rectangle with a word in it."""
    made = f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" rx="5" fill="{color}"/>'
    label = text(left + width / 2, top + height / 2 + 4, words, color=PAPER, weight=600, middle=True)
    return made + (label if words else "")


def line(x1: float, y1: float, x2: float, y2: float, color: str = LINE) -> str:
    """A straight line."""
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{color}" stroke-width="1.5"/>'


def bands() -> Iterable[str]:
    """What each row is."""
    for top, title, lines in BANDS:
        yield text(28, top + 18, title, size=15, weight=600)
        for number, words in enumerate(lines):
            yield text(28, top + 37 + 16 * number, words, color=SOFT)


def entries() -> Iterable[str]:
    """Requests, and the entry that each became; the sixth was refused."""
    for number in range(BLOCKS[-1][1]):
        x = LEFT + number * STEP
        yield box(x, BANDS[0][0] + 8, SIDE, 34, SOFT, "refused" if number == 5 else "done")
        yield line(x + SIDE / 2, BANDS[0][0] + 42, x + SIDE / 2, BANDS[1][0] + 8)
        yield box(x, BANDS[1][0] + 8, SIDE, 34, LEAF, f"entry {number + 1}")


def blocks() -> Iterable[str]:
    """Each over its entries, tied to the one before."""
    top, before = BANDS[2][0] + 8, 0.0
    for number, (first, past) in enumerate(BLOCKS, start=1):
        left, width = LEFT + first * STEP, (past - first - 1) * STEP + SIDE
        for entry in range(first, past):
            x = LEFT + entry * STEP + SIDE / 2
            yield line(x, BANDS[1][0] + 42, x, top)
        if before:
            yield line(before, top + 17, left, top + 17, INK)
        yield box(left, top, width, 34, CHAIN, f"block {number}")
        before = left + width


def checkpoint() -> Iterable[str]:
    """The tree's root, signed, and kept elsewhere too."""
    top = BANDS[3][0] + 8
    width = (BLOCKS[-1][1] - 1) * STEP + SIDE
    yield line(LEFT + width / 2, BANDS[2][0] + 42, LEFT + width / 2, top)
    yield box(LEFT, top, width * 0.62, 34, TREE, "root of the Merkle tree over entries 1 to 8")
    yield line(LEFT + width * 0.62, top + 17, LEFT + width * 0.68, top + 17, INK)
    yield box(LEFT + width * 0.68, top, width * 0.32, 34, SEAL, "signed: Ed25519")
    yield text(
        LEFT,
        top + 58,
        "A copy kept elsewhere (an anchor) shows a history that was cut, replaced or rolled back.",
        color=SOFT,
    )


def draw() -> str:
    """The whole picture."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" font-family="{FONT}" role="img">'
    )
    frame = f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="10" fill="{PAPER}" stroke="{LINE}"/>'
    title = "<title>Requests become entries, entries blocks and a tree, and its root is signed</title>"
    return "\n".join([head, title, frame, *bands(), *entries(), *blocks(), *checkpoint(), "</svg>"]) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the picture, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when the picture is stale")
    options = parser.parse_args(arguments)
    if not options.check:
        PICTURE.write_text(draw(), encoding="utf-8")
        return 0
    if PICTURE.is_file() and PICTURE.read_text(encoding="utf-8") == draw():
        return 0
    sys.stderr.write(f"{PICTURE.name} is stale: run make pictures\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
