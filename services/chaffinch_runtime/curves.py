"""A curve thinned to the pixels it is drawn on: first, least, greatest and last value per column. Pure.

So no peak and no crossing of a threshold is lost, and a page stays small however long the rollout was.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

Sample = tuple[float, float]
"""Place (0 to 1, the whole time) and value."""


_Numbered = tuple[int, Sample]
"""A sample with its number: two may have one place, as where a weight steps up."""


@dataclass(slots=True)
class _Column:
    first: _Numbered
    low: _Numbered
    high: _Numbered
    last: _Numbered

    def add(self, found: _Numbered) -> None:
        self.last = found
        if found[1][1] < self.low[1][1]:
            self.low = found
        if found[1][1] > self.high[1][1]:
            self.high = found

    def samples(self) -> list[Sample]:
        return [sample for _, sample in sorted({self.first, self.low, self.high, self.last})]


@dataclass(slots=True)
class Curve:
    """Values over time, added in time order. A gap (None) breaks the line."""

    columns: int
    _stretches: list[list[_Column]] = field(default_factory=list)
    _column: int = -1
    _open: bool = False
    _number: int = 0

    def add(self, place: float, value: float | None) -> None:
        """One more value; infinite ones are fine."""
        if value is None:
            self._open = False
            return
        column, self._number = min(self.columns - 1, int(place * self.columns)), self._number + 1
        found = (self._number, (place, value))
        if not self._open:
            self._stretches.append([])
        stretch = self._stretches[-1]
        if stretch and column == self._column:
            stretch[-1].add(found)
        else:
            stretch.append(_Column(found, found, found, found))
        self._column, self._open = column, True

    def lines(self) -> Iterator[list[Sample]]:
        """The unbroken stretches, each a list of samples in time order."""
        for stretch in self._stretches:
            yield [sample for column in stretch for sample in column.samples()]

    @property
    def values(self) -> list[float]:
        """All values that are kept."""
        return [value for line in self.lines() for _, value in line]
