"""Areas under two ROC curves with DeLong's covariance (DeLong, DeLong and Clarke-Pearson 1988), in O(n log n).

`exact` ranks every score (after Sun and Xu 2014), `binned` counts scores on a fixed grid and says how far off it can
be. Rows are shape (n,).
"""

import numpy as np
import numpy.typing as npt

from chaffinch_shadow.analysis.rows import Bits, Floats, Scores
from chaffinch_stats.paired import NotAvailable
from chaffinch_stats.paired.auc import PairedAuc

BINS = 1 << 16
Ints = npt.NDArray[np.int64]
_CHUNK = 1 << 17


def exact(label: Bits, scores: Scores) -> PairedAuc | NotAvailable:
    """Return the areas and their covariance; ties count half."""
    missing = _missing(label)
    if missing is not None:
        return missing
    attacks, benign = np.flatnonzero(label), np.flatnonzero(~label)
    of_attacks, of_benign = [], []
    for score in (scores.control, scores.candidate):
        high, low = _placements(score[attacks], score[benign])
        of_attacks.append(high)
        of_benign.append(low)
    return _compared(_moments(*of_attacks), _moments(*of_benign), len(attacks), len(benign), 0.0)


def _missing(label: Bits) -> NotAvailable | None:
    attacks = int(np.count_nonzero(label))
    for count, which in ((attacks, 1), (len(label) - attacks, 0)):
        if count == 0:
            return NotAvailable(f"no request of label {which}")
    return None


def _placements(attacks: Floats, benign: Floats) -> tuple[Floats, Floats]:
    """Return the share of benign scores below each attack, and of attacks above each benign score; ties half."""
    if len(attacks) > len(benign):
        low, high = _placements(-benign, -attacks)
        return high, low
    order = np.argsort(benign)
    ranked, queries = benign[order], np.sort(attacks)
    below, up_to = (np.searchsorted(ranked, queries, side=side) for side in ("left", "right"))
    size = len(benign) + 1
    passed = np.cumsum(np.bincount(below, minlength=size) + np.bincount(up_to, minlength=size))[:-1]
    of_benign = np.empty(len(benign))
    of_benign[order] = 1.0 - passed / (2.0 * len(attacks))
    back = np.empty(len(attacks))
    back[np.argsort(attacks)] = (below + up_to) / (2.0 * len(benign))
    return back, of_benign


def _moments(control: Floats, candidate: Floats) -> tuple[float, float, float, float, float]:
    """Return means, variances and covariance of two sets of placements; variances 0 for a single one."""
    mean_a, mean_b = float(control.mean()), float(candidate.mean())
    if len(control) == 1:
        return mean_a, mean_b, 0.0, 0.0, 0.0
    a, b, free = control - mean_a, candidate - mean_b, len(control) - 1
    return mean_a, mean_b, float(a @ a) / free, float(b @ b) / free, float(a @ b) / free


def _compared(
    attacks: tuple[float, ...], benign: tuple[float, ...], n_attacks: int, n_benign: int, bound: float
) -> PairedAuc:
    """Return areas with the covariance that the placements of both labels make together."""
    variances = [a / n_attacks + b / n_benign for a, b in zip(attacks[2:], benign[2:], strict=True)]
    return PairedAuc(attacks[0], attacks[1], variances[0], variances[1], variances[2], bound)


def binned(label: Bits, scores: Scores, bins: int = BINS) -> PairedAuc | NotAvailable:
    """Return the areas from histograms of `bins` equal bins (at most 65,536) over each score's range.

    The exact area of each version lies within `error_bound` of the one returned: scores of one bin are counted as ties,
    which is wrong by at most half of each pair of them, sum over bins of p*n/(2*P*N).
    """
    missing = _missing(label)
    if missing is not None:
        return missing
    control, candidate = (_histogram(label, score, bins) for score in (scores.control, scores.candidate))
    products = np.zeros(2)
    tables = [_tables(one) for one in (control, candidate)]
    for start in range(0, len(label), _CHUNK):
        part = label[start : start + _CHUNK]
        at = [one.index[start : start + _CHUNK] for one in (control, candidate)]
        for which, chosen in ((0, part), (1, ~part)):
            a, b = (table[which][index[chosen]] for table, index in zip(tables, at, strict=True))
            products[which] += a @ b
    n_attacks = int(control.attacks.sum())
    n_benign = len(label) - n_attacks
    attacks = _binned_moments(tables, [control.attacks, candidate.attacks], 0, products[0], n_attacks)
    benign = _binned_moments(tables, [control.benign, candidate.benign], 1, products[1], n_benign)
    bound = max(_bound(one, n_attacks, n_benign) for one in (control, candidate))
    return _compared(attacks, benign, n_attacks, n_benign, bound)


def binned_areas(label: Bits, scores: Scores, bins: int = BINS) -> tuple[tuple[float, float], float] | NotAvailable:
    """Return both areas and the bound on their error, without covariance: one pass less."""
    missing = _missing(label)
    if missing is not None:
        return missing
    found, bounds = [], []
    for score in (scores.control, scores.candidate):
        one = _histogram(label, score, bins, keep_index=False)
        n_attacks, n_benign = int(one.attacks.sum()), int(one.benign.sum())
        found.append(float(_tables(one)[0] @ one.attacks) / n_attacks)
        bounds.append(_bound(one, n_attacks, n_benign))
    return (found[0], found[1]), max(bounds)


class _Histogram:
    """Counts of one score by label and bin, and the bin of each row if it was to be kept."""

    __slots__ = ("attacks", "benign", "index")

    def __init__(self, attacks: Ints, benign: Ints, index: npt.NDArray[np.uint16]) -> None:
        self.attacks, self.benign, self.index = attacks, benign, index


def _histogram(label: Bits, score: Floats, bins: int, *, keep_index: bool = True) -> _Histogram:
    low, high = float(score.min()), float(score.max())
    scale = (bins - 1) / (high - low) if high > low else 0.0
    index = np.empty(len(label) if keep_index else 0, dtype=np.uint16)
    everyone, attacks = np.zeros(bins, dtype=np.int64), np.zeros(bins, dtype=np.int64)
    place, code = np.empty(_CHUNK), np.empty(_CHUNK, dtype=np.int64)
    for start in range(0, len(label), _CHUNK):
        part = score[start : start + _CHUNK]
        here, to = place[: len(part)], code[: len(part)]
        np.subtract(part, low, out=here)
        np.multiply(here, scale, out=here)
        np.copyto(to, here, casting="unsafe")
        if keep_index:
            index[start : start + len(part)] = to
        everyone += np.bincount(to, minlength=bins)
        attacks += np.bincount(to[label[start : start + _CHUNK]], minlength=bins)
    return _Histogram(attacks, everyone - attacks, index)


def _tables(of: _Histogram) -> tuple[Floats, Floats]:
    """Return, per bin, the share of benign scores below and of attacks above; shape (bins,) each."""
    benign, attacks = of.benign, of.attacks
    below = (np.cumsum(benign) - 0.5 * benign) / benign.sum()
    above = 1.0 - (np.cumsum(attacks) - 0.5 * attacks) / attacks.sum()
    return below, above


def _bound(of: _Histogram, n_attacks: int, n_benign: int) -> float:
    return 0.5 * float(of.attacks.astype(np.float64) @ of.benign) / n_attacks / n_benign


def _binned_moments(
    tables: list[tuple[Floats, Floats]], counts: list[Ints], which: int, product: float, n: int
) -> tuple[float, float, float, float, float]:
    """Return the moments of placements that are known by bin, given the sum of their products."""
    means = [float(table[which] @ count) / n for table, count in zip(tables, counts, strict=True)]
    if n == 1:
        return means[0], means[1], 0.0, 0.0, 0.0
    spread = [
        float((table[which] - mean) ** 2 @ count) / (n - 1)
        for table, mean, count in zip(tables, means, counts, strict=True)
    ]
    return means[0], means[1], spread[0], spread[1], (float(product) - n * means[0] * means[1]) / (n - 1)
