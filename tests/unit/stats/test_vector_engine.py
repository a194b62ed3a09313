"""The simulations' numpy engine and the package agree, look by look."""

import math

import numpy as np
import pytest

from chaffinch_stats import (
    CountEvidence,
    CountGate,
    SplitEvidence,
    confidence_sequence,
    log_e_harm,
    log_e_safe,
    p_value,
    sample_ratio,
    update,
)
from unit.stats import vector_engine
from unit.stats.builders import interval

RAMP = np.repeat([0.05, 0.1, 0.25, 0.5], 5)


@pytest.mark.parametrize(
    "gate",
    [
        CountGate(),
        CountGate(harm_ratio=1.2, margin_ratio=2.0, dispersion=3.0),
        CountGate(safe_below=0.01, dispersion=1.5),
        CountGate(method="Fisher", harm_ratio=0.9),
    ],
)
def test_engines_agree_on_every_look(gate: CountGate) -> None:
    """E_harm, E_safe and the p-value of the package equal the numpy engine's on a ramp with drifting rates."""
    rng = np.random.default_rng(11)
    base = np.linspace(0.002, 0.02, RAMP.size)
    runs = vector_engine.draw(rng, 12, 800, RAMP, 1.3 * base, base)
    harm, safe = vector_engine.log_e_harm(runs, gate), vector_engine.log_e_safe(runs, gate)
    for run in range(12):
        evidence = CountEvidence.start(gate)
        for look in range(RAMP.size):
            seen = (runs.canary_bad[run, look], runs.canary_total[look])
            other = (runs.baseline_bad[run, look], runs.baseline_total[look])
            evidence = update(evidence, gate, interval(*map(int, (*seen, *other))))
            assert log_e_harm(evidence, gate) == pytest.approx(harm[run, look], abs=1e-9)
            assert log_e_safe(evidence, gate) == pytest.approx(safe[run, look], abs=1e-9)
        assert p_value(evidence) == pytest.approx(math.exp(-max(0.0, harm[run].max())), rel=1e-9)


def test_engines_agree_on_the_confidence_sequence() -> None:
    """A ratio is inside the limits exactly when the numpy mixture's e-value of it is below 1/alpha."""
    gate = CountGate()
    runs = vector_engine.draw(np.random.default_rng(5), 8, 1000, np.full(10, 0.3), np.full(10, 0.03), np.full(10, 0.02))
    for run in range(8):
        evidence = CountEvidence.start(gate)
        for look in range(10):
            seen = (runs.canary_bad[run, look], runs.canary_total[look])
            other = (runs.baseline_bad[run, look], runs.baseline_total[look])
            evidence = update(evidence, gate, interval(*map(int, (*seen, *other))))
        for limit in confidence_sequence(evidence, gate, 0.05):
            e_value = vector_engine.log_e_ratio(runs, limit, points=4001)[run, -1]
            assert e_value == pytest.approx(math.log(20), abs=1e-5)


def test_engines_agree_on_the_split() -> None:
    """The split's Bayes factor equals the numpy engine's at every look."""
    total = np.full(6, 500)
    canary = np.random.default_rng(3).binomial(total, 0.12, size=(5, 6))
    expected = vector_engine.split_log_e(canary, total, 0.1)
    for run in range(5):
        evidence = SplitEvidence.start()
        for look in range(6):
            x = int(canary[run, look])
            evidence = sample_ratio.update(evidence, x, 500 - x, 0.1)
            assert sample_ratio.log_e(evidence) == pytest.approx(expected[run, look], abs=1e-8)
