"""What the judges of all kinds of gates share: thresholds, the status to go on from, verdicts and words. Pure."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from chaffinch_operator.canary.gates import ResolvedGate, number_of_tests
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import Verdict
from chaffinch_operator.canary.status import Counts, GateStatus
from chaffinch_stats import ArmCounts, harm_threshold, safe_threshold

E = TypeVar("E")
Changes = dict[str, object]
"""Fields of a gate's status that an interval changes, by name."""
MESSAGE = 300
"""Characters of a gate's sentence: ten gates must fit in 16 KiB with their evidence."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When evidence is enough, in natural logs."""

    harm: float
    safe: float
    alpha: float

    @classmethod
    def of(cls, spec: CanaryRolloutSpec, gates: Sequence[ResolvedGate]) -> "Thresholds":
        """e-Bonferroni over the acting gates for harm; intersection-union for safety."""
        alpha = float(spec.analysis.alpha)
        return cls(harm_threshold(number_of_tests(gates), alpha), safe_threshold(float(spec.analysis.beta)), alpha)


def fresh(gate: ResolvedGate, old: GateStatus | None) -> GateStatus:
    """The status to go on from: the old one, unless the gate was changed."""
    if old is not None and old.design == gate.design:
        return old if old.dry_run == gate.dry_run else old.model_copy(update={"dry_run": gate.dry_run})
    return GateStatus(name=gate.name, design=gate.design, dry_run=gate.dry_run, message=f"{gate.name}: no data yet")


def restored(read: Callable[[Sequence[str]], E], old: GateStatus, start: E) -> E:
    """The evidence so far. What is damaged, or of another version, proves nothing: the gate starts anew."""
    try:
        return read(old.evidence) if old.evidence else start
    except ValueError:
        return start


def verdict_of(p: float, harm: float, safe: float, thresholds: Thresholds, canary_total: int) -> Verdict:
    """What e-processes say: harm that was proven once stays proven."""
    if canary_total == 0:
        return Verdict.NO_DATA
    if max(harm, -math.log(p) if p > 0 else math.inf) >= thresholds.harm:
        return Verdict.FAIL
    return Verdict.PASS if safe >= thresholds.safe else Verdict.INCONCLUSIVE


def counted(arm: ArmCounts) -> Counts:
    """An arm as status has it."""
    return Counts(bad=arm.bad, total=arm.total)


def share(arm: ArmCounts) -> str:
    """42 of 1,310 (3.21 %)."""
    percent = f" ({arm.bad / arm.total:.2%})".replace("%", " %") if arm.total else ""
    return f"{arm.bad:,} of {arm.total:,}{percent}"


def times(ratio: float | None) -> str:
    """The ratio at the end of a sentence; empty while there is none."""
    if ratio is None:
        return ""
    return ": only the canary" if math.isinf(ratio) else f": {ratio:.2g}x"


def short(value: float) -> str:
    """A number as status has it."""
    return f"{value:.6g}"
