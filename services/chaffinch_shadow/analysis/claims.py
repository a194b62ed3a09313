"""Claims of the form "worse by more, or by less, than a limit", with a p-value for either side.

Harm is the change of a metric for the worse: candidate minus control where low is good, control minus candidate where
high is good.
"""

import math
from dataclasses import dataclass

from chaffinch_shadow.analysis.question import LOST_DETECTIONS, Design, Question
from chaffinch_stats.binomial import log_tail
from chaffinch_stats.paired import Cells, Metric, NotAvailable, Pairs
from chaffinch_stats.paired.difference import NO_REQUEST, margin_test
from chaffinch_stats.paired.metrics import VarianceOf, estimate, pairs_of
from chaffinch_stats.paired.sequential import always_valid_p
from chaffinch_stats.paired.tails import normal_upper


@dataclass(frozen=True, slots=True)
class Claim:
    """What the data say about a limit.

    Attributes:
        metric: name of the metric.
        limit: harm that divides the sides.
        harm: observed; above 0 is worse.
        p_worse: p of "harm is at most the limit": small when it is exceeded.
        p_within: p of "harm is at least the limit": small when it is kept.

    """

    metric: str
    limit: float
    harm: float
    p_worse: float
    p_within: float


def claim(
    metric: str, limit: float, cells: Cells, question: Question, variance_of: VarianceOf | None = None
) -> Claim | NotAvailable:
    """Return what the data say of a metric's harm against a limit (negative: must be better by so much).

    Rates of one label are judged by Tango's score, exactly where events are few; other metrics, and all of them for
    clustered requests, by the delta method. Looked at any time, by the asymptotic confidence sequence of either.
    """
    if metric == LOST_DETECTIONS:
        return _lost(limit, cells, question)
    name = Metric(metric)
    found = estimate(name, cells, alpha=question.alpha, prevalence=question.prevalence, variance_of=variance_of)
    if isinstance(found.difference, NotAvailable):
        return found.difference
    harm = -name.better_when * found.difference
    pairs = pairs_of(name, cells) if variance_of is None else None
    if pairs is not None:
        return of_pairs(name, limit, harm, pairs if name.better_when < 0 else pairs.swapped, question)
    if isinstance(found.standard_error, NotAvailable) or found.standard_error == 0.0:
        return NotAvailable("the delta method finds no variance in these counts")
    z = (harm - limit) / found.standard_error
    worse, within = tails(z, cells.total, question)
    return Claim(metric, limit, harm, worse, within)


def tails(z: float, requests: int, question: Question) -> tuple[float, float]:
    """Return p_worse and p_within of a standard normal statistic that grows with harm."""
    if question.design is Design.FIXED_N:
        return normal_upper(z), normal_upper(-z)
    worse, within = (always_valid_p(side, requests, question.alpha, float(question.planned)) for side in (z, -z))
    return worse, within


def of_pairs(metric: str, limit: float, harm: float, pairs: Pairs, question: Question) -> Claim | NotAvailable:
    """Return the claim on a rate of events that nobody wants, by Tango's score."""
    test = margin_test(pairs, limit)
    if isinstance(test, NotAvailable):
        return test
    if question.design is Design.FIXED_N:
        return Claim(metric, limit, harm, test.p_above, test.p_below)
    worse, within = tails(test.z, pairs.total, question)
    return Claim(metric, limit, harm, max(worse, test.p_above), max(within, test.p_below))


def _lost(limit: float, cells: Cells, question: Question) -> Claim | NotAvailable:
    """Return the claim on the share of attacks that only the control detects: a binomial, with exact tails."""
    attacks, lost = cells.with_label(1), cells.lost
    if attacks == 0:
        return NO_REQUEST
    share = lost / attacks
    if limit <= 0.0:
        return Claim(LOST_DETECTIONS, 0.0, share, 0.0 if lost else 1.0, 1.0)
    worse = math.exp(log_tail(lost, attacks, limit))
    within = 1.0 - math.exp(log_tail(lost + 1, attacks, limit)) if lost < attacks else 1.0
    if question.design is Design.ALWAYS_VALID:
        z = (lost - attacks * limit) / math.sqrt(attacks * limit * (1.0 - limit))
        at_any_time = tails(z, attacks, question)
        worse, within = max(worse, at_any_time[0]), max(within, at_any_time[1])
    return Claim(LOST_DETECTIONS, limit, share, worse, max(0.0, within))
