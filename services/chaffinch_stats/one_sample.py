"""One-sample e-processes: a bad rate above an objective, or safely below a margin over it.

The absolute gate needs no baseline. Its e-values are functions of the cumulative counts, so the evidence is two
integers and one maximum. The functions mirror those of `counts`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from chaffinch_stats import bernoulli, codec
from chaffinch_stats.checks import require_at_least_one, require_open_unit
from chaffinch_stats.counts import ArmCounts
from chaffinch_stats.mixtures import log_mean_exp, p_from_log_e

_KIND = "rate/1"
_HARM_ODDS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_SAFE_FRACTIONS = (1.0, 0.8, 0.5, 0.0)
_HIGHEST_MARGIN = 1.0 - 1e-6
_PRIOR = 0.5
_STEPS = 100
_CLOSE = 1e-9  # the error after such a step is about its square


@dataclass(frozen=True, slots=True)
class RateGate:
    """The design of one absolute gate.

    Attributes:
        max_ratio: objective p0 in (0, 1): the null of harm is "bad rate <= max_ratio".
        margin_ratio: above 1; the null of safety is "bad rate >= margin_rate" = min(margin_ratio*max_ratio, 0.999999).
        dispersion: phi >= 1, tempering as in `CountGate`.

    Raises:
        ValueError: naming the field that is out of range.

    """

    max_ratio: float
    margin_ratio: float = 1.5
    dispersion: float = 1.0

    def __post_init__(self) -> None:
        require_open_unit(self.max_ratio, "max_ratio")
        if not (math.isfinite(self.margin_ratio) and self.margin_ratio > 1.0):
            raise ValueError(f"margin_ratio must be a finite number above 1, got {self.margin_ratio!r}")
        require_at_least_one(self.dispersion, "dispersion")
        if self.max_ratio >= _HIGHEST_MARGIN:
            raise ValueError(f"max_ratio must be below {_HIGHEST_MARGIN}, got {self.max_ratio!r}")

    @property
    def margin_rate(self) -> float:
        """The bad rate at which the canary counts as unsafe."""
        return min(self.margin_ratio * self.max_ratio, _HIGHEST_MARGIN)

    @property
    def harm_rates(self) -> tuple[float, ...]:
        """Alternatives of harm: the objective's odds times 1.25 to 10, hence always below 1."""
        odds = self.max_ratio / (1.0 - self.max_ratio)
        return tuple(odds * multiple / (1.0 + odds * multiple) for multiple in _HARM_ODDS)

    @property
    def safe_rates(self) -> tuple[float, ...]:
        """Alternatives of safety: the objective times 1, 0.8, 0.5 and 0."""
        return tuple(self.max_ratio * fraction for fraction in _SAFE_FRACTIONS)


@dataclass(frozen=True, slots=True)
class RateEvidence:
    """Cumulative counts, and the running maximum of log E_harm (at least 0), of one design."""

    design: str
    seen: ArmCounts
    log_peak: float

    @classmethod
    def start(cls, gate: RateGate) -> "RateEvidence":
        """Return evidence of nothing: every e-value is 1."""
        return cls(_design(gate), ArmCounts(0, 0), 0.0)


def update(evidence: RateEvidence, gate: RateGate, seen: ArmCounts) -> RateEvidence:
    """Return the evidence after more requests; ValueError when it belongs to another design."""
    _require_design(evidence, gate)
    grown = RateEvidence(evidence.design, evidence.seen + seen, evidence.log_peak)
    return RateEvidence(grown.design, grown.seen, max(grown.log_peak, log_e_harm(grown, gate)))


def log_e_harm_grid(evidence: RateEvidence, gate: RateGate) -> tuple[float, ...]:
    """Return log E of each rate of `gate.harm_rates`."""
    _require_design(evidence, gate)
    seen = evidence.seen
    return bernoulli.log_factors(gate.max_ratio, gate.harm_rates, seen.bad, seen.total, gate.dispersion)


def log_e_harm(evidence: RateEvidence, gate: RateGate) -> float:
    """Return the log of the mixture e-value against "the bad rate is at most max_ratio"."""
    return log_mean_exp(log_e_harm_grid(evidence, gate))


def log_e_safe_grid(evidence: RateEvidence, gate: RateGate) -> tuple[float, ...]:
    """Return log E of each rate of `gate.safe_rates`; -inf where a bad event rules a rate of 0 out."""
    _require_design(evidence, gate)
    seen = evidence.seen
    return bernoulli.log_factors(gate.margin_rate, gate.safe_rates, seen.bad, seen.total, gate.dispersion)


def log_e_safe(evidence: RateEvidence, gate: RateGate) -> float:
    """Return the log of the mixture e-value against "the bad rate is at least margin_rate"."""
    return log_mean_exp(log_e_safe_grid(evidence, gate))


def p_value(evidence: RateEvidence) -> float:
    """Return the always-valid p-value of harm: min(1, 1/max over time of E_harm)."""
    return p_from_log_e(evidence.log_peak)


def rate(evidence: RateEvidence) -> float | None:
    """Return the observed bad rate, None before any request."""
    return evidence.seen.bad / evidence.seen.total if evidence.seen.total else None


def confidence_sequence(evidence: RateEvidence, gate: RateGate, alpha: float) -> tuple[float, float]:
    """Return lower and upper limit for the bad rate, valid at all times together with probability >= 1 - alpha.

    Inverts the Beta(1/2, 1/2) mixture (Robbins 1970; Howard et al. 2021), tempered by 1/phi, which stays
    in closed form: E(p) = B(1/2 + x/phi, 1/2 + (n-x)/phi) / B(1/2, 1/2) / (p**x * (1-p)**(n-x))**(1/phi).
    (0, 1) before any request.

    Raises:
        ValueError: alpha outside (0, 1), or evidence of another design.

    """
    require_open_unit(alpha, "alpha")
    _require_design(evidence, gate)
    bad, total = evidence.seen.bad, evidence.seen.total
    if total == 0:
        return 0.0, 1.0
    tempered_bad, tempered_good = bad / gate.dispersion, (total - bad) / gate.dispersion
    marginal = _log_beta(_PRIOR + tempered_bad, _PRIOR + tempered_good) - _log_beta(_PRIOR, _PRIOR)
    cut = marginal + math.log(alpha)
    lower = _lower_limit(tempered_bad, tempered_good, cut) if bad else 0.0
    upper = 1.0 - _lower_limit(tempered_good, tempered_bad, cut) if bad < total else 1.0
    return lower, upper


def _lower_limit(bad: float, good: float, cut: float) -> float:
    """Return the rate below bad/(bad+good) at which the log likelihood is `cut`; bad > 0.

    Newton by the log odds t: the log likelihood bad*t - (bad+good)*log(1+exp(t)) is concave and below bad*t, so
    t = cut/bad lies outside the limits, and the steps from there come up to the limit and never beyond.
    """
    t = cut / bad
    for _ in range(_STEPS):  # pragma: no branch (it converges; the range is a net)
        odds = math.exp(t)
        step = (bad * t - (bad + good) * math.log1p(odds) - cut) / (bad - (bad + good) * odds / (1.0 + odds))
        t -= step
        if step > -_CLOSE:
            break
    odds = math.exp(t)
    return odds / (1.0 + odds)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def to_state(evidence: RateEvidence) -> list[str]:
    """Return the evidence as five strings, bit-exact; see `codec`."""
    return codec.encode(_KIND, evidence.design, (evidence.seen.bad, evidence.seen.total), (evidence.log_peak,))


def from_state(gate: RateGate, state: Sequence[str]) -> RateEvidence:
    """Return the evidence written by `to_state`; ValueError when the state is damaged or of another design."""
    (bad, total), (log_peak,) = codec.decode(_KIND, _design(gate), state, 2, 1)
    return RateEvidence(_design(gate), ArmCounts(bad, total), log_peak)


def _design(gate: RateGate) -> str:
    return codec.fingerprint((float(gate.max_ratio), float(gate.margin_ratio), float(gate.dispersion)))


def _require_design(evidence: RateEvidence, gate: RateGate) -> None:
    if evidence.design != _design(gate):
        raise ValueError(f"evidence of design {evidence.design} judged by a gate of design {_design(gate)}")
