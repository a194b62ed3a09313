"""How much of the traffic is in the comparison, and what damages the evidence."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from chaffinch_shadow.collect.labels import LabelReport
from chaffinch_shadow.collect.tally import Tally
from chaffinch_shadow.collect.words import Drop
from chaffinch_stats.paired import NotAvailable
from chaffinch_stats.paired.chi_square import sample_ratio

LEAST = Fraction(999, 1000)
"""Share of the copies below which nothing is concluded."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What became of the copies that arrived.

    Attributes:
        paired: with a pair, by class of body size.
        dropped: without one, by reason and class of body size.

    """

    paired: Mapping[str, int]
    dropped: Mapping[tuple[Drop, str], int]

    @classmethod
    def of(cls, tally: Tally) -> "Coverage":
        """Return the coverage that a tally counts."""
        paired = {key[0]: n for key, n in tally.under("paired").items()}
        return cls(paired, {(Drop(key[0]), key[1]): n for key, n in tally.under("dropped").items()})

    @property
    def pairs(self) -> int:
        """Copies with a pair."""
        return sum(self.paired.values())

    @property
    def received(self) -> int:
        """Copies that arrived."""
        return self.pairs + sum(self.dropped.values())

    @property
    def lost(self) -> int:
        """Copies that should have been compared and were not."""
        return sum(n for (reason, _), n in self.dropped.items() if reason.in_scope)

    @property
    def share(self) -> Fraction | None:
        """Pairs among all that should have been compared, or None without any."""
        asked = self.pairs + self.lost
        return Fraction(self.pairs, asked) if asked else None

    @property
    def by_reason(self) -> dict[Drop, int]:
        """Drops by reason, most first."""
        sums: dict[Drop, int] = {}
        for (reason, _), n in self.dropped.items():
            sums[reason] = sums.get(reason, 0) + n
        return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, slots=True)
class Damage:
    """Why nothing can be concluded: a word, and a sentence."""

    reason: str
    message: str


def damage(coverage: Coverage, labels: LabelReport, least: Fraction = LEAST) -> tuple[Damage, ...]:
    """Return everything that makes a verdict Inconclusive whatever the counts say."""
    found = []
    if coverage.share is not None and coverage.share < least:
        worst = ", ".join(f"{n:,} {reason}" for reason, n in coverage.by_reason.items() if reason.in_scope)
        asked = coverage.pairs + coverage.lost
        message = f"{coverage.pairs:,} of {asked:,} copies have a pair, {float(least):.1%} are needed; lost: {worst}."
        found.append(Damage("CoverageLow", message))
    if labels.only_for_detections:
        message = (
            "Only detections have labels, so missed attacks are invisible: label a random audit, labels.auditRate."
        )
        found.append(Damage("LabelsOnlyForDetections", message))
    return tuple(found)


RATIO_ALPHA = 0.001
"""Usual level of a sample-ratio test (Fabijan et al. 2019)."""


def ratio_p(coverage: Coverage, requests: int, share: Fraction) -> float | None:
    """Return the p-value of "this share of the requests was copied", by chi-square; None where all are to be copied."""
    copied = _copied(coverage)
    if share == 1 or copied > requests:
        return None
    test = sample_ratio((copied, requests - copied), (float(share), float(1 - share)))
    return None if isinstance(test, NotAvailable) else test.p


def ratio_damage(coverage: Coverage, requests: int, share: Fraction, least: Fraction = LEAST) -> tuple[Damage, ...]:
    """Return what is wrong if the copies are not the share of the requests that they should be."""
    copied, p = _copied(coverage), ratio_p(coverage, requests, share)
    if copied <= requests and (copied >= least * requests if p is None else p > RATIO_ALPHA):
        return ()
    message = f"{copied:,} of {requests:,} requests were copied where {float(share):.0%} were asked for"
    why = "copies are lost before they arrive, or the numbers are of another time"
    return (Damage("MirrorRatio", f"{message}: {why}."),)


def _copied(coverage: Coverage) -> int:
    """Return the copies that arrived, each request once."""
    return coverage.received - coverage.by_reason.get(Drop.DUPLICATE, 0)
