"""The whole analysis of rows, or of cells alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from chaffinch_shadow.analysis import bootstrap, delong
from chaffinch_shadow.analysis.claims import Claim, claim
from chaffinch_shadow.analysis.comparison import Comparisons, Context, Stratum, compare, strata
from chaffinch_shadow.analysis.observed import NOTHING, Evidence, Observed, guard
from chaffinch_shadow.analysis.question import Aim, Question
from chaffinch_shadow.analysis.rows import Grades, Rows, count, square_table
from chaffinch_shadow.analysis.verdict import Coverage, Reason, Verdict, decide
from chaffinch_stats.paired import Cells, Estimate, Metric, NotAvailable, Pairs
from chaffinch_stats.paired.agreement import Kappa, kappa
from chaffinch_stats.paired.auc import PairedAuc
from chaffinch_stats.paired.metrics import estimate
from chaffinch_stats.paired.square import SquareTests, square_tests

EXACT_AUC_UP_TO = 2_000_000
"""Rows above which areas come from histograms, with a bound, unless asked otherwise."""

SEED = 1
Resampling = Mapping[Metric, bootstrap.Resampled | NotAvailable]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike the versions are, for which no label is needed.

    Attributes:
        requests: all of them, labelled or not.
        differing: on which the verdicts, or grades, differ.
        kappa: of the verdicts, or grades.
        weighted: linearly weighted kappa of grades, or None for two outcomes.
        tests: of grades, or None for two outcomes.
        names: of the grades.

    """

    requests: int
    differing: int
    kappa: Kappa | NotAvailable
    weighted: Kappa | NotAvailable | None = None
    tests: SquareTests | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the counts say to the question.

    Attributes:
        hypothesis: claim on the primary metric.
        guardrails: claims on the guardrails, in their order.
        verdict: what to do.
        reasons: why.

    """

    hypothesis: Claim | NotAvailable
    guardrails: tuple[Claim | NotAvailable, ...]
    verdict: Verdict
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Analysis:
    """All that is known, and what follows from it.

    Attributes:
        question: what was asked.
        cells: counts of the labelled requests.
        coverage: how complete they are.
        comparisons: the tests.
        metrics: all of them.
        resampled: bootstrap limits of the differences.
        auc: areas under the ROC curves, or why there are none.
        agreement: over all requests.
        strata: parts.
        judged: the claims and what follows from them.

    """

    question: Question
    cells: Cells
    coverage: Coverage
    comparisons: Comparisons
    metrics: tuple[Estimate, ...]
    resampled: Resampling
    auc: PairedAuc | NotAvailable
    agreement: Agreement
    strata: tuple[Stratum, ...]
    judged: Judgement

    @property
    def verdict(self) -> Verdict:
        """What to do."""
        return self.judged.verdict

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why."""
        return self.judged.reasons


@dataclass(frozen=True, slots=True)
class _Found:
    """What an analysis rests on, from rows or from cells."""

    cells: Cells
    coverage: Coverage
    context: Context
    auc: PairedAuc | NotAvailable
    agreement: Agreement
    strata: tuple[Stratum, ...] = ()
    observed: Observed = NOTHING


def analyse_cells(cells: Cells, question: Question, *, expected: int | None = None, seed: int = SEED) -> Analysis:
    """Return the analysis of eight counts; areas, clusters, strata and times are beyond them."""
    coverage, auc = Coverage(cells.total, cells.total, expected), NotAvailable("cells hold no scores")
    found = _Found(cells, coverage, Context(), auc, _agreement(cells.verdicts, None))
    return _conclude(found, question, seed)


def analyse_rows(
    rows: Rows,
    question: Question,
    *,
    expected: int | None = None,
    seed: int = SEED,
    exact_auc: bool | None = None,
    observed: Observed = NOTHING,
) -> Analysis:
    """Return the analysis of rows; `exact_auc` None leaves the choice to the number of rows.

    observed: errors and latency, which rows do not tell.
    """
    cells, unlabelled = count(rows.label, rows.control, rows.candidate), Pairs(*rows.unlabelled)
    exact = len(rows.label) <= EXACT_AUC_UP_TO if exact_auc is None else exact_auc
    found = _Found(
        cells,
        Coverage(cells.total, cells.total + unlabelled.total, expected),
        Context(rows),
        _auc(rows, exact=exact),
        _agreement(cells.verdicts + unlabelled, rows.grades),
        () if rows.stratum is None else strata(rows, rows.stratum),
        observed,
    )
    return _conclude(found, question, seed)


def judge(evidence: Evidence, question: Question, coverage: Coverage) -> Judgement:
    """Return the claims and the verdict, without all that is only shown."""
    cells, variance_of = evidence.cells, evidence.variance_of
    limit = question.margin if question.aim is Aim.NON_INFERIORITY else -question.margin
    hypothesis = claim(question.metric, limit, cells, question, variance_of)
    guardrails = tuple(guard(each, evidence, question) for each in question.guardrails)
    verdict, reasons = decide(question, cells, coverage, hypothesis, guardrails)
    return Judgement(hypothesis, guardrails, verdict, reasons)


def _conclude(found: _Found, question: Question, seed: int) -> Analysis:
    cells, variance = found.cells, found.context.variance_of()
    judged = judge(Evidence(cells, found.auc, found.observed, variance), question, found.coverage)
    alpha, prevalence = question.alpha, question.prevalence
    return Analysis(
        question,
        cells,
        found.coverage,
        compare(cells, found.context),
        tuple(estimate(m, cells, alpha=alpha, prevalence=prevalence, variance_of=variance) for m in Metric),
        _resampled(cells, question, seed, clustered=variance is not None),
        found.auc,
        found.agreement,
        found.strata,
        judged,
    )


def _resampled(cells: Cells, question: Question, seed: int, *, clustered: bool) -> Resampling:
    if clustered:
        return dict.fromkeys(Metric, NotAvailable("cells of clustered requests are not multinomial"))
    return bootstrap.differences(cells, question.alpha, seed, prevalence=question.prevalence)


def _auc(rows: Rows, *, exact: bool) -> PairedAuc | NotAvailable:
    if rows.scores is None:
        return NotAvailable("no scores")
    return (delong.exact if exact else delong.binned)(rows.label, rows.scores)


def _agreement(verdicts: Pairs, grades: Grades | None) -> Agreement:
    if grades is None:
        table = [[verdicts.neither, verdicts.candidate_only], [verdicts.control_only, verdicts.both]]
        return Agreement(verdicts.total, verdicts.discordant, kappa(table))
    graded = square_table(grades)
    total, same = sum(map(sum, graded)), sum(graded[i][i] for i in range(len(graded)))
    return Agreement(total, total - same, kappa(graded), kappa(graded, "Linear"), square_tests(graded), grades.names)
