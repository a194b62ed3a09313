"""Two-arm count e-processes: evidence that a canary fails more often than the baseline, or safely not.

Per interval the counters of both arms give bad and total requests. Given the interval's traffic, each bad event is the
canary's with a probability that depends only on the rate ratio psi and on rho, the canary's share of the traffic; the
unknown, moving base rate cancels. Products over intervals of the likelihood ratios are e-processes (Lindon and Malek,
"Anytime-valid inference for multinomial count data", NeurIPS 2022), so the decision may be looked at any time.

Pure: no clock, no I/O. The evidence is a handful of sums, cheap to store, indifferent to the order of intervals.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import add

from chaffinch_stats import bernoulli, codec, hypergeometric, ratio_curve
from chaffinch_stats.checks import require_count, require_open_unit
from chaffinch_stats.count_gate import CountGate, GateLayout
from chaffinch_stats.mixtures import log_mean_exp, p_from_log_e

_KIND = "count/1"
SAFE_RATE_FRACTIONS = (0.0, 0.25, 0.5, 0.8)
"""Alternatives of the test against the rate `safe_below`, as fractions of it."""


@dataclass(frozen=True, slots=True)
class ArmCounts:
    """Requests of one arm: `bad` of `total`. TypeError unless integers, ValueError if negative or bad > total."""

    bad: int
    total: int

    def __post_init__(self) -> None:
        if type(self.bad) is type(self.total) is int and 0 <= self.bad <= self.total:
            return
        require_count(self.bad, "bad")
        require_count(self.total, "total")
        if self.bad > self.total:
            raise ValueError(f"bad must not exceed total, got {self.bad} of {self.total}")

    def __add__(self, other: "ArmCounts") -> "ArmCounts":
        return ArmCounts(self.bad + other.bad, self.total + other.total)


_NOTHING = ArmCounts(0, 0)


@dataclass(frozen=True, slots=True)
class Interval:
    """What both arms did over the same stretch of time."""

    canary: ArmCounts
    baseline: ArmCounts

    @property
    def informative(self) -> bool:
        """True when both arms had traffic; with one arm idle (rho 0 or 1) nothing about the ratio can be learnt."""
        return self.canary.total > 0 and self.baseline.total > 0

    def __add__(self, other: "Interval") -> "Interval":
        return Interval(self.canary + other.canary, self.baseline + other.baseline)


@dataclass(frozen=True, slots=True)
class CountEvidence:
    """All that a gate has seen, as sums: enough to go on after a restart.

    Attributes:
        design: fingerprint of the gate it belongs to.
        canary: cumulative counts of the canary, every interval.
        baseline: cumulative counts of the baseline, every interval.
        paired: the part of both that fell into intervals where both arms had traffic; the evidence rests on it alone.
        gate_sums: shape (len(layout.ratios),), S(psi) = sum of m_t*log(1-rho_t+rho_t*psi) at the gate's own ratios;
            at ratios of odds the sum of `hypergeometric.log_normalizers` instead.
        curve_sums: shape (32,), the same at `ratio_curve.NODE_RATIOS`.
        log_peak: running maximum of log E_harm, at least 0.

    """

    design: str
    canary: ArmCounts
    baseline: ArmCounts
    paired: Interval
    gate_sums: tuple[float, ...]
    curve_sums: tuple[float, ...]
    log_peak: float

    @classmethod
    def start(cls, gate: CountGate) -> "CountEvidence":
        """Return evidence of nothing: every e-value is 1."""
        place = gate.layout
        nothing = Interval(_NOTHING, _NOTHING)
        sums = (0.0,) * len(place.ratios)
        return cls(place.design, _NOTHING, _NOTHING, nothing, sums, (0.0,) * ratio_curve.NODES, 0.0)

    @property
    def all_paired(self) -> bool:
        """True when it is known at once that both arms had traffic in every interval, as is common."""
        return self.paired.canary is self.canary and self.paired.baseline is self.baseline


def update(evidence: CountEvidence, gate: CountGate, interval: Interval) -> CountEvidence:
    """Return the evidence after one more interval.

    An interval in which an arm had no traffic adds to the totals only. Counts may be any size up to 1e12; sums lose no
    more than double rounding.

    Raises:
        ValueError: the evidence belongs to another design.

    """
    place = _layout_of(evidence, gate)
    canary, baseline = evidence.canary + interval.canary, evidence.baseline + interval.baseline
    if not interval.informative:
        return replace(evidence, canary=canary, baseline=baseline)
    paired = Interval(canary, baseline) if evidence.all_paired else evidence.paired + interval
    gate_sums, curve_sums = evidence.gate_sums, evidence.curve_sums
    bad, total = interval.canary.bad + interval.baseline.bad, interval.canary.total + interval.baseline.total
    if bad:
        share = interval.canary.total / total
        terms = [bad * math.log1p(share * excess) for excess in place.excesses]
        curve_sums = tuple(map(add, curve_sums, terms[place.rates :]))
        if odds := place.ratios[place.rates :]:
            terms[place.rates :] = hypergeometric.log_normalizers(
                interval.canary.total, interval.baseline.total, bad, odds
            )
        gate_sums = tuple(map(add, gate_sums, terms))
    harm = log_mean_exp(_log_factors(paired.canary.bad, gate_sums, gate, place.harm_null, place.harm))
    peak = max(evidence.log_peak, harm)
    return CountEvidence(evidence.design, canary, baseline, paired, gate_sums, curve_sums, peak)


def log_e_harm_grid(evidence: CountEvidence, gate: CountGate) -> tuple[float, ...]:
    """Return log E of each harm alternative, in the order of `gate.harm_grid`: shape (len(harm_grid),)."""
    place = _layout_of(evidence, gate)
    bad, sums = evidence.paired.canary.bad, evidence.gate_sums
    return _log_factors(bad, sums, gate, place.harm_null, place.harm)


def log_e_harm(evidence: CountEvidence, gate: CountGate) -> float:
    """Return the log of the mixture e-value against "the rate ratio is at most harm_ratio"; 0 with no events.

    Source: Lindon and Malek 2022, time-inhomogeneous Bernoulli and Poisson processes, mixed over a fixed grid. Per
    interval the expected factor is at most exp(sum over requests of bad probability times (factor per event - 1)),
    which is exp(0) at the boundary of the null and less inside it, at whatever base rate; tempering by 1/phi keeps this
    by Jensen's inequality. Where more than about a tenth of all requests are bad the bound is loose: the error rate
    stays below alpha, and power falls.

    There method "Fisher" is exact: given m, the expected factor is 1 for a canary whose odds ratio is harm_ratio, and
    less for a smaller one, because the factor rises in x_c and x_c is then stochastically smaller. For harm_ratio <= 1
    a rate ratio of at most harm_ratio has an odds ratio of at most that (p_c <= p_b), so the null is the same or wider,
    at any base rate; above 1 it would not be, so such gates are refused. Safety stays with the Poisson factor: it is
    valid at every base rate, and at high ones grows faster than a test of the odds ratio against the margin would.
    """
    return log_mean_exp(log_e_harm_grid(evidence, gate))


def log_e_safe_grid(evidence: CountEvidence, gate: CountGate) -> tuple[float, ...]:
    """Return log E of each safe ratio below the margin, in the order of `gate.safe_grid`."""
    place = _layout_of(evidence, gate)
    bad, sums = evidence.paired.canary.bad, evidence.gate_sums
    return _log_factors(bad, sums, gate, place.safe_null, place.safe)


def log_e_safe_rate(evidence: CountEvidence, gate: CountGate) -> float | None:
    """Return log E against "the canary's bad rate is at least safe_below", or None without `safe_below`.

    One-sample Bernoulli e-process (Wald 1945) averaged over the rates safe_below*{0, 0.25, 0.5, 0.8}.
    """
    if gate.safe_below is None:
        return None
    rates = [gate.safe_below * fraction for fraction in SAFE_RATE_FRACTIONS]
    canary = evidence.paired.canary
    return log_mean_exp(bernoulli.log_factors(gate.safe_below, rates, canary.bad, canary.total, gate.dispersion))


def log_e_safe(evidence: CountEvidence, gate: CountGate) -> float:
    """Return the log e-value against the null of an unsafe canary; 0 with no traffic.

    Without `safe_below` the null is "ratio >= margin_ratio". With it the null is "ratio >= margin_ratio AND canary rate
    >= safe_below", so that a service without errors in either arm, where a ratio test learns nothing, can still pass.
    The e-value is then (E_ratio + E_rate)/2, and valid: on this null "ratio >= margin_ratio" holds, so E_ratio is an
    e-process, and "rate >= safe_below" holds, so E_rate is one; and the mean of two e-processes is an e-process.
    """
    by_ratio = log_mean_exp(log_e_safe_grid(evidence, gate))
    by_rate = log_e_safe_rate(evidence, gate)
    return by_ratio if by_rate is None else log_mean_exp((by_ratio, by_rate))


def _log_factors(
    bad: int, sums: Sequence[float], gate: CountGate, null: int, alternatives: Sequence[tuple[int, float]]
) -> tuple[float, ...]:
    """Return (x_c*log(psi/psi0) - S(psi) + S(psi0)) / phi; alternatives: place of psi, log(psi/psi0)."""
    at_null, dispersion = sums[null], gate.dispersion
    return tuple([(bad * log - (sums[k] - at_null)) / dispersion for k, log in alternatives])


def p_value(evidence: CountEvidence) -> float:
    """Return the always-valid p-value of harm: min(1, 1/max over time of E_harm) (Johari et al. 2017)."""
    return p_from_log_e(evidence.log_peak)


def ratio(evidence: CountEvidence) -> float | None:
    """Return the conditional maximum likelihood estimate of the rate ratio, stratified by the share rho.

    It solves x_c = sum of m_t*rho_t*psi/(1-rho_t+rho_t*psi). None when there was no common traffic or no bad event,
    inf when only the canary had bad events, 0 when only the baseline had. Beyond [1/64, 64], where S is not tabulated,
    the unstratified ratio of rates is given, held to that side.
    """
    return _ratio(evidence, _most_likely(evidence, _curve(evidence, 1.0)))


def confidence_sequence(evidence: CountEvidence, gate: CountGate, alpha: float) -> tuple[float, float]:
    """Return lower and upper limit for the rate ratio that hold at all times together with probability >= 1 - alpha.

    (0, inf) with no events. A limit outside [1/64, 64] is given as 0 or inf. Method, accuracy and sources:
    `ratio_curve.limits`; against the exact sums the limits move by less than 1e-8 relative.

    Raises:
        ValueError: alpha outside (0, 1), or evidence of another design.

    """
    return ratio_and_limits(evidence, gate, alpha)[1]


def ratio_and_limits(
    evidence: CountEvidence, gate: CountGate, alpha: float
) -> tuple[float | None, tuple[float, float]]:
    """Return `ratio` and `confidence_sequence` together, for little more than the time of one."""
    require_open_unit(alpha, "alpha")
    _layout_of(evidence, gate)
    tempered = _curve(evidence, gate.dispersion)
    peak = _most_likely(evidence, tempered)
    return _ratio(evidence, peak), ratio_curve.limits(tempered, -math.log(alpha), peak)


def _curve(evidence: CountEvidence, dispersion: float) -> ratio_curve.RatioCurve:
    return ratio_curve.curve(evidence.curve_sums, evidence.paired.canary.bad, dispersion)


def _most_likely(evidence: CountEvidence, of: ratio_curve.RatioCurve) -> float:
    """Return the peak of the curve, looked for from the unstratified ratio, off by less than a standard error or so."""
    canary, baseline = evidence.paired.canary, evidence.paired.baseline
    if canary.bad == 0 or baseline.bad == 0:
        return ratio_curve.most_likely(of, ratio_curve.LOG_SPAN if canary.bad else -ratio_curve.LOG_SPAN)
    pooled = math.log(canary.bad / canary.total * (baseline.total / baseline.bad))
    return ratio_curve.most_likely(of, pooled, 0.1 * math.sqrt(1.0 / canary.bad + 1.0 / baseline.bad))


def _ratio(evidence: CountEvidence, log_ratio: float) -> float | None:
    canary, baseline = evidence.paired.canary, evidence.paired.baseline
    if canary.bad + baseline.bad == 0:
        return None
    if baseline.bad == 0:
        return math.inf
    if canary.bad == 0:
        return 0.0
    if abs(log_ratio) < ratio_curve.LOG_SPAN * (1.0 - 1e-9):
        return math.exp(log_ratio)
    pooled = (canary.bad / canary.total) / (baseline.bad / baseline.total)
    edge = math.exp(log_ratio)
    return max(edge, pooled) if log_ratio > 0.0 else min(edge, pooled)


def to_state(evidence: CountEvidence) -> list[str]:
    """Return the evidence as five strings, bit-exact, under 900 bytes; see `codec`."""
    arms = (evidence.canary, evidence.baseline, evidence.paired.canary, evidence.paired.baseline)
    counts = [number for arm in arms for number in (arm.bad, arm.total)]
    return codec.encode(_KIND, evidence.design, counts, [evidence.log_peak, *evidence.gate_sums, *evidence.curve_sums])


def from_state(gate: CountGate, state: Sequence[str]) -> CountEvidence:
    """Return the evidence written by `to_state`.

    Raises:
        ValueError: damaged, or of another design: a gate whose design changed must start anew, because evidence judged
            under a design chosen after looking at it proves nothing.

    """
    place = gate.layout
    width = len(place.ratios)
    counts, sums = codec.decode(_KIND, place.design, state, 8, 1 + width + ratio_curve.NODES)
    canary, baseline, paired_canary, paired_baseline = (ArmCounts(*counts[i : i + 2]) for i in range(0, 8, 2))
    whole, paired = Interval(canary, baseline), Interval(paired_canary, paired_baseline)
    paired = whole if paired == whole else paired
    return CountEvidence(place.design, canary, baseline, paired, sums[1 : 1 + width], sums[1 + width :], sums[0])


def _layout_of(evidence: CountEvidence, gate: CountGate) -> GateLayout:
    place = gate.layout
    if evidence.design != place.design:
        raise ValueError(f"evidence of design {evidence.design} judged by a gate of design {place.design}")
    return place
