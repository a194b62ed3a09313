"""Group sequential mode: a few planned looks, boundaries by error spending, a z statistic stratified by interval.

For traffic that can be predicted: fewer requests on average than the e-processes of `counts`, but an end is planned,
and without a crossing by then nothing is decided. The guarantee is that of a normal approximation with the skewness of
small shares taken out: measured 4.8 to 5.2 % where 5 % is stated (without it 6.7 % at a share of 5 %), not exact. Two
tests run side by side: harm (null: ratio at most harm_ratio) spends alpha, safety (null: ratio at least margin_ratio)
spends beta. A look is taken by `look`, never by `update`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from chaffinch_stats import codec, spending
from chaffinch_stats.checks import require_at_least_one, require_closed_unit, require_open_unit, require_positive
from chaffinch_stats.counts import ArmCounts, Interval
from chaffinch_stats.spending import Spending

MAX_LOOKS = 50
_KIND = "group/1"
_LEAST_STEP = 0.005  # of the planned information: a look closer to the last one than this is passed over
_UNREACHABLE = 30.0  # a boundary of z that spends nothing, kept finite for storage
_NO_SKEW = 1e-6
_NOTHING = ArmCounts(0, 0)


class Outcome(StrEnum):
    """What the looks so far say."""

    NONE = "None"
    HARM = "Harm"
    SAFE = "Safe"
    FUTILE = "Futile"
    """No harm of `detect_ratio` will be found any more; only with `futility`, and not binding."""


_OUTCOMES = tuple(Outcome)


@dataclass(frozen=True, slots=True)
class GroupGate:
    """The design, fixed before the first look.

    Attributes:
        looks: looks planned, 1 to 50.
        alpha: probability of calling a canary at harm_ratio harmful; with several gates, this gate's share of it.
        beta: probability of calling a canary at margin_ratio safe.
        power: with which a canary at detect_ratio is to be found, and one of ratio 1 to be passed.
        harm_ratio: null of harm.
        margin_ratio: null of safety, above 1.
        detect_ratio: the harm to be found, above harm_ratio.
        dispersion: phi >= 1; counts tell as much as 1/phi of them would without over-dispersion.
        spending: how alpha and beta are spent.
        futility: whether to report that harm of detect_ratio will not be found any more.

    Raises:
        ValueError: naming the field that is out of range.

    """

    looks: int = 20
    alpha: float = 0.05
    beta: float = 0.05
    power: float = 0.9
    harm_ratio: float = 1.0
    margin_ratio: float = 1.5
    detect_ratio: float = 1.5
    dispersion: float = 1.0
    spending: Spending = "OBrienFleming"
    futility: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.looks <= MAX_LOOKS:
            raise ValueError(f"looks must be 1 to {MAX_LOOKS}, got {self.looks}")
        for field, value in (("alpha", self.alpha), ("beta", self.beta), ("power", self.power)):
            require_open_unit(value, field)
        if self.power <= max(self.alpha, self.beta):
            raise ValueError(f"power must exceed alpha and beta, got {self.power}")
        for field, value in (("harm_ratio", self.harm_ratio), ("margin_ratio", self.margin_ratio)):
            require_positive(value, field)
        require_positive(self.detect_ratio, "detect_ratio")
        if self.margin_ratio <= max(1.0, self.harm_ratio):
            raise ValueError(f"margin_ratio must exceed 1 and harm_ratio, got {self.margin_ratio}")
        if self.detect_ratio <= self.harm_ratio:
            raise ValueError(f"detect_ratio must exceed harm_ratio, got {self.detect_ratio} <= {self.harm_ratio}")
        require_at_least_one(self.dispersion, "dispersion")
        if self.spending not in ("OBrienFleming", "Pocock"):
            raise ValueError(f"spending must be OBrienFleming or Pocock, got {self.spending!r}")

    @property
    def harm_information(self) -> float:
        """Information at which the test of harm ends: detect_ratio is found with `power` by then."""
        return self._information(self.alpha, math.log(self.detect_ratio / self.harm_ratio))

    @property
    def safe_information(self) -> float:
        """Information at which the test of safety ends: a canary like the baseline passes with `power` by then."""
        return self._information(self.beta, math.log(self.margin_ratio))

    def _information(self, error: float, distance: float) -> float:
        drift = spending.drift_needed(error, 1.0 - self.power, self.looks, self.spending)
        return float((drift / distance) ** 2)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two tests.

    Attributes:
        score: sum over intervals of the bad events beyond what the null expects of the canary, over the dispersion.
        information: variance of `score` under the null; the mean of `score` is about that times the log of the ratio.
        third: third central moment of `score` under the null.
        at: information at each look taken.
        boundaries: z boundary of each look taken.

    """

    score: float = 0.0
    information: float = 0.0
    third: float = 0.0
    at: tuple[float, ...] = ()
    boundaries: tuple[float, ...] = ()

    @property
    def z(self) -> float:
        """The stratified z statistic; 0 without information."""
        return self.score / math.sqrt(self.information) if self.information > 0.0 else 0.0

    @property
    def normal_z(self) -> float:
        """The z statistic with its skewness taken out: what is held against boundaries.

        Wilson and Hilferty's cube root (1931): the normal deviate of a gamma variable of the same three moments. Rare
        events at a small share are skewed to the right, and would cross upper boundaries too often.
        """
        z = self.z
        if self.information <= 0.0 or abs(self.third) < _NO_SKEW * self.information**1.5:
            return z
        skew: float = self.third / self.information**1.5
        return 6.0 / skew * (math.cbrt(max(0.0, 1.0 + 0.5 * skew * z)) - 1.0 + skew**2 / 36.0)


@dataclass(frozen=True, slots=True)
class GroupEvidence:
    """What was seen and decided. The score of `safe` is turned round: positive speaks for safety."""

    design: str
    canary: ArmCounts
    baseline: ArmCounts
    harm: Side
    safe: Side
    outcome: Outcome

    @classmethod
    def start(cls, gate: GroupGate) -> "GroupEvidence":
        """Return evidence of nothing."""
        return cls(_design(gate), _NOTHING, _NOTHING, Side(), Side(), Outcome.NONE)


def update(evidence: GroupEvidence, gate: GroupGate, interval: Interval) -> GroupEvidence:
    """Return the evidence after one more interval; no look is taken. ValueError when it belongs to another design."""
    _require_design(evidence, gate)
    grown = replace(evidence, canary=evidence.canary + interval.canary, baseline=evidence.baseline + interval.baseline)
    return replace(
        grown,
        harm=_grown(evidence.harm, score(interval, gate.harm_ratio), 1.0, gate.dispersion),
        safe=_grown(evidence.safe, score(interval, gate.margin_ratio), -1.0, gate.dispersion),
    )


def score(interval: Interval, ratio: float) -> tuple[float, float, float]:
    """Return the score of an interval against a rate ratio, its variance and third moment; nought if uninformative.

    Given the interval's traffic, U = (1-theta)*x_c - theta*x_b with theta = rho*psi/(1-rho+rho*psi) has mean 0 at ratio
    psi whatever the base rate p, and variance (1-theta)^2*n_c*psi*p*(1-psi*p) + theta^2*n_b*p*(1-p). With p estimated
    from both arms under the null and the factor N/(N-1) this is at psi = 1 the Cochran-Mantel-Haenszel statistic;
    summed over intervals it is not moved by a ramp of weights under a drifting base rate (Mantel and Haenszel 1959;
    Miettinen and Nurminen 1985).
    """
    canary, baseline = interval.canary, interval.baseline
    return score_of((canary.bad, canary.total), (baseline.bad, baseline.total), ratio)


def score_of(canary: tuple[float, float], baseline: tuple[float, float], ratio: float) -> tuple[float, float, float]:
    """Return the same of (bad, total) of both arms, which need not be whole: expected counts will do."""
    (canary_bad, canary_total), (baseline_bad, baseline_total) = canary, baseline
    total, bad = canary_total + baseline_total, canary_bad + baseline_bad
    if not (canary_total > 0 and baseline_total > 0) or total <= 1 or bad in (0, total):
        return 0.0, 0.0, 0.0
    weighted = ratio * canary_total + baseline_total
    theta = ratio * canary_total / weighted
    rate = min(bad / weighted, 1.0, 1.0 / ratio)
    of_canary = canary_total * ratio * rate * (1.0 - ratio * rate)
    of_baseline = baseline_total * rate * (1.0 - rate)
    variance = (1.0 - theta) ** 2 * of_canary + theta**2 * of_baseline
    third = (1.0 - theta) ** 3 * of_canary * (1.0 - 2.0 * ratio * rate) - theta**3 * of_baseline * (1.0 - 2.0 * rate)
    return (1.0 - theta) * canary_bad - theta * baseline_bad, variance * total / (total - 1), third


def look(evidence: GroupEvidence, gate: GroupGate, *, last: bool = False) -> GroupEvidence:
    """Return the evidence after a look at it.

    Each test that has not ended spends what its information allows, and is decided if its z reaches the boundary that
    this gives. An outcome stays, except that Futile does not bind. A look with hardly any new information, or after the
    last one planned, changes nothing.

    Args:
        evidence: so far.
        gate: the design.
        last: no other look will follow: spend all that is left, though less information came than was planned.

    Raises:
        ValueError: the evidence belongs to another design.

    """
    _require_design(evidence, gate)
    if evidence.outcome in (Outcome.HARM, Outcome.SAFE):
        return evidence
    harm, harmful = _looked(evidence.harm, gate, gate.alpha, gate.harm_information, last=last)
    safe, harmless = _looked(evidence.safe, gate, gate.beta, gate.safe_information, last=last)
    outcome = Outcome.HARM if harmful else Outcome.SAFE if harmless else Outcome.NONE
    if outcome is Outcome.NONE and gate.futility and _hopeless(harm, gate):
        outcome = Outcome.FUTILE
    return replace(evidence, harm=harm, safe=safe, outcome=outcome)


def requests_planned(gate: GroupGate, base_rate: float, share: float) -> float:
    """Return the requests of both arms by which the longer of the two tests ends; inf without errors.

    Args:
        gate: the design.
        base_rate: bad requests per request of the baseline, 0 to 1.
        share: the canary's share of the requests, strictly between 0 and 1.

    """
    require_closed_unit(base_rate, "base_rate")
    require_open_unit(share, "share")
    per_request = [
        _information_per_request(base_rate, share, ratio) / gate.dispersion
        for ratio in (gate.harm_ratio, gate.margin_ratio)
    ]
    planned = (gate.harm_information, gate.safe_information)
    return max(need / each if each > 0.0 else math.inf for need, each in zip(planned, per_request, strict=True))


def _information_per_request(base_rate: float, share: float, ratio: float) -> float:
    """Return the variance of the score per request of either arm when the arms are equal, in large intervals."""
    weighted = ratio * share + 1.0 - share
    theta, rate = ratio * share / weighted, min(base_rate / weighted, 1.0 / ratio, 1.0)
    of_canary = share * ratio * rate * (1.0 - ratio * rate)
    return (1.0 - theta) ** 2 * of_canary + theta**2 * (1.0 - share) * rate * (1.0 - rate)


def _looked(test: Side, gate: GroupGate, error: float, planned: float, *, last: bool) -> tuple[Side, bool]:
    """Return the test after a look, and whether it crossed its boundary there."""
    before = test.at[-1] if test.at else 0.0
    ended = before >= planned or len(test.at) == gate.looks
    if ended or test.information < before + _LEAST_STEP * planned:
        return test, False
    at = (*test.at, test.information)
    done = last or len(at) == gate.looks
    goal = error if done else spending.spent(gate.spending, error, test.information / planned)
    left = goal - (spending.spent(gate.spending, error, before / planned) if test.at else 0.0)
    boundary = spending.next_boundary(at, test.boundaries, left)
    boundary = min(max(boundary, -_UNREACHABLE), _UNREACHABLE)
    return replace(test, at=at, boundaries=(*test.boundaries, boundary)), test.normal_z >= boundary


def _hopeless(test: Side, gate: GroupGate) -> bool:
    """Whether the z of harm lies below the futility boundary of the last look."""
    if not test.at or test.information != test.at[-1]:
        return False
    drift, planned = math.log(gate.detect_ratio / gate.harm_ratio), gate.harm_information
    lower = spending.futility(
        test.at, test.boundaries, drift, lambda now: spending.spent(gate.spending, 1.0 - gate.power, now / planned)
    )
    return test.normal_z <= lower[-1]


def _grown(test: Side, more: tuple[float, float, float], sign: float, dispersion: float) -> Side:
    return replace(
        test,
        score=test.score + sign * more[0] / dispersion,
        information=test.information + more[1] / dispersion,
        third=test.third + sign * more[2] / dispersion**1.5,
    )


def to_state(evidence: GroupEvidence) -> list[str]:
    """Return the evidence as five strings, bit-exact; some 20 bytes more for every look taken."""
    tests = (evidence.harm, evidence.safe)
    counts = [n for arm in (evidence.canary, evidence.baseline) for n in (arm.bad, arm.total)]
    counts += [_OUTCOMES.index(evidence.outcome), *(len(test.at) for test in tests)]
    sums = [v for test in tests for v in (test.score, test.information, test.third, *test.at, *test.boundaries)]
    return codec.encode(_KIND, evidence.design, counts, sums)


def from_state(gate: GroupGate, state: Sequence[str]) -> GroupEvidence:
    """Return the evidence written by `to_state`; ValueError when it is damaged or of another design."""
    counts, sums = codec.decode(_KIND, _design(gate), state, 7, None)
    outcome, *looks = counts[4:]
    if outcome >= len(_OUTCOMES) or max(looks) > gate.looks or len(sums) != sum(3 + 2 * n for n in looks):
        raise ValueError(f"damaged state: {_KIND} holds looks that do not fit its sums")
    tests = []
    for n in looks:
        tests.append(Side(sums[0], sums[1], sums[2], sums[3 : 3 + n], sums[3 + n : 3 + 2 * n]))
        sums = sums[3 + 2 * n :]
    canary, baseline = ArmCounts(*counts[:2]), ArmCounts(*counts[2:4])
    return GroupEvidence(_design(gate), canary, baseline, tests[0], tests[1], _OUTCOMES[outcome])


def _design(gate: GroupGate) -> str:
    numbers = (gate.alpha, gate.beta, gate.power, gate.harm_ratio, gate.margin_ratio, gate.detect_ratio)
    return codec.fingerprint((gate.looks, *map(float, numbers), float(gate.dispersion), gate.spending, gate.futility))


def _require_design(evidence: GroupEvidence, gate: GroupGate) -> None:
    if evidence.design != _design(gate):
        raise ValueError(f"evidence of design {evidence.design} judged by a gate of design {_design(gate)}")
