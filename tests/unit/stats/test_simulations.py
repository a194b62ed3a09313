"""The simulations of `perf.simulations` with fewer runs: every claim of theirs, and that they are what they say."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from chaffinch_stats import CountGate
from perf.simulations import engine, report, rivals
from perf.simulations.__main__ import main
from perf.simulations.cells import Cell, Number, Share
from perf.simulations.scenarios import SCENARIOS, Scenario
from unit.stats import vector_engine


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [pytest.param(s, id=s.name) for s in SCENARIOS if s.quick])
def test_every_claim_holds(scenario: Scenario) -> None:
    """Error rates by their exact 99.9 % bounds, power and delays as claimed, in 2,000 to 5,000 runs a cell."""
    assert [cell for cell in scenario.run(scenario.quick) if not cell.holds] == []


@pytest.mark.slow
@pytest.mark.parametrize(("share", "rate"), [(0.5, 0.1), (0.01, 0.0001)])
def test_a_day_of_looks_keeps_alpha(share: float, rate: float) -> None:
    """1,440 looks at 10 metrics in two far corners of shares and rates: at most 5 % of 2,000 runs (99.9 % bound)."""
    hits, shares, rates = 0, np.full(1440, share), np.full(1440, rate)
    for seed in range(4):
        rng, peak = np.random.default_rng(seed), np.full(500, -math.inf)
        for _ in range(10):
            runs = vector_engine.draw(rng, 500, 2000, shares, rates, rates)
            peak = np.maximum(peak, engine.harm_peak(runs, CountGate()))
        hits += int((peak >= math.log(10 / 0.05)).sum())
    assert Share("", "", hits, 2000, at_most=0.05).holds


def test_group_sequential_delays_are_those_of_theory() -> None:
    """In docs/simulations.md every mean delay of the group sequential mode is within 5 % of its theory, on either side.

    The page claims at most 1.05 times the theory, so the claim holds the theory.
    """
    page = (Path(__file__).resolve().parents[3] / "docs" / "simulations.md").read_text()
    rows = re.findall(r"GroupSequential \w+: mean \| ([\d.]+) \|  \| <= ([\d.]+) holds", page)
    assert len(rows) == 12
    for mean, at_most in rows:
        assert float(mean) == pytest.approx(float(at_most) / 1.05, rel=0.05)


class WrongShare(vector_engine.Runs):
    """Runs of which the numpy engine is told a wrong share."""

    @property
    def share(self) -> vector_engine.Floats:
        """Not canary's share."""
        return np.full(self.canary_total.shape, 0.4)


def test_a_simulation_that_disagrees_with_the_package_is_found() -> None:
    """The check of a simulation against the package passes a right numpy engine and notices a wrong one."""
    rates = np.full(5, 0.05)
    runs = vector_engine.draw(np.random.default_rng(1), 3, 500, np.full(5, 0.5), rates, rates)
    engine.check(runs, CountGate())
    with pytest.raises(engine.EnginesDisagreeError, match="package"):
        engine.check(
            WrongShare(runs.canary_bad, runs.baseline_bad, runs.canary_total, runs.baseline_total), CountGate()
        )


def test_rivals_are_the_textbook_statistics() -> None:
    """Chi-square, CMH over one stratum and Benjamini-Hochberg equal scipy's."""
    table = [[30, 970], [50, 1450]]
    expected = stats.chi2_contingency(table, correction=False).statistic
    arms = (np.array([30.0]), np.array([1000.0]), np.array([50.0]), np.array([1500.0]))
    assert rivals.chi_square(*arms)[0] == pytest.approx(expected)
    one = vector_engine.Runs(np.array([[30]]), np.array([[50]]), np.array([1000]), np.array([1500]))
    assert rivals.cochran_mantel_haenszel(one)[0, 0] == pytest.approx(expected * 2499 / 2500)
    chi = np.array([9.0, 4.5, 0.1, 0.5])[:, None]
    adjusted = stats.false_discovery_control(stats.chi2.sf(chi[:, 0], 1))
    assert bool(rivals.benjamini_hochberg(chi)[0]) == bool((adjusted <= 0.05).any())


def test_the_limits_of_tools_are_counted_as_documented() -> None:
    """FailureLimit allows so many failures; failedChecks rolls back at so many before the passes are in."""
    failed = np.array([[True, False, True, False, False], [True, False, False, True, True]])
    assert rivals.more_failures_than(2, failed).tolist() == [False, True]
    assert rivals.failed_checks(failed, passes_needed=2, threshold=2).tolist() == [True, False]


def test_the_rank_judge_passes_seven_of_ten_a_hundredfold() -> None:
    """spinnaker#6278: seven 100s of ten against ones pass the rank judge, ten do not."""
    ones = np.linspace(0.99, 1.01, 10)[None, :]
    seven = np.array([[100.0, 101, 102, 103, 104, 105, 106, 1.002, 1.003, 1.004]])
    assert rivals.mann_whitney_differs(seven, ones).tolist() == [False]
    assert rivals.mann_whitney_differs(seven * 0 + 100.0, ones).tolist() == [True]


def test_a_claim_is_held_by_its_bound() -> None:
    """3 % of 100 runs do not prove 5 %; 3 % of 10,000 do; power is claimed by the share itself."""
    assert not Share("", "", 3, 100, at_most=0.05).holds
    assert Share("", "", 300, 10_000, at_most=0.05).holds
    assert Share("", "", 96, 100, at_least=0.95).holds
    assert Share("", "", 5, 5).upper == 1.0
    assert not Number("", "", 1.1, 10, at_most=1.0).holds


def test_the_report_says_what_was_missed() -> None:
    """Both reports hold every cell, with a missed claim in bold."""
    cells: list[Cell] = [Share("a", "b", 1, 10, 0.05, None, "9 %"), Number("c", "d", 1234.5, 10, None, 1.0)]
    text = report.markdown({"peeking": cells})
    assert "| a | b | 10.00 % | <= 62.37 % | <= 5.00 % **missed** | 9 % | 10 |" in text
    assert "| c | d | 1,234 |  | >= 1 holds |  | 10 |" in text
    assert [row["holds"] for row in json.loads(report.as_json({"peeking": cells}))] == [False, True]


def test_the_runner_writes_both_reports(tmp_path: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]) -> None:
    """One scenario, few runs: its line, its files, and an exit code that says whether the claims hold."""
    markdown, figures = f"{tmp_path}/x/s.md", f"{tmp_path}/s.json"
    code = main(["--runs", "50", "--only", "splits", "--markdown", markdown, "--json", figures])
    assert code == 1  # 50 runs cannot prove half a percent
    assert "splits:" in capsys.readouterr().out
