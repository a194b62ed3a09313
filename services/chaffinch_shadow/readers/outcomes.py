"""What the words of a verdict mean."""

from dataclasses import dataclass

from chaffinch_shadow.errors import InputError

_NO, _YES = ("0", "false", "0.0", "no", "f"), ("1", "true", "1.0", "yes", "t")


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The vocabulary of verdicts.

    Attributes:
        grades: words in order of severity; empty for plain 0 and 1.
        positive: those that count as 1.

    """

    grades: tuple[str, ...] = ()
    positive: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, outcomes: str, positive: str) -> "Outcomes":
        """Return the vocabulary of comma-separated words; InputError when they make none."""
        grades = tuple(word.strip().lower() for word in outcomes.split(",") if word.strip())
        chosen = frozenset(word.strip().lower() for word in positive.split(",") if word.strip())
        if not grades and not chosen:
            return cls()
        if len(grades) < 2 or len(set(grades)) < len(grades):
            raise InputError(f'--outcomes must name two different outcomes or more, got "{outcomes}"')
        if not chosen:
            raise InputError("--outcomes needs --positive: say which of them count as a detection")
        if chosen - set(grades) or len(chosen) == len(grades):
            raise InputError(
                f'--positive must name some, not all, of the outcomes {", ".join(grades)}; got "{positive}"'
            )
        return cls(grades, chosen)

    @property
    def allowed(self) -> str:
        """The words, for a message."""
        return f"one of {', '.join(self.grades)}" if self.grades else "0 or 1 (or false, true)"

    def bit(self, word: str) -> int | None:
        """Return 1 for a detection, 0 for none, None for a word that means nothing."""
        plain = word.strip().lower()
        if plain in self.grades:
            return int(plain in self.positive)
        return 0 if plain in _NO else 1 if plain in _YES else None

    def grade(self, word: str) -> int | None:
        """Return the place of a word among the grades."""
        plain = word.strip().lower()
        return self.grades.index(plain) if plain in self.grades else None
