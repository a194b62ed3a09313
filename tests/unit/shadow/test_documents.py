"""What the pages of the shadow evaluation show is what the code says."""

import re

import pytest
from typer.testing import CliRunner

from chaffinch_shadow.analysis.analyse import analyse_cells
from chaffinch_shadow.analysis.question import Guardrail, Question
from chaffinch_shadow.analysis.verdict import Verdict
from chaffinch_shadow.cli import app
from chaffinch_shadow.document import document
from chaffinch_stats.paired import Metric
from chaffinch_stats.paired.mcnemar import mcnemar
from support.repository import checkout
from unit.stats.paired_data import CRS3_TO_CRS4

STATISTICS, MANUAL = "docs/shadow/statistics.md", "docs/shadow/analyze.md"


def test_the_worked_example_is_what_the_command_prints() -> None:
    """The page shows the output word for word."""
    shown = re.search(r"```text\n\$ chaffinch-shadow (.*)\n((?:.*\n)*?)```", checkout.text(STATISTICS))
    assert shown is not None
    assert CliRunner().invoke(app, shown[1].split()).stdout == shown[2]


def test_the_numbers_of_the_other_pair() -> None:
    """McNemar's statistic of right verdicts, the verdict, and the guardrail that the page names as the way out."""
    page = checkout.text(STATISTICS)
    right = CRS3_TO_CRS4.correct
    chi2 = mcnemar(right.control_only, right.candidate_only).chi2
    assert f"| {chi2:.1f} |" in page
    assert ",".join(map(str, CRS3_TO_CRS4.counts)) in page
    assert analyse_cells(CRS3_TO_CRS4, Question()).verdict == "Hold"
    rails = (Guardrail("falsePositiveRate", 0.001), Guardrail("lostDetections", 0.005))
    assert "--guardrail lostDetections=0.005" in page
    assert analyse_cells(CRS3_TO_CRS4, Question(guardrails=rails)).verdict == "Promote"


def test_the_manual_names_every_key_metric_and_option() -> None:
    """Keys of the JSON document, metrics, verdicts and options of the command."""
    page = checkout.text(MANUAL) + checkout.text(STATISTICS)
    found = document(analyse_cells(CRS3_TO_CRS4, Question()))
    words = [*found, *(metric.value for metric in Metric), *(verdict.value for verdict in Verdict)]
    assert [word for word in words if word not in page] == []
    manual = CliRunner().invoke(app, ["analyze", "--help"]).stdout
    options = set(re.findall(r"^ +(--[a-z-]+)", manual, re.MULTILINE)) - {"--help", "--seed"}
    assert options
    assert sorted(option for option in options if option not in page) == []


@pytest.mark.parametrize("heading", ["Looking again and again", "Versions that differ", "Requests that hang together"])
def test_the_page_of_simulations_holds_its_claims(heading: str) -> None:
    """All claims of the long run held."""
    page = checkout.text("docs/shadow/simulations.md")
    assert f"## {heading}" in page
    assert "holds" in page
    assert "**missed**" not in page
