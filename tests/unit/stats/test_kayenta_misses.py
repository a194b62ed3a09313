"""Three cases that Kayenta's Mann-Whitney judge passes, and its users wanted failed.

kayenta#426 and spinnaker#6278 are counts and judged here, with equal traffic in both arms. kayenta#780 case 1 is a
continuous metric without counts (and its canary varies less than its baseline): not a case for a count gate.
"""

import pytest

from chaffinch_stats import CountGate, harm_threshold, log_e_harm, log_e_safe, safe_threshold
from unit.stats.builders import after, interval

DEFAULTS = [CountGate(), CountGate(safe_below=0.001), CountGate(safe_below=0.01), CountGate(margin_ratio=2.0)]


@pytest.mark.parametrize("gate", DEFAULTS)
@pytest.mark.parametrize("requests", [4, 100, 500])
def test_rare_errors_against_none_are_never_passed(gate: CountGate, requests: int) -> None:
    """#426: errors 0, 1, 2, 1, 0, 0 against none. Too few to roll back at equal traffic, and never called safe."""
    evidence = after([interval(x, requests, 0, requests) for x in (0, 1, 2, 1, 0, 0)], gate)
    if gate.safe_below is None or requests * 6 * gate.safe_below < 4:
        assert log_e_safe(evidence, gate) < safe_threshold(0.05)
    assert log_e_harm(evidence, gate) > 1.5


def test_rare_errors_at_a_tenth_of_the_traffic_roll_back() -> None:
    """#426 with nine times the traffic on the baseline: four errors against none are enough."""
    evidence = after([interval(x, 100, 0, 900) for x in (0, 1, 2, 1, 0, 0)])
    assert log_e_harm(evidence, CountGate()) >= harm_threshold(1, 0.05)


@pytest.mark.parametrize("hundreds", [7, 8])
@pytest.mark.parametrize("requests", [1000, 100_000])
def test_seven_of_ten_points_a_hundredfold_roll_back(hundreds: int, requests: int) -> None:
    """#6278: seven or eight of ten intervals with 100 errors against one each: rolled back at the first."""
    errors = [100] * hundreds + [1] * (10 - hundreds)
    evidence = [after([interval(x, requests, 1, requests) for x in errors[:n]]) for n in (1, 10)]
    assert all(log_e_harm(each, CountGate()) >= harm_threshold(10, 0.01) for each in evidence)
    assert log_e_safe(evidence[1], CountGate()) < safe_threshold(0.05)
