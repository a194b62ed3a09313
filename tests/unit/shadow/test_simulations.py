"""The simulations of paired comparisons with fewer runs: every claim of theirs, and where the usual test fails."""

from pathlib import Path

import pytest

from perf.simulations import shadow
from perf.simulations.cells import Share
from perf.simulations.scenarios import Scenario


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [pytest.param(each, id=each.name) for each in shadow.SHADOW])
def test_every_claim_holds(scenario: Scenario) -> None:
    """Error rates by their exact 99.9 % bounds, power and delays as claimed."""
    assert [cell for cell in scenario.run(scenario.quick) if not cell.holds] == []


@pytest.mark.slow
def test_the_unpaired_chi_square_misses_what_mcnemar_finds() -> None:
    """On the same counts, with a true difference, it finds one in twenty where McNemar finds four in five."""
    found = {
        cell.rule: cell for cell in shadow.stopping(2000) if cell.case.startswith("1.5") and isinstance(cell, Share)
    }
    assert found["McNemar"].share > 0.75
    assert found["unpaired chi-square"].upper < 0.1


@pytest.mark.slow
def test_the_unpaired_chi_square_promotes_what_does_harm() -> None:
    """Accuracy compared by it promotes most candidates that add false alarms or lose detections; our verdict none."""
    for cell in shadow.verdicts(1000):
        if cell.case in ("more false alarms", "lost detections, more gained") and isinstance(cell, Share):
            assert cell.share > 0.5 if "accuracy" in cell.rule else cell.share == 0.0


@pytest.mark.slow
def test_the_runner_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A heading for each scenario, and a status that says whether the claims hold."""
    page = tmp_path / "page.md"
    status = shadow.main(["--runs", "2000", "--markdown", str(page)])
    text = page.read_text()
    assert all(f"## {each.title} ({each.goal})" in text for each in shadow.SHADOW)
    assert status == int("**missed**" in text)
    assert capsys.readouterr().out == ""
