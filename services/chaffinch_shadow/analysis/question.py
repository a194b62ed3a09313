"""What is asked of the data, fixed before it is looked at."""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from chaffinch_stats.checks import require_count, require_open_unit, require_positive
from chaffinch_stats.paired import Metric

LOST_DETECTIONS = "lostDetections"
"""Guardrail on the share of attacks that the control detects and the candidate does not; gains do not count against."""

AUC = "auc"
"""Guardrail on the area under the ROC curve, where there are scores."""
ERROR_RATE = "errorRate"
"""Guardrail on the share of copies that a version fails: no answer, or a status of 500 and more."""
LATENCY_P99 = "latencyP99"
"""Guardrail on the 99th percentile of latency; its limit is a ratio, candidate to control."""
WITHOUT_LABELS = frozenset({ERROR_RATE, LATENCY_P99})
"""Guardrails that no label, and no complete coverage, is needed to see breached."""
_MOST_RATIO = 100.0


class Aim(StrEnum):
    """What the candidate must show."""

    SUPERIORITY = "Superiority"
    NON_INFERIORITY = "NonInferiority"


class Design(StrEnum):
    """How often the data may be looked at."""

    FIXED_N = "FixedN"
    ALWAYS_VALID = "AlwaysValid"


@dataclass(frozen=True, slots=True)
class Guardrail:
    """By how much a metric may get worse at most: rise, for rates of false alarms, losses and errors; else fall.

    The limit of latencyP99 is how many times the control's it may be.

    Raises:
        ValueError: an unknown metric, or a limit outside [0, 1); for latencyP99 outside [1, 100].

    """

    metric: str
    limit: float

    def __post_init__(self) -> None:
        known = [*Metric, LOST_DETECTIONS, AUC, ERROR_RATE, LATENCY_P99]
        if self.metric not in known:
            raise ValueError(f'"{self.metric}" is no metric: choose one of {", ".join(known)}')
        if self.metric == LATENCY_P99:
            if not 1.0 <= self.limit <= _MOST_RATIO:
                raise ValueError(f"the limit of latencyP99 is a ratio from 1 to {_MOST_RATIO:g}, got {self.limit}")
        elif not 0.0 <= self.limit < 1.0:
            raise ValueError(f"the limit of {self.metric} must be at least 0 and below 1, got {self.limit}")


DEFAULT_GUARDRAILS = (Guardrail(Metric.FALSE_POSITIVE_RATE, 0.001),)


@dataclass(frozen=True, slots=True)
class Question:
    """Hypothesis, guardrails and what the evidence must be like.

    Attributes:
        aim: what the candidate must show on `metric`.
        metric: the primary metric.
        margin: NonInferiority: how much worse is still as good. Superiority: how much better it must be at least.
        alpha: chance of a wrong claim, for each of the two sides.
        design: FixedN for one look, AlwaysValid for any number.
        planned: AlwaysValid: requests at which the limits are tightest.
        prevalence: share of label 1 that metrics are to hold for; None for that of the data.
        guardrails: what must not get worse.
        max_lost: lost detections that need no human eye; unless a guardrail on them is set.
        min_labelled: share of the requests that must have a label.
        min_coverage: share of the requests that must be in the data, where it is known.

    Raises:
        ValueError: naming the field that is out of range.

    """

    aim: Aim = Aim.NON_INFERIORITY
    metric: Metric = Metric.MCC
    margin: float = 0.01
    alpha: float = 0.05
    design: Design = Design.FIXED_N
    planned: int = 10_000
    prevalence: Fraction | None = None
    guardrails: tuple[Guardrail, ...] = DEFAULT_GUARDRAILS
    max_lost: int = 0
    min_labelled: float = 0.0
    min_coverage: float = 0.999

    def __post_init__(self) -> None:
        require_open_unit(self.alpha, "alpha")
        require_positive(self.planned, "planned")
        require_count(self.max_lost, "max-lost")
        if not 0.0 <= self.margin < 1.0:
            raise ValueError(f"margin must be at least 0 and below 1, got {self.margin}")
        if self.prevalence is not None:
            require_open_unit(float(self.prevalence), "prevalence")
        for name, share in (("min-labelled", self.min_labelled), ("min-coverage", self.min_coverage)):
            if not 0.0 <= share <= 1.0:
                raise ValueError(f"{name} must lie between 0 and 1, got {share}")
        metrics = [guardrail.metric for guardrail in self.guardrails]
        if len(set(metrics)) < len(metrics):
            raise ValueError("guardrails must be on different metrics, one limit each")

    @property
    def watches_losses(self) -> bool:
        """Whether a guardrail says how many detections may be lost."""
        return any(guardrail.metric == LOST_DETECTIONS for guardrail in self.guardrails)
