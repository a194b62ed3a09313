"""An analysis as plain data, for JSON. What is not available is the word NotAvailable, with why beside it."""

import math
from typing import TypeAlias

from chaffinch_shadow.analysis.analyse import Agreement, Analysis
from chaffinch_shadow.analysis.bootstrap import Resampled
from chaffinch_shadow.analysis.comparison import Comparison, Stratum
from chaffinch_shadow.analysis.question import LATENCY_P99, Guardrail
from chaffinch_shadow.analysis.verdict import Reason
from chaffinch_stats.paired import Estimate, NotAvailable, Pairs
from chaffinch_stats.paired.agreement import Kappa
from chaffinch_stats.paired.auc import PairedAuc
from chaffinch_stats.paired.chi_square import ChiSquare
from chaffinch_stats.paired.difference import difference, newcombe, tango
from chaffinch_stats.paired.mcnemar import ClusterRobust, McNemar
from chaffinch_stats.paired.sequential import log_e

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
NOT_AVAILABLE = "NotAvailable"


def document(of: Analysis) -> dict[str, Json]:
    """Return everything that the analysis says."""
    by_event = {"positive": of.comparisons.positive, "negative": of.comparisons.negative}
    losses = {
        "positive": {"lost": of.cells.lost, "gained": of.cells.gained},
        "negative": {"lost": of.cells.counts[1], "gained": of.cells.counts[2]},
    }
    alpha = of.question.alpha
    discordant = _discordant(of.comparisons.overall, alpha)
    mcnemar = _mcnemar(of.comparisons.overall)
    for name, comparison in by_event.items():
        discordant[name] = _discordant(comparison, alpha) | losses[name]
        mcnemar[name] = _mcnemar(comparison)
    return {
        "cells": list(of.cells.counts),
        "requests": of.coverage.requests,
        "labelled": of.coverage.labelled,
        "expected": of.coverage.expected,
        "question": _question(of),
        "discordant": discordant,
        "tests": {"mcnemar": mcnemar, **_graded(of.agreement)},
        "metrics": [_metric(each, of.resampled[each.metric]) for each in of.metrics],
        "auc": _auc(of.auc, alpha),
        "agreement": _agreement(of.agreement, alpha),
        "strata": [_stratum(each) for each in of.strata],
        "verdict": of.verdict.value,
        "reasons": [_reason(each) for each in of.reasons],
    }


def _question(of: Analysis) -> dict[str, Json]:
    asked = of.question
    return {
        "test": asked.aim.value,
        "metric": asked.metric.value,
        "margin": asked.margin,
        "alpha": asked.alpha,
        "design": asked.design.value,
        "prevalence": None if asked.prevalence is None else float(asked.prevalence),
        "guardrails": [_guardrail(each) for each in asked.guardrails],
    }


def _guardrail(of: Guardrail) -> Json:
    return {"metric": str(of.metric), "maxRatio" if of.metric == LATENCY_P99 else "maxIncrease": of.limit}


def _number(value: float | NotAvailable) -> Json:
    if isinstance(value, NotAvailable) or not math.isfinite(value):
        return NOT_AVAILABLE
    return value


def _limits(value: tuple[float, float] | NotAvailable) -> Json:
    return NOT_AVAILABLE if isinstance(value, NotAvailable) else list(value)


def _discordant(of: Comparison, alpha: float) -> dict[str, Json]:
    pairs = of.pairs
    gap = difference(pairs)
    return {
        "b": pairs.control_only,
        "c": pairs.candidate_only,
        "pMid": of.test.midp,
        "logEValue": log_e(pairs.control_only, pairs.candidate_only),
        "pAlwaysValid": of.evidence.p,
        "difference": NOT_AVAILABLE if isinstance(gap, NotAvailable) else float(gap),
        "newcombe": _limits(newcombe(pairs, alpha)),
        "tango": _limits(tango(pairs, alpha)),
    }


def _mcnemar(of: Comparison) -> dict[str, Json]:
    test: McNemar = of.test
    found: dict[str, Json] = {
        "exact": test.exact,
        "midp": test.midp,
        "chi2": _number(test.chi2),
        "chi2P": test.chi2_p,
        "chi2Corrected": _number(test.chi2_corrected),
        "chi2CorrectedP": test.chi2_corrected_p,
    }
    return found if of.clustered is None else found | {"clusterRobust": _clustered(of.clustered)}


def _clustered(of: ClusterRobust) -> Json:
    return {"clusters": of.clusters, "chi2": _number(of.chi2), "p": of.p}


def _graded(of: Agreement) -> dict[str, Json]:
    if of.tests is None:
        return {}
    return {
        "stuartMaxwell": _chi_square(of.tests.stuart_maxwell),
        "bhapkar": _chi_square(of.tests.bhapkar),
        "bowker": _chi_square(of.tests.bowker),
    }


def _chi_square(of: ChiSquare | NotAvailable) -> Json:
    return NOT_AVAILABLE if isinstance(of, NotAvailable) else {"statistic": of.statistic, "df": of.df, "p": of.p}


def _metric(of: Estimate, resampled: Resampled | NotAvailable) -> dict[str, Json]:
    found: dict[str, Json] = {
        "name": of.metric.value,
        "control": _number(of.control),
        "candidate": _number(of.candidate),
        "difference": _number(of.difference),
        "interval": _limits(of.interval),
        "method": of.method,
        "controlInterval": _limits(of.control_interval),
        "candidateInterval": _limits(of.candidate_interval),
        "standardError": _number(of.standard_error),
        "bootstrap": NOT_AVAILABLE if isinstance(resampled, NotAvailable) else list(resampled.interval),
    }
    reasons = (of.control, of.candidate, of.difference, of.interval, of.control_interval, of.candidate_interval)
    why = next((each.why for each in reasons if isinstance(each, NotAvailable)), None)
    return found if why is None else found | {"why": why}


def _auc(of: PairedAuc | NotAvailable, alpha: float) -> Json:
    if isinstance(of, NotAvailable):
        return {"control": NOT_AVAILABLE, "candidate": NOT_AVAILABLE, "difference": NOT_AVAILABLE, "why": of.why}
    return {
        "control": of.control,
        "candidate": of.candidate,
        "difference": of.difference,
        "interval": _limits(of.interval(alpha)),
        "controlInterval": _limits(of.control_interval(alpha)),
        "candidateInterval": _limits(of.candidate_interval(alpha)),
        "variances": [of.control_variance, of.candidate_variance],
        "covariance": of.covariance,
        "z": _number(of.z),
        "p": _number(of.p),
        "method": "DeLong" if of.error_bound == 0.0 else "DeLongBinned",
        "binBound": of.error_bound,
    }


def _agreement(of: Agreement, alpha: float) -> dict[str, Json]:
    found: dict[str, Json] = {
        "requests": of.requests,
        "differing": of.differing,
        "disagreement": of.differing / of.requests if of.requests else NOT_AVAILABLE,
        "kappa": _kappa(of.kappa, alpha),
    }
    return found if of.weighted is None else found | {
        "weightedKappa": _kappa(of.weighted, alpha), "outcomes": list(of.names),
    }  # fmt: skip


def _kappa(of: Kappa | NotAvailable, alpha: float) -> Json:
    if isinstance(of, NotAvailable):
        return {"value": NOT_AVAILABLE, "why": of.why}
    return {"value": of.value, "standardError": of.standard_error, "interval": list(of.interval(alpha))}


def _stratum(of: Stratum) -> dict[str, Json]:
    attacks: Pairs = of.cells.of_label(1)
    return {
        "name": of.name,
        "cells": list(of.cells.counts),
        "lost": attacks.control_only,
        "gained": attacks.candidate_only,
        "pMid": of.midp,
        "pAdjusted": of.adjusted,
    }


def _reason(of: Reason) -> Json:
    return {
        "reason": of.kind.value,
        "message": of.message,
        "metric": of.metric,
        "value": None if of.value is None else _number(of.value),
        "limit": of.limit,
        "p": of.p,
    }
