"""Guardrails on what the verdicts do not say: errors and latency of both versions, and areas under the ROC curves."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from chaffinch_shadow.analysis.claims import Claim, claim, of_pairs, tails
from chaffinch_shadow.analysis.question import AUC, ERROR_RATE, LATENCY_P99, Design, Guardrail, Question
from chaffinch_stats.binomial import log_tail
from chaffinch_stats.mixture_bounds import log_proportion_mixture
from chaffinch_stats.paired import Cells, NotAvailable, Pairs
from chaffinch_stats.paired.auc import PairedAuc
from chaffinch_stats.paired.difference import difference
from chaffinch_stats.paired.metrics import VarianceOf

_SHARE = 0.99
_NO_SCORES = NotAvailable("no scores")
Bin = tuple[int, int, int]
"""Shortest and longest latency of a bin, microseconds, and how many answers took so long."""
TailP = Callable[[int, int], float]


class Latencies:
    """Latencies of one version as a histogram; an answer that never came took longer than any."""

    def __init__(self, bins: Iterable[Bin] = (), unanswered: int = 0) -> None:
        ordered = sorted(each for each in bins if each[2])
        self.lower, self.upper = [low for low, _, _ in ordered], [high for _, high, _ in ordered]
        self._sums = [0, *accumulate(count for _, _, count in ordered)]
        self.total = self._sums[-1] + unanswered

    def at_most(self, micros: float) -> int:
        """Return how many may have taken so long or less: whole bins count."""
        return self.total if math.isinf(micros) else self._sums[bisect_right(self.lower, micros)]

    def below(self, micros: float) -> int:
        """Return how many have certainly taken less: only whole bins count."""
        return self._sums[bisect_left(self.upper, micros)]

    @property
    def p99(self) -> float:
        """The upper limit of the bin of the 99th percentile; inf where too many answers never came."""
        place = bisect_left(self._sums, _SHARE * self.total) - 1
        return float(self.upper[place]) if 0 <= place < len(self.upper) else math.inf


@dataclass(frozen=True, slots=True)
class Observed:
    """What both versions were seen to do, beside their verdicts.

    Attributes:
        errors: pairs of failed answers, or None where nobody counted them.
        control: latencies.
        candidate: latencies.

    """

    errors: Pairs | None = None
    control: Latencies | None = None
    candidate: Latencies | None = None


NOTHING = Observed()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What guardrails are held against."""

    cells: Cells
    auc: PairedAuc | NotAvailable = _NO_SCORES
    observed: Observed = NOTHING
    variance_of: VarianceOf | None = None


def guard(guardrail: Guardrail, evidence: Evidence, question: Question) -> Claim | NotAvailable:
    """Return what the evidence says of a guardrail."""
    if guardrail.metric == ERROR_RATE:
        return _errors(guardrail.limit, evidence.observed.errors, question)
    if guardrail.metric == LATENCY_P99:
        return _latency(guardrail.limit, evidence.observed, question)
    if guardrail.metric == AUC:
        return _area(guardrail.limit, evidence, question)
    return claim(guardrail.metric, guardrail.limit, evidence.cells, question, evidence.variance_of)


def _errors(limit: float, errors: Pairs | None, question: Question) -> Claim | NotAvailable:
    if errors is None:
        return NotAvailable("nobody counted errors here")
    harm = difference(errors)
    return harm if isinstance(harm, NotAvailable) else of_pairs(ERROR_RATE, limit, float(harm), errors, question)


def _area(limit: float, evidence: Evidence, question: Question) -> Claim | NotAvailable:
    auc = evidence.auc
    if isinstance(auc, NotAvailable):
        return auc
    if evidence.variance_of is not None:
        return NotAvailable("DeLong's variance is of independent requests, and these are clustered")
    if auc.standard_error == 0.0:
        return NotAvailable("the areas have no variance in these scores")
    off = 2.0 * auc.error_bound
    harm = -auc.difference
    worse, _ = tails((harm - off - limit) / auc.standard_error, evidence.cells.total, question)
    _, within = tails((harm + off - limit) / auc.standard_error, evidence.cells.total, question)
    return Claim(AUC, limit, harm, worse, within)


def _latency(ratio: float, observed: Observed, question: Question) -> Claim | NotAvailable:
    control, candidate = observed.control, observed.candidate
    if control is None or candidate is None or not control.total or not candidate.total:
        return NotAvailable("there are no latencies of both versions")
    if math.isinf(control.p99):
        return NotAvailable("more than one in a hundred answers of the control never came")
    high, low = _tests(question)
    seen = candidate.p99 / max(1.0, control.p99)
    return Claim(
        LATENCY_P99, ratio, seen, _worse(ratio, control, candidate, high, low),
        _within(ratio, control, candidate, high, low),
    )  # fmt: skip


def _within(ratio: float, control: Latencies, candidate: Latencies, high: TailP, low: TailP) -> float:
    """Return a p of "the candidate's percentile is at least `ratio` times the control's".

    Were it so, then for the x that is the control's percentile both "the control's is at most x" and "the candidate's
    is at least ratio*x" would hold. So for every x one of two p-values must be small; twice the lesser, for the two are
    of the same requests. Between the limits of bins nothing changes but for the worse.
    """
    places = [0.0, *map(float, control.lower), math.inf]

    def p_values(x: float) -> tuple[float, float]:
        rising = low(control.at_most(x), control.total)
        return rising, high(candidate.below(ratio * x), candidate.total)

    return _doubled(places, p_values)


def _worse(ratio: float, control: Latencies, candidate: Latencies, high: TailP, low: TailP) -> float:
    """Return a p of "the candidate's percentile is at most `ratio` times the control's"; as `_within`, mirrored."""
    places = [*map(float, control.upper), math.inf]

    def p_values(x: float) -> tuple[float, float]:
        rising = low(candidate.at_most(ratio * x), candidate.total)
        return rising, high(control.below(x), control.total)

    return _doubled(places, p_values)


def _doubled(places: Sequence[float], p_values: Callable[[float], tuple[float, float]]) -> float:
    """Return twice the greatest lesser of a rising and a falling p-value: where they cross."""
    first, last = 0, len(places) - 1
    while first < last:
        middle = (first + last) // 2
        rising, falling = p_values(places[middle])
        first, last = (first, middle) if rising >= falling else (middle + 1, last)
    return min(1.0, 2.0 * max(min(p_values(x)) for x in places[max(0, first - 1) : first + 1]))


def _tests(question: Question) -> tuple[TailP, TailP]:
    """Return p-values of "at most, at least 99 % are below" for a count below and a total: exact, or at any time."""
    if question.design is Design.FIXED_N:
        return (
            lambda below, total: math.exp(log_tail(below, total, _SHARE)),
            lambda below, total: math.exp(log_tail(total - below, total, 1.0 - _SHARE)),
        )

    def at_any_time(below: int, total: int, *, more: bool) -> float:
        if more != (below > _SHARE * total):
            return 1.0
        return math.exp(-max(0.0, log_proportion_mixture(below, total, _SHARE, question.planned, question.alpha)))

    return (
        lambda below, total: at_any_time(below, total, more=True),
        lambda below, total: at_any_time(below, total, more=False),
    )
