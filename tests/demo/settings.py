"""What can be set for the tour, read once from the environment and the command line."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

REPOSITORY = Path(__file__).resolve().parents[2]


class SettingsError(ValueError):
    """A setting cannot be used; the message names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The tour's settings."""

    namespace: str = "demo"
    rate: float = 200.0
    """Requests a second. Fewer take longer to prove something; two cores carry about 500."""
    output: Path = REPOSITORY / "build" / "demo"
    live: bool = True
    """Redraw one screen, where there is a terminal; else plain lines."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read CHAFFINCH_DEMO_NAMESPACE, CHAFFINCH_DEMO_RATE and CHAFFINCH_DEMO_PLAIN."""
        text = environ.get("CHAFFINCH_DEMO_RATE") or "200"
        try:
            rate = float(text)
        except ValueError:
            rate = 0.0
        if not 20.0 <= rate <= 5000.0:
            raise SettingsError(f"CHAFFINCH_DEMO_RATE={text}: use requests a second, from 20 to 5000")
        return cls(
            namespace=environ.get("CHAFFINCH_DEMO_NAMESPACE") or "demo",
            rate=rate,
            live=not environ.get("CHAFFINCH_DEMO_PLAIN"),
        )
