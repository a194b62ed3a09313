"""Goals with a floor that must hold and a stretch that is worth having."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Goal:
    """One of them. less: the figure should be small; else large. unit: P is the TPC-B rate of the same run."""

    name: str
    what: str
    unit: str
    floor: float
    stretch: float
    measured: float
    less: bool = False

    def _holds(self, limit: float) -> bool:
        return self.measured <= limit if self.less else self.measured >= limit

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "goal": self.name,
            "what": self.what,
            "unit": self.unit,
            "better": "less" if self.less else "more",
            "floor": self.floor,
            "stretch": self.stretch,
            "measured": round(self.measured, 3),
            "met": self._holds(self.floor),
            "stretchMet": self._holds(self.stretch),
        }
