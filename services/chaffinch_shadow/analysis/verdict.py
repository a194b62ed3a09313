"""Promote, Hold, Reject or Inconclusive, with every reason as data.

Damaged evidence decides nothing, but that errors and latency, which need neither labels nor all of the requests, still
reject. A guardrail that is breached, or a hypothesis that is refuted, rejects. Promotion
needs every guardrail shown to be kept (each at alpha: all must hold, so nothing is to be corrected) and the hypothesis
shown. Breaches are told by Holm's correction over the guardrails, so a harmless candidate is rejected for any of them
with probability at most alpha. Lost detections hold a candidate whatever it gains.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from chaffinch_shadow.analysis.claims import Claim
from chaffinch_shadow.analysis.question import LATENCY_P99, LOST_DETECTIONS, WITHOUT_LABELS, Aim, Question
from chaffinch_stats.paired import Cells, NotAvailable
from chaffinch_stats.paired.multiplicity import holm


class Verdict(StrEnum):
    """What to do with the candidate."""

    PROMOTE = "Promote"
    HOLD = "Hold"
    REJECT = "Reject"
    INCONCLUSIVE = "Inconclusive"


class Kind(StrEnum):
    """Why, in one word."""

    NO_LABELS = "NoLabels"
    LABELS_IMMATURE = "LabelsImmature"
    COVERAGE_LOW = "CoverageLow"
    NOT_AVAILABLE = "MetricNotAvailable"
    GUARDRAIL_BREACHED = "GuardrailBreached"
    GUARDRAIL_UNDECIDED = "GuardrailUndecided"
    GUARDRAIL_KEPT = "GuardrailKept"
    HYPOTHESIS_SHOWN = "HypothesisShown"
    HYPOTHESIS_REFUTED = "HypothesisRefuted"
    HYPOTHESIS_UNDECIDED = "HypothesisUndecided"
    DETECTIONS_LOST = "DetectionsLost"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason, with the numbers it rests on.

    Attributes:
        kind: the word.
        message: a sentence.
        metric: the metric it is about, or None.
        value: what was observed, or None.
        limit: what it was held against, or None.
        p: the p-value of the claim, or None.

    """

    kind: Kind
    message: str
    metric: str | None = None
    value: float | None = None
    limit: float | None = None
    p: float | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of what should be there is there.

    Attributes:
        labelled: requests with a label.
        requests: requests in the data.
        expected: requests that should be in the data, or None if nobody knows.

    """

    labelled: int
    requests: int
    expected: int | None = None


def decide(
    question: Question,
    cells: Cells,
    coverage: Coverage,
    hypothesis: Claim | NotAvailable,
    guardrails: Sequence[Claim | NotAvailable],
) -> tuple[Verdict, tuple[Reason, ...]]:
    """Return the verdict and its reasons, the deciding ones first.

    Args:
        question: what was asked.
        cells: the counts.
        coverage: how complete they are.
        hypothesis: the claim on the primary metric.
        guardrails: the claims on the guardrails, in the order of the question.

    """
    damage = tuple(_damage(question, cells, coverage))
    of_guardrails = _guardrails(question, guardrails)
    others = (*of_guardrails, _hypothesis(question, hypothesis), *_losses(question, cells))
    kinds = {reason.kind for reason in others}
    if damage:
        plain = tuple(one for one in of_guardrails if needs_no_label(one))
        rest = tuple(one for one in others if one not in plain)
        return (Verdict.REJECT if plain else Verdict.INCONCLUSIVE), plain + damage + rest
    for verdict, deciding in (
        (Verdict.REJECT, {Kind.GUARDRAIL_BREACHED, Kind.HYPOTHESIS_REFUTED}),
        (Verdict.INCONCLUSIVE, {Kind.NOT_AVAILABLE, Kind.GUARDRAIL_UNDECIDED, Kind.HYPOTHESIS_UNDECIDED}),
        (Verdict.HOLD, {Kind.DETECTIONS_LOST} if _needs_eyes(question, cells) else set()),
    ):
        if kinds & deciding:
            return verdict, tuple(sorted(others, key=lambda reason: reason.kind not in deciding))
    return Verdict.PROMOTE, others


def needs_no_label(reason: Reason) -> bool:
    """Whether a reason rejects whatever is missing: a breach that is seen in the answers alone."""
    return reason.kind is Kind.GUARDRAIL_BREACHED and reason.metric in WITHOUT_LABELS


def _damage(question: Question, cells: Cells, coverage: Coverage) -> Iterable[Reason]:
    if cells.total == 0:
        yield Reason(Kind.NO_LABELS, "No request has a label, so neither version can be called right.")
    elif coverage.labelled < question.min_labelled * coverage.requests:
        share = coverage.labelled / coverage.requests
        yield Reason(
            Kind.LABELS_IMMATURE,
            f"{share:.2%} of the requests have a label, {question.min_labelled:.2%} are asked for: wait for labels.",
            value=share,
            limit=question.min_labelled,
        )
    if coverage.expected is not None and coverage.requests < question.min_coverage * coverage.expected:
        share = coverage.requests / coverage.expected
        yield Reason(
            Kind.COVERAGE_LOW,
            f"{coverage.requests:,} of {coverage.expected:,} requests are in the data ({share:.2%}), "
            f"{question.min_coverage:.2%} are asked for: what is missing may be what matters.",
            value=share,
            limit=question.min_coverage,
        )


def _guardrails(question: Question, claims: Sequence[Claim | NotAvailable]) -> tuple[Reason, ...]:
    known = [each for each in claims if isinstance(each, Claim)]
    adjusted = iter(holm([each.p_worse for each in known]))
    found = []
    for guardrail, each in zip(question.guardrails, claims, strict=True):
        if isinstance(each, NotAvailable):
            found.append(_not_available(f"guardrail {guardrail.metric}", guardrail.metric, each))
        else:
            found.append(_guardrail(each, next(adjusted), question.alpha))
    return tuple(found)


def _guardrail(claim: Claim, p_worse: float, alpha: float) -> Reason:
    seen = f"{claim.metric} got {_change(claim.harm)}; at most {claim.limit:g} worse is allowed"
    if claim.metric == LATENCY_P99:
        seen = f"{claim.metric} is {_times(claim.harm)}; at most {claim.limit:g} times the control's is allowed"
    if p_worse <= alpha:
        return Reason(
            Kind.GUARDRAIL_BREACHED, f"{seen}, and it is more (p {p_worse:.3g}).",
            claim.metric, claim.harm, claim.limit, p_worse,
        )  # fmt: skip
    kept = claim.p_within <= alpha or (claim.metric == LOST_DETECTIONS and claim.limit == claim.harm == 0.0)
    kind, words = (Kind.GUARDRAIL_KEPT, "and it is less") if kept else (Kind.GUARDRAIL_UNDECIDED, "not yet shown")
    return Reason(
        kind, f"{seen}, {words} (p {claim.p_within:.3g}).", claim.metric, claim.harm, claim.limit, claim.p_within
    )


def _times(ratio: float) -> str:
    if math.isinf(ratio):
        return "without end, for more than one in a hundred answers of the candidate never came"
    return f"{ratio:.3g} times the control's"


def _change(harm: float) -> str:
    return (
        f"worse by {harm:.4g}" if harm > 0.0 else f"better by {-harm:.4g}" if harm < 0.0 else "neither better nor worse"
    )


def _hypothesis(question: Question, claim: Claim | NotAvailable) -> Reason:
    if isinstance(claim, NotAvailable):
        return _not_available(f"the primary metric {question.metric}", question.metric, claim)
    wanted = (
        f"worse by less than {question.margin:g}"
        if question.aim is Aim.NON_INFERIORITY
        else f"better by more than {question.margin:g}"
    )
    seen = f"{question.metric} got {_change(claim.harm)}"
    limit = claim.limit
    if claim.p_within <= question.alpha:
        message = f"{seen}: shown to be {wanted} (p {claim.p_within:.3g})."
        return Reason(Kind.HYPOTHESIS_SHOWN, message, question.metric, claim.harm, limit, claim.p_within)
    if claim.p_worse <= question.alpha:
        message = f"{seen}: shown not to be {wanted} (p {claim.p_worse:.3g})."
        return Reason(Kind.HYPOTHESIS_REFUTED, message, question.metric, claim.harm, limit, claim.p_worse)
    message = f"{seen}: not shown to be {wanted} (p {claim.p_within:.3g}); more discordant requests are needed."
    return Reason(Kind.HYPOTHESIS_UNDECIDED, message, question.metric, claim.harm, limit, claim.p_within)


def _not_available(what: str, metric: str, why: NotAvailable) -> Reason:
    return Reason(Kind.NOT_AVAILABLE, f"There is no value for {what}: {why.why}.", metric)


def _losses(question: Question, cells: Cells) -> Iterable[Reason]:
    if cells.lost:
        message = (
            f"{cells.lost:,} detections of the control are lost ({cells.gained:,} are gained): look at each of them."
        )
        limit = None if question.watches_losses else float(question.max_lost)
        yield Reason(Kind.DETECTIONS_LOST, message, "recall", float(cells.lost), limit)


def _needs_eyes(question: Question, cells: Cells) -> bool:
    return not question.watches_losses and cells.lost > question.max_lost
