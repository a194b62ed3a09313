"""What the labels of an evaluation are worth: how many there are, which count, and whether they can be trusted.

Discordant pairs tell which version is better and are all to be labelled. Concordant pairs are labelled at random, each
with the audit's rate; their counts are divided by that rate, so that rates over all traffic are unbiased. Labels that
exist only for what was detected would make every missed attack invisible (verification bias): nothing is concluded.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from chaffinch_shadow.collect.tally import Tally, total

SILENT_NEEDED = 30
"""Pairs without any detection from which on it is no accident that none of them has a label."""


class LabelState(StrEnum):
    """What is known of one pair's label."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    CONTRADICTORY = "contradictory"
    LATE = "late"
    MISSING = "missing"
    PENDING = "pending"


_COUNTED = {LabelState.POSITIVE: 1, LabelState.NEGATIVE: 0}


@dataclass(frozen=True, slots=True)
class Group:
    """So many pairs of one kind; verdicts: 2*control + candidate."""

    stratum: str
    verdicts: int
    audited: bool
    state: LabelState
    pairs: int

    @property
    def concordant(self) -> bool:
        """Both versions said the same."""
        return self.verdicts in {0, 3}


@dataclass(frozen=True, slots=True)
class LabelReport:
    """The labels of an evaluation.

    Attributes:
        tally: cells and unlabelled pairs by stratum.
        weighted: eight estimated counts over all traffic, or None without an audit.
        states: pairs by state of their label.
        maturity: share of the pairs that are due a label and have one, or None when none is due.
        only_for_detections: labels exist only where a version detected something.

    """

    tally: Tally
    weighted: tuple[Fraction, ...] | None
    states: dict[LabelState, int]
    maturity: Fraction | None
    only_for_detections: bool


def report(groups: Iterable[Group], audit_rate: Fraction | None) -> LabelReport:
    """Return what the labels are worth, from counts of pairs."""
    listed = list(groups)
    states = {state: sum(g.pairs for g in listed if g.state is state) for state in LabelState}
    return LabelReport(
        total(_counts(group) for group in listed),
        None if audit_rate is None else _weighted(listed, audit_rate),
        states,
        _maturity(listed, audit_rate),
        _only_for_detections(listed),
    )


def _counts(group: Group) -> Tally:
    if group.pairs == 0:
        return Tally()
    if group.state in _COUNTED:
        return Tally({("cell", group.stratum, str(4 * _COUNTED[group.state] + group.verdicts)): group.pairs})
    return Tally({("unlabelled", group.stratum, str(group.verdicts)): group.pairs})


def _weighted(groups: list[Group], rate: Fraction) -> tuple[Fraction, ...]:
    cells = [Fraction(0)] * 8
    for group in groups:
        if group.state in _COUNTED and (group.audited or not group.concordant):
            weight = 1 / rate if group.concordant else Fraction(1)
            cells[4 * _COUNTED[group.state] + group.verdicts] += group.pairs * weight
    return tuple(cells)


def _maturity(groups: list[Group], rate: Fraction | None) -> Fraction | None:
    """Of what is asked for: everything, or with an audit the discordant and the audited pairs."""
    asked = [g for g in groups if rate is None or g.audited or not g.concordant]
    due = sum(g.pairs for g in asked if g.state is not LabelState.PENDING)
    return Fraction(sum(g.pairs for g in asked if g.state in _COUNTED), due) if due else None


def _only_for_detections(groups: list[Group]) -> bool:
    silent = [g for g in groups if g.verdicts == 0]
    known = sum(g.pairs for g in groups if g.verdicts != 0 and g.state in _COUNTED)
    due = sum(g.pairs for g in silent if g.state is not LabelState.PENDING)
    return known > 0 and due >= SILENT_NEEDED and not any(g.pairs for g in silent if g.state in _COUNTED)
