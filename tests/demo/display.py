"""What people see: one screen that is redrawn where there is a terminal, plain lines on change elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from chaffinch_operator.cli.rollout import Rollout
from chaffinch_operator.cli.screen import console_for, glyphs_for
from chaffinch_operator.cli.show_status import Look, status_screen
from demo.plain import Teller, load_line
from support.load.tally import Tally

_REDRAW_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Sight:
    """What there is to show now."""

    rollout: Rollout
    load: Tally
    """Since the release began."""
    recent: Tally
    """Of the last seconds, for the rate and the latency."""
    recent_seconds: float


class Display:
    """Writes to standard output."""

    def __init__(self, *, live: bool) -> None:
        self._console: Console = console_for(sys.stdout)
        self._live = live and self._console.is_terminal

    def say(self, renderable: RenderableType) -> None:
        """One thing, for good."""
        self._console.print(renderable)
        self._console.file.flush()

    def heading(self, text: str) -> None:
        """The beginning of a part."""
        self.say("")
        self.say(Text(text, style="bold"))

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Tell what is being done, then how long it took."""
        if not self._live:
            self.say(f"{what} ...")
        started = time.monotonic()
        with self._console.status(what) if self._live else _nothing():
            yield
        self.say(f"{what}: {time.monotonic() - started:.1f} s")

    @contextmanager
    def watching(self, title: str) -> Iterator["View"]:
        """A view of one release."""
        started = datetime.now(UTC)
        if not self._live:
            yield PlainView(self, started)
            return
        with Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop") as screen:
            yield LiveView(screen, self._console, title)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


class View:
    """Shows one release as it goes on."""

    def show(self, sight: Sight) -> None:
        """Show the present state."""


class PlainView(View):
    """A line when something changes."""

    def __init__(self, display: Display, started: datetime) -> None:
        self._display, self._started, self._teller = display, started, Teller()

    def show(self, sight: Sight) -> None:
        """Print what is new."""
        for line in self._teller.lines(sight.rollout, sight.load, datetime.now(UTC), self._started):
            self._display.say(line)


class LiveView(View):
    """The screen of `kubectl chaffinch status`, and what clients see."""

    def __init__(self, screen: Live, console: Console, title: str) -> None:
        self._screen, self._glyphs, self._title = screen, glyphs_for(console), title
        self._drawn = 0.0

    def show(self, sight: Sight) -> None:
        """Redraw, at most twice a second."""
        if time.monotonic() - self._drawn < _REDRAW_SECONDS:
            return
        self._drawn = time.monotonic()
        look = Look(datetime.now(UTC), self._glyphs, f" -n {sight.rollout.namespace}")
        self._screen.update(
            Group(Text(self._title, style="bold"), Text(), status_screen(sight.rollout, look), Text(), clients(sight)),
            refresh=True,
        )


def clients(sight: Sight) -> RenderableType:
    """What clients see, in two lines."""
    recent = sight.recent
    rate = recent.requests / sight.recent_seconds if sight.recent_seconds else 0.0
    share = recent.count(track="canary") / recent.requests if recent.requests else 0.0
    middle, high = recent.quantile_ms(0.5), recent.quantile_ms(0.99)
    latency = "" if middle is None or high is None else f", latency {middle:.0f} ms (median), {high:.0f} ms (p99)"
    return Group(
        Text.assemble(("Clients", "bold"), f"  {rate:.0f} requests/s, {share:.1%} to the canary{latency}"),
        Text(f"  since it began: {load_line(sight.load)}", style="dim"),
    )
