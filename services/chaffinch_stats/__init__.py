"""Anytime-valid statistics for releases: pure functions over frozen records.

No clock, no I/O, no logging, no third-party imports. The two-arm count gate is exported by name; the absolute gate and
the traffic split live in `one_sample` and `sample_ratio` with functions of the same names.
"""

from chaffinch_stats import (
    combine,
    counts,
    dispersion,
    group_sequential,
    group_timing,
    hypergeometric,
    method,
    mixture_bounds,
    multinomial,
    one_sample,
    planning,
    quantiles,
    races,
    sample_ratio,
    spending,
    timing,
)
from chaffinch_stats.combine import harm_threshold, safe_threshold
from chaffinch_stats.count_gate import CountGate
from chaffinch_stats.counts import (
    ArmCounts,
    CountEvidence,
    Interval,
    confidence_sequence,
    from_state,
    log_e_harm,
    log_e_harm_grid,
    log_e_safe,
    log_e_safe_grid,
    log_e_safe_rate,
    p_value,
    ratio,
    ratio_and_limits,
    to_state,
    update,
)
from chaffinch_stats.one_sample import RateEvidence, RateGate
from chaffinch_stats.planning import (
    rate_requests_to_pass,
    rate_requests_to_reject,
    requests_to_pass,
    requests_to_reject,
)
from chaffinch_stats.sample_ratio import SPLIT_ALPHA, SplitEvidence

__all__ = [
    "SPLIT_ALPHA",
    "ArmCounts",
    "CountEvidence",
    "CountGate",
    "Interval",
    "RateEvidence",
    "RateGate",
    "SplitEvidence",
    "combine",
    "confidence_sequence",
    "counts",
    "dispersion",
    "from_state",
    "group_sequential",
    "group_timing",
    "harm_threshold",
    "hypergeometric",
    "log_e_harm",
    "log_e_harm_grid",
    "log_e_safe",
    "log_e_safe_grid",
    "log_e_safe_rate",
    "method",
    "mixture_bounds",
    "multinomial",
    "one_sample",
    "p_value",
    "planning",
    "quantiles",
    "races",
    "rate_requests_to_pass",
    "rate_requests_to_reject",
    "ratio",
    "ratio_and_limits",
    "requests_to_pass",
    "requests_to_reject",
    "safe_threshold",
    "sample_ratio",
    "spending",
    "timing",
    "to_state",
    "update",
]
