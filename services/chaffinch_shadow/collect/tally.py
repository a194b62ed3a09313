"""Counts that add up: one mapping from keys to whole numbers, so any order, split and grouping gives the same sum.

A shard's state is named by (evaluation, generation, shard) and grows with its progress. Of two states of one shard the
further one counts, so repeating a shard changes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson

Key = tuple[str, ...]
CELLS, PAIRS = 8, 4


@dataclass(frozen=True, slots=True)
class Tally:
    """A commutative monoid: `+` with `Tally()` as zero. Counts are exact at any size; none is stored as 0.

    Keys are `(cell, stratum, 0..7)` for 4*label + 2*control + candidate, `(unlabelled, stratum, 0..3)`,
    `(error, 0..3)`, `(differing, 0..3)` and `(disagreeing, 0..3)` for 2*noise + candidate, `(latency, version, bin)`,
    `(paired, size)`, `(dropped, reason, size)`, `(label, what)`.
    """

    counts: Mapping[Key, int] = field(default_factory=dict)

    def __add__(self, other: "Tally") -> "Tally":
        return total((self, other))

    def numbers(self, *prefix: str, width: int) -> tuple[int, ...]:
        """Return the counts of the keys `prefix + (0 .. width-1)`."""
        return tuple(self.counts.get((*prefix, str(place)), 0) for place in range(width))

    def under(self, *prefix: str) -> dict[Key, int]:
        """Return the counts below a prefix, by the rest of their keys, in order."""
        found = {key[len(prefix) :]: n for key, n in self.counts.items() if key[: len(prefix)] == prefix}
        return dict(sorted(found.items()))

    @property
    def strata(self) -> tuple[str, ...]:
        """The strata that have a cell or an unlabelled pair."""
        return tuple(sorted({key[1] for key in self.counts if key[0] in {"cell", "unlabelled"}}))

    @property
    def cells(self) -> tuple[int, ...]:
        """The eight counts over all strata."""
        return self._over_strata("cell", CELLS)

    @property
    def unlabelled(self) -> tuple[int, ...]:
        """The four counts of pairs without a label over all strata."""
        return self._over_strata("unlabelled", PAIRS)

    def _over_strata(self, what: str, width: int) -> tuple[int, ...]:
        each = [self.numbers(what, stratum, width=width) for stratum in self.strata]
        return tuple(map(sum, zip(*each, strict=True))) if each else (0,) * width

    def to_json(self) -> bytes:
        """Return the one text of these counts; numbers are strings, for they may exceed 2^53."""
        return orjson.dumps([[*key, str(n)] for key, n in sorted(self.counts.items())])

    @classmethod
    def from_json(cls, text: bytes | str) -> "Tally":
        """Return the counts of a text. ValueError when it is damaged."""
        try:
            lines = orjson.loads(text)
            counts = {tuple(map(_text, line[:-1])): int(_text(line[-1])) for line in lines}
        except (orjson.JSONDecodeError, TypeError, IndexError, ValueError) as problem:
            raise ValueError(f"the counts are damaged: {problem}") from problem
        if len(counts) != len(lines) or any(n <= 0 for n in counts.values()):
            raise ValueError("the counts are damaged: a key is there twice, or a count is not positive")
        return cls(counts)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def one(*key: str) -> Tally:
    """Return a count of one."""
    return Tally({key: 1})


def total(tallies: Iterable[Tally]) -> Tally:
    """Return the sum."""
    counts: dict[Key, int] = {}
    for tally in tallies:
        for key, n in tally.counts.items():
            counts[key] = counts.get(key, 0) + n
    return Tally(counts)


class ContradictionError(ValueError):
    """Two states claim the same progress of one shard with different counts."""


@dataclass(frozen=True, slots=True)
class ShardKey:
    """Names a shard's state."""

    evaluation: str
    generation: int
    shard: str


@dataclass(frozen=True, slots=True)
class ShardState:
    """A shard's counts after `progress` records; done: there are no more."""

    progress: int
    done: bool
    tally: Tally

    def joined(self, other: "ShardState") -> "ShardState":
        """Return the further state.

        Raises:
            ContradictionError: equal progress, different counts.

        """
        if (self.progress, self.done) != (other.progress, other.done):
            return max(self, other, key=lambda state: (state.done, state.progress))
        if self.tally != other.tally:
            raise ContradictionError(f"two states after {self.progress} records have different counts")
        return self


def merge(states: Iterable[tuple[ShardKey, ShardState]], evaluation: str, generation: int) -> Tally:
    """Return the sum over the distinct shards of one evaluation's generation, whatever the order and repetition."""
    latest: dict[ShardKey, ShardState] = {}
    for key, state in states:
        if (key.evaluation, key.generation) == (evaluation, generation):
            latest[key] = latest[key].joined(state) if key in latest else state
    return total(state.tally for state in latest.values())
