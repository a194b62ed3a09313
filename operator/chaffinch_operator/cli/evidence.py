"""How far each gate is: its evidence against what it takes to fail or to pass. Pure.

A gate fails at log(gates/alpha) and passes at log(1/beta); all acting count gates share alpha, beta is not shared.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from chaffinch_operator.canary.gates import COUNTING, Kind, ResolvedGate, number_of_tests, resolve
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import Verdict
from chaffinch_operator.canary.sources import Naming
from chaffinch_operator.canary.status import Counts, GateStatus
from chaffinch_operator.cli.rollout import Rollout
from chaffinch_operator.cli.words import number
from chaffinch_stats import harm_threshold, safe_threshold

_NO_NAMES = Naming(namespace="", route="", stable_pods="", canary_pods="")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What it takes: natural logarithms of e-values."""

    alpha: float
    beta: float
    sharing: int
    """How many gates share alpha."""

    @property
    def harm(self) -> float:
        """A gate fails from here on."""
        return harm_threshold(self.sharing, self.alpha)

    @property
    def safe(self) -> float:
        """A gate passes from here on."""
        return safe_threshold(self.beta)


@dataclass(frozen=True, slots=True)
class Meter:
    """Evidence of one kind on its way to its threshold, both as natural logarithms."""

    log_e: float
    threshold: float

    @property
    def progress(self) -> float:
        """From 0 (none, or against) to 1 (enough), on the logarithmic scale."""
        return min(1.0, max(0.0, self.log_e / self.threshold))

    @property
    def reached(self) -> bool:
        """Whether it is enough."""
        return self.log_e >= self.threshold

    @property
    def chance(self) -> float:
        """The largest chance of ever seeing this much if the opposite is true (Ville's inequality)."""
        return math.exp(-max(0.0, self.log_e))

    @property
    def limit(self) -> float:
        """The chance at which it is enough: alpha shared between the gates, or beta."""
        return math.exp(-self.threshold)


@dataclass(frozen=True, slots=True)
class GateView:
    """One gate as it is shown: the status and what follows from it."""

    status: GateStatus
    kind: Kind | None
    """None when the spec does not have the gate any more, or cannot be read."""
    harm_ratio: float
    margin_ratio: float
    safe_below: float | None
    max_ratio: float | None
    harm: Meter | None
    safe: Meter | None
    ratio: float | None
    interval: tuple[float, float] | None
    p_value: float | None
    compared: str = "stable"
    """What the canary is compared with: stable, or a baseline of its own."""

    @property
    def name(self) -> str:
        """Its name in the spec."""
        return self.status.name

    @property
    def verdict(self) -> Verdict:
        """What it says."""
        return self.status.verdict

    @property
    def undecided(self) -> bool:
        """Whether promotion waits for it."""
        return not self.status.dry_run and self.verdict in (Verdict.NO_DATA, Verdict.INCONCLUSIVE)

    @property
    def sentence(self) -> str:
        """The operator's sentence, without the gate's name in front."""
        return self.status.message.removeprefix(f"{self.name}: ")

    @property
    def planned(self) -> bool:
        """Whether it is judged at planned looks: then its sentence tells of them, and there are no e-values."""
        return self.status.method == "GroupSequential"

    @property
    def canary_share(self) -> float | None:
        """The canary's share of bad events."""
        return _share(self.status.canary)

    @property
    def baseline_share(self) -> float | None:
        """The baseline's share of bad events."""
        return _share(self.status.baseline)


def thresholds_of(spec: CanaryRolloutSpec | None) -> Thresholds | None:
    """The thresholds of a spec; None where it cannot be read."""
    gates = _resolved(spec)
    if spec is None or gates is None:
        return None
    return Thresholds(float(spec.analysis.alpha), float(spec.analysis.beta), number_of_tests(gates))


def gate_views(rollout: Rollout) -> tuple[GateView, ...]:
    """The gates of the status, in its order."""
    thresholds = thresholds_of(rollout.spec)
    by_name = {gate.name: gate for gate in _resolved(rollout.spec) or ()}
    views = (gate_view(gate, by_name.get(gate.name), thresholds) for gate in rollout.status.gates)
    return tuple(replace(view, compared="baseline") if rollout.status.baseline else view for view in views)


def _resolved(spec: CanaryRolloutSpec | None) -> Sequence[ResolvedGate] | None:
    try:
        return resolve(spec, _NO_NAMES) if spec else None
    except ValueError:
        return None


def gate_view(status: GateStatus, gate: ResolvedGate | None, thresholds: Thresholds | None) -> GateView:
    """One gate against what it takes."""
    counting = thresholds if gate and gate.kind in COUNTING else None
    design = gate and (gate.count or gate.rate)
    return GateView(
        status=status,
        kind=gate.kind if gate else None,
        harm_ratio=gate.count.harm_ratio if gate and gate.count else 1.0,
        safe_below=gate.count.safe_below if gate and gate.count else None,
        margin_ratio=design.margin_ratio if design else 1.0,
        max_ratio=gate.rate.max_ratio if gate and gate.rate else None,
        harm=_harm_meter(status, counting.harm) if counting else None,
        safe=_meter(number(status.log_e_safe), counting.safe) if counting else None,
        ratio=number(status.ratio),
        interval=_interval(status.interval),
        p_value=number(status.p_value),
    )


def _harm_meter(status: GateStatus, threshold: float) -> Meter | None:
    """The largest evidence there ever was: harm once proven stays proven, and the p-value remembers it."""
    log_e, p = number(status.log_e_harm), number(status.p_value)
    if log_e is None or p is None or p > 1.0:
        return _meter(log_e, threshold)
    return Meter(max(log_e, -math.log(p) if p > 0.0 else math.inf), threshold)


def _meter(log_e: float | None, threshold: float) -> Meter | None:
    return None if log_e is None else Meter(log_e, threshold)


def _interval(texts: Sequence[str]) -> tuple[float, float] | None:
    numbers = [number(text) for text in texts]
    if len(numbers) != 2 or numbers[0] is None or numbers[1] is None:
        return None
    return numbers[0], numbers[1]


def _share(counts: Counts) -> float | None:
    return counts.bad / counts.total if counts.total else None
