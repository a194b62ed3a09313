"""Figures of benches as JSON under build/bench: raw ones, what machine they are from, and whether goals were met."""

import json
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "build" / "bench"


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit that a figure should stay under."""

    what: str
    limit: float
    value: float
    inclusive: bool = False

    @property
    def met(self) -> bool:
        """Whether it does."""
        return self.value <= self.limit if self.inclusive else self.value < self.limit

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        sign = "<=" if self.inclusive else "<"
        return {"goal": f"{self.what} {sign} {self.limit:g}", "value": self.value, "met": self.met}


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "loadAverage": [round(load, 2) for load in os.getloadavg()],
    }


def add(name: str, part: str, before: dict[str, Any], content: dict[str, Any]) -> Path:
    """Write one part of build/bench/<name>.json and leave the others as they are."""
    path = FOLDER / f"{name}.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    return _write(path, found | {part: _head(before) | content})


def write(name: str, before: dict[str, Any], content: dict[str, Any]) -> Path:
    """Write build/bench/<name>.json; `before` is `machine()` from before the bench."""
    return _write(FOLDER / f"{name}.json", _head(before) | content)


def _head(before: dict[str, Any]) -> dict[str, Any]:
    after = machine()["loadAverage"]
    return {"date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": before | {"loadAverageAfter": after}}


def _write(path: Path, content: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")
    return path
