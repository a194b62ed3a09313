"""Sample ratio mismatch: traffic that is not split as intended.

All comparisons of arms are void under a mismatch (Fabijan et al., KDD 2019). The intended share changes from stage to
stage; each stage is tested on its own, and the product of the stages' Bayes factors is an e-process, because every
later factor has conditional expectation 1 given the earlier stages.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from chaffinch_stats import codec, multinomial
from chaffinch_stats.checks import require_closed_unit, require_count
from chaffinch_stats.mixtures import p_from_log_e

SPLIT_ALPHA = 0.001
"""Usual level of a sample ratio check (Fabijan et al. 2019)."""

LOG_CONTRADICTION = 1e6
"""Log e-value of a stage that saw what its intended share of 0 or 1 rules out: infinite, kept finite for storage."""

_KIND = "split/1"
_DESIGN = codec.fingerprint((multinomial.DEFAULT_CONCENTRATION, LOG_CONTRADICTION))
_NO_STAGE = -1.0


@dataclass(frozen=True, slots=True)
class SplitEvidence:
    """Counts of the running stage and the banked evidence of the finished ones.

    Attributes:
        share: intended canary share of the running stage, or None before the first.
        canary: requests of the canary in the running stage.
        baseline: requests of the baseline in the running stage.
        banked: sum of the finished stages' log Bayes factors.
        log_peak: running maximum of the log e-value, at least 0.

    """

    share: float | None = None
    canary: int = 0
    baseline: int = 0
    banked: float = 0.0
    log_peak: float = 0.0

    @classmethod
    def start(cls) -> "SplitEvidence":
        """Return evidence of nothing: the e-value is 1."""
        return cls()


def update(evidence: SplitEvidence, canary: int, baseline: int, canary_share: float) -> SplitEvidence:
    """Return the evidence after requests split as (canary, baseline) while `canary_share` was intended.

    A share other than that of the running stage finishes that stage and begins another.

    Raises:
        TypeError: counts that are not integers.
        ValueError: negative counts or a share outside [0, 1].

    """
    require_count(canary, "canary")
    require_count(baseline, "baseline")
    require_closed_unit(canary_share, "canary_share")
    if canary_share != evidence.share:
        evidence = SplitEvidence(canary_share, 0, 0, log_e(evidence), evidence.log_peak)
    grown = replace(evidence, canary=evidence.canary + canary, baseline=evidence.baseline + baseline)
    return replace(grown, log_peak=max(grown.log_peak, log_e(grown)))


def log_e(evidence: SplitEvidence) -> float:
    """Return the log e-value against "every stage was split as intended"."""
    return evidence.banked + _log_stage(evidence)


def p_value(evidence: SplitEvidence) -> float:
    """Return the always-valid p-value: min(1, 1/max over time of E)."""
    return p_from_log_e(evidence.log_peak)


def _log_stage(evidence: SplitEvidence) -> float:
    """Return the running stage's log Bayes factor: Beta(100*share, 100*(1-share)) against the share itself."""
    share, canary, baseline = evidence.share, evidence.canary, evidence.baseline
    if share is None:
        return 0.0
    if share in (0.0, 1.0):
        contrary = canary if share == 0.0 else baseline
        return LOG_CONTRADICTION if contrary else 0.0
    return multinomial.log_bayes_factor((canary, baseline), (share, 1.0 - share))


def to_state(evidence: SplitEvidence) -> list[str]:
    """Return the evidence as five strings, bit-exact; see `codec`."""
    share = _NO_STAGE if evidence.share is None else evidence.share
    sums = (share, evidence.banked, evidence.log_peak)
    return codec.encode(_KIND, _DESIGN, (evidence.canary, evidence.baseline), sums)


def from_state(state: Sequence[str]) -> SplitEvidence:
    """Return the evidence written by `to_state`; ValueError when the state is damaged or of another kind."""
    (canary, baseline), (share, banked, log_peak) = codec.decode(_KIND, _DESIGN, state, 2, 3)
    if share != _NO_STAGE and not 0.0 <= share <= 1.0:
        raise ValueError(f"damaged state: {_KIND} holds a share of {share}")
    return SplitEvidence(None if share == _NO_STAGE else share, canary, baseline, banked, log_peak)


def implied_share(evidence: SplitEvidence) -> float:
    """Return the share the running stage really had; nan before any request."""
    requests = evidence.canary + evidence.baseline
    return evidence.canary / requests if requests else math.nan
