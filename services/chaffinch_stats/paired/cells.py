"""Counts of requests that both versions saw: eight integers, and the smaller tables that tests are made of.

A cell's index is 4*label + 2*control + candidate, each 0 or 1. Tables add up, in any order and grouping, exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from chaffinch_stats.checks import require_count

CELLS = 8


@dataclass(frozen=True, slots=True)
class Pairs:
    """A yes/no event that was observed under both versions, request by request.

    Attributes:
        neither: under none of them.
        candidate_only: under the candidate alone.
        control_only: under the control alone.
        both: under both.

    Raises:
        TypeError: counts that are not integers.
        ValueError: negative counts.

    """

    neither: int
    candidate_only: int
    control_only: int
    both: int

    def __post_init__(self) -> None:
        for field in ("neither", "candidate_only", "control_only", "both"):
            require_count(getattr(self, field), field)

    def __add__(self, other: "Pairs") -> "Pairs":
        return Pairs(
            self.neither + other.neither,
            self.candidate_only + other.candidate_only,
            self.control_only + other.control_only,
            self.both + other.both,
        )

    @property
    def total(self) -> int:
        """All requests."""
        return self.neither + self.candidate_only + self.control_only + self.both

    @property
    def discordant(self) -> int:
        """Requests on which the versions differ."""
        return self.candidate_only + self.control_only

    @property
    def control(self) -> int:
        """Requests with the event under the control."""
        return self.control_only + self.both

    @property
    def candidate(self) -> int:
        """Requests with the event under the candidate."""
        return self.candidate_only + self.both

    @property
    def swapped(self) -> "Pairs":
        """The same with control and candidate exchanged."""
        return Pairs(self.neither, self.control_only, self.candidate_only, self.both)


@dataclass(frozen=True, slots=True)
class Confusion:
    """One version against the labels: counts, or counts weighted to a prevalence."""

    tp: Fraction
    fn: Fraction
    fp: Fraction
    tn: Fraction


@dataclass(frozen=True, slots=True)
class Cells:
    """Counts by label, control and candidate; shape (8,), index 4*label + 2*control + candidate.

    Raises:
        TypeError: counts that are not integers.
        ValueError: negative counts, or not eight of them.

    """

    counts: tuple[int, ...] = (0,) * CELLS

    def __post_init__(self) -> None:
        if len(self.counts) != CELLS:
            raise ValueError(
                f"cells must be {CELLS} counts (index 4*label + 2*control + candidate), got {len(self.counts)}"
            )
        for index, count in enumerate(self.counts):
            require_count(count, f"cell {index}")

    @classmethod
    def of(cls, counts: Sequence[int]) -> "Cells":
        """Return the cells of any sequence of eight integers."""
        return cls(tuple(counts))

    def __add__(self, other: "Cells") -> "Cells":
        return Cells(tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)))

    @property
    def total(self) -> int:
        """All requests."""
        return sum(self.counts)

    @property
    def swapped(self) -> "Cells":
        """The same with control and candidate exchanged."""
        c = self.counts
        return Cells((c[0], c[2], c[1], c[3], c[4], c[6], c[5], c[7]))

    def of_label(self, label: int) -> Pairs:
        """Return verdicts of 1 among the requests of one label: detections for label 1, false alarms for label 0."""
        neither, candidate_only, control_only, both = self.counts[4 * label : 4 * label + 4]
        return Pairs(neither, candidate_only, control_only, both)

    def with_label(self, label: int) -> int:
        """Return the number of requests of a label."""
        return sum(self.counts[4 * label : 4 * label + 4])

    @property
    def verdicts(self) -> Pairs:
        """Verdicts of 1 whatever the label: agreement, for which no label is needed."""
        return self.of_label(0) + self.of_label(1)

    @property
    def correct(self) -> Pairs:
        """Right verdicts, over both labels."""
        c = self.counts
        return Pairs(c[4] + c[3], c[5] + c[2], c[6] + c[1], c[7] + c[0])

    @property
    def lost(self) -> int:
        """Detections of the control that the candidate does not make."""
        return self.counts[6]

    @property
    def gained(self) -> int:
        """Detections of the candidate that the control does not make."""
        return self.counts[5]

    def confusion(
        self, *, candidate: bool, weights: tuple[Fraction, Fraction] = (Fraction(1), Fraction(1))
    ) -> Confusion:
        """Return one version against the labels; `weights` multiply the counts of label 0 and of label 1."""
        benign, attack = self.of_label(0), self.of_label(1)
        alarms, detections = (benign.candidate, attack.candidate) if candidate else (benign.control, attack.control)
        low, high = weights
        return Confusion(
            detections * high, (attack.total - detections) * high, alarms * low, (benign.total - alarms) * low
        )
