"""From renderables to a terminal, a pipe or a test: width, colour, and characters the other side can show."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.text import Text

WIDEST = 10_000


@dataclass(frozen=True, slots=True)
class Glyphs:
    """Characters of one kind of screen."""

    full: str
    part: str
    empty: str
    done: str
    here: str
    ahead: str
    failed: str
    unknown: str
    undecided: str


UNICODE = Glyphs(full="█", part="▒", empty="░", done="✓", here="▶", ahead="○", failed="✗", unknown="?", undecided="·")
ASCII = Glyphs(full="#", part="=", empty=".", done="+", here=">", ahead="o", failed="x", unknown="?", undecided="-")


def console_for(stream: TextIO, *, colour: bool = True, width: int | None = None) -> "Console":
    """A console on a stream; without a terminal it neither wraps nor colours."""
    from rich.console import Console  # noqa: PLC0415 -- keeps --help quick

    terminal = stream.isatty()
    return Console(
        file=stream,
        width=width or (None if terminal else WIDEST),
        highlight=False,
        soft_wrap=False,
        emoji=False,
        markup=False,
        no_color=None if colour else True,
        color_system="auto" if colour else None,
    )


def glyphs_for(console: "Console") -> Glyphs:
    """Unicode where the stream's encoding has it."""
    return UNICODE if console.encoding.lower().replace("-", "").startswith("utf") else ASCII


def text_of(console: "Console", renderable: "RenderableType") -> str:
    """What the console would print, without spaces at the ends of lines."""
    with console.capture() as capture:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def show(console: "Console", renderable: "RenderableType") -> None:
    """Print it; spaces at the ends of lines are left out."""
    console.file.write(text_of(console, renderable) + "\n")
    console.file.flush()


def show_whole(console: "Console", renderable: "RenderableType") -> None:
    """Print it as wide as it is: the terminal may wrap its lines, nothing is cut."""
    console.file.write(text_of(_without_edge(console), renderable) + "\n")
    console.file.flush()


def cut(console: "Console", renderable: "RenderableType") -> "Text":
    """It as wide as it is, cut at the screen's edge: for tables that are redrawn in place."""
    from rich.text import Text  # noqa: PLC0415 -- keeps --help quick

    return Text.from_ansi(text_of(_without_edge(console), renderable), no_wrap=True, overflow="crop")


def _without_edge(console: "Console") -> "Console":
    """A console with the same colours and no width to speak of."""
    from rich.console import Console  # noqa: PLC0415 -- keeps --help quick

    return Console(
        file=StringIO(),
        width=WIDEST,
        force_terminal=console.is_terminal,
        no_color=console.no_color,
        color_system=console.color_system,  # type: ignore[arg-type] # str
        highlight=False,
        emoji=False,
        markup=False,
    )


@contextmanager
def live(console: "Console") -> Iterator["Live"]:
    """A screen that is redrawn in place; the cursor comes back whatever happens."""
    from rich.live import Live  # noqa: PLC0415 -- keeps --help quick

    with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as screen:
        yield screen
