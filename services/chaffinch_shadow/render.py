"""An analysis for people: a few aligned tables and the verdict with its reasons."""

from collections.abc import Iterator, Sequence

from chaffinch_shadow.analysis.analyse import Analysis
from chaffinch_shadow.analysis.comparison import Comparison, Comparisons
from chaffinch_stats.paired import NotAvailable
from chaffinch_stats.paired.sizing import Size

_MOST_STRATA = 10


def text(of: Analysis) -> str:
    """Return the report."""
    return "\n".join(line.rstrip() for line in _lines(of))


def _lines(of: Analysis) -> Iterator[str]:
    yield f"{of.verdict}"
    yield from (f"  {reason.message}" for reason in of.reasons)
    yield ""
    yield f"{of.coverage.requests:,} requests, {of.coverage.labelled:,} of them labelled"
    yield ""
    yield from _table(("cells", "neither", "candidate only", "control only", "both"), _cells(of))
    yield ""
    yield from _table(
        ("same requests", "control", "candidate", "mid-p", "exact p", "at any time"), _tests(of.comparisons)
    )
    yield ""
    yield from _table(("metric", "control", "candidate", "difference", "interval", "method"), _metrics(of))
    if not isinstance(of.auc, NotAvailable):
        yield f"AUC: p {_number(of.auc.p)}, off by at most {of.auc.error_bound:.2g} for its bins"
    if of.strata:
        yield ""
        yield from _table(("stratum", "requests", "lost", "gained", "mid-p, Holm"), _strata(of))


def _cells(of: Analysis) -> Iterator[Sequence[str]]:
    for label in (0, 1):
        pairs = of.cells.of_label(label)
        counts = (pairs.neither, pairs.candidate_only, pairs.control_only, pairs.both)
        yield (f"label {label}, verdict 1 by", *(f"{count:,}" for count in counts))


def _tests(of: Comparisons) -> Iterator[Sequence[str]]:
    named = (("right alone", of.overall), ("detected alone", of.positive), ("false alarm alone", of.negative))
    for name, each in named:
        yield name, *_test(each)
        if each.clustered is not None:
            yield f"  by {each.clustered.clusters:,} clusters", "", "", f"{each.clustered.p:.3g}", "", ""


def _test(of: Comparison) -> Sequence[str]:
    p_values = (of.test.midp, of.test.exact, of.evidence.p)
    return (f"{of.pairs.control_only:,}", f"{of.pairs.candidate_only:,}", *(f"{p:.3g}" for p in p_values))


def _metrics(of: Analysis) -> Iterator[Sequence[str]]:
    for each in of.metrics:
        numbers = (_number(each.control), _number(each.candidate), _number(each.difference, sign=True))
        yield each.metric.value, *numbers, _limits(each.interval), each.method
    auc = of.auc
    if not isinstance(auc, NotAvailable):
        limits = _limits(auc.interval(of.question.alpha))
        yield "auc", _number(auc.control), _number(auc.candidate), _number(auc.difference, sign=True), limits, "DeLong"


def _strata(of: Analysis) -> Iterator[Sequence[str]]:
    for part in of.strata[:_MOST_STRATA]:
        yield (
            part.name,
            f"{part.cells.total:,}",
            f"{part.cells.lost:,}",
            f"{part.cells.gained:,}",
            f"{part.adjusted:.3g}",
        )
    if len(of.strata) > _MOST_STRATA:
        yield f"and {len(of.strata) - _MOST_STRATA} more (-o json)", "", "", "", ""


def _number(value: float | NotAvailable, *, sign: bool = False) -> str:
    if isinstance(value, NotAvailable):
        return "not available"
    return f"{value:+.5f}" if sign else f"{value:.5g}"


def _limits(value: tuple[float, float] | NotAvailable) -> str:
    return "not available" if isinstance(value, NotAvailable) else f"{value[0]:+.5f} to {value[1]:+.5f}"


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    found = [head, *rows]
    widths = [max(len(row[column]) for row in found) for column in range(len(head))]
    for row in found:
        first, *others = (
            cell.ljust(w) if k == 0 else cell.rjust(w) for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join((first, *others))


def sizes(fixed: Size, always_valid: Size) -> str:
    """Return the plan as a table."""
    rows = (
        ("one look", f"{fixed.discordant:,}", f"{fixed.requests:,}"),
        ("looks at any time", f"{always_valid.discordant:,}", f"{always_valid.requests:,}"),
    )
    return "\n".join(_table(("design", "discordant", "requests"), iter(rows)))
