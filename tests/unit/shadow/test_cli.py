"""The command, as people and scripts run it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import CliRunner, Result

from chaffinch_shadow.cli import app, main
from support.repository import checkout
from unit.shadow.asah import asah
from unit.shadow.builders import write

ROW_1 = "85,1,10,17,1853,902,104,34103"
PL1_TO_PL2 = "78,17,0,18,1091,866,0,35005"


def run(*arguments: str | Path, status: int = 0) -> Result:
    """Run the command inside this process; its exit status must be the given one."""
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == status, done.output
    return done


def analysed(*arguments: str | Path) -> dict[str, Any]:
    """What the command says as JSON."""
    found: dict[str, Any] = json.loads(run("analyze", *arguments, "-o", "json").stdout)
    return found


def process(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own."""
    command = [sys.executable, "-m", "chaffinch_shadow", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_a_process_of_its_own(tmp_path: Path) -> None:
    """From a file to JSON on stdout alone with status 0; a verdict that was not asked for is 3; bad input is 2."""
    rows = write(tmp_path / "rows.csv", "label,control,candidate\n1,1,0\n1,0,1\n0,0,0")
    done = process("analyze", "--rows", rows, "-o", "json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["cells"] == [1, 0, 0, 0, 0, 1, 1, 0]
    assert process("analyze", "--rows", rows, "--fail-unless", "Promote").returncode == 3
    bad = process("analyze", "--rows", write(tmp_path / "bad.csv", "label,control,candidate\n1,1,2"))
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr == (
        f'chaffinch-shadow: {tmp_path / "bad.csv"}, line 2, column "candidate": "2" must be 0 or 1 (or false, true)\n'
    )


def test_the_installed_command() -> None:
    """The console script that the distribution declares leads to this command."""
    assert checkout.project()["project"]["scripts"]["chaffinch-shadow"] == f"{main.__module__}:{main.__name__}"


def test_cells_as_json() -> None:
    """The documented keys, and the numbers of the rule sets: per label class and overall."""
    found = analysed("--cells", ROW_1)
    assert found["cells"] == [int(count) for count in ROW_1.split(",")]
    assert {"discordant", "tests", "metrics", "auc", "verdict", "reasons"} <= set(found)
    mcnemar = found["tests"]["mcnemar"]
    assert mcnemar["positive"]["chi2"] == pytest.approx(633.0059642147, rel=1e-9)
    assert mcnemar["negative"]["exact"] == pytest.approx(0.01171875, rel=1e-9)
    assert mcnemar["negative"]["midp"] == pytest.approx(0.00634765625, rel=1e-9)
    assert {"exact", "midp", "chi2", "chi2Corrected"} <= set(mcnemar)
    positive = found["discordant"]["positive"]
    assert [positive[key] for key in ("b", "c", "lost", "gained")] == [104, 902, 104, 902]
    assert [found["discordant"]["negative"][key] for key in ("b", "c", "lost", "gained")] == [10, 1, 1, 10]
    assert [found["discordant"][key] for key in ("b", "c")] == [105, 912]
    mcc = next(each for each in found["metrics"] if each["name"] == "mcc")
    assert {"name", "control", "candidate", "difference", "interval", "method"} <= set(mcc)
    assert [round(mcc[key], 4) for key in ("control", "candidate")] == [0.1423, 0.1899]
    assert mcc["interval"][0] < mcc["difference"] < mcc["interval"][1]
    assert mcc["bootstrap"] == pytest.approx(mcc["interval"], abs=2e-3)
    assert found["auc"]["control"] == "NotAvailable"
    assert (found["verdict"], found["reasons"][0]["reason"]) == ("Hold", "DetectionsLost")


def test_cells_as_a_table() -> None:
    """The verdict first, its reasons, then the tables; and a status for scripts when they ask."""
    shown = run("analyze", "--cells", PL1_TO_PL2).stdout
    assert shown.startswith("Reject\n  falsePositiveRate got worse by 0.1504")
    assert re.search(r"false alarm alone +0 +17 +7.63e-06 +1.53e-05 +5.62e-05", shown)
    assert re.search(r"mcc +0.18991 +0.20843 +\+0.01852", shown)
    run("analyze", "--cells", PL1_TO_PL2, "--fail-unless", "Promote", status=3)


def test_counts_above_two_to_the_53rd_go_through() -> None:
    """They come back as they went in."""
    big = 2**60 + 1
    assert analysed("--cells", f"{big},0,0,0,0,1,0,{big}")["cells"] == [big, 0, 0, 0, 0, 1, 0, big]


def test_a_class_absent_is_told_as_such() -> None:
    """No attack: MCC is the word NotAvailable with why, nothing is null or NaN, and the verdict is Inconclusive."""
    found = analysed("--cells", "90,2,3,5,0,0,0,0")
    mcc = next(each for each in found["metrics"] if each["name"] == "mcc")
    assert mcc["control"] == mcc["difference"] == mcc["interval"] == "NotAvailable"
    assert mcc["why"] == "no request of label 1"
    assert found["verdict"] == "Inconclusive"


def test_no_request_at_all() -> None:
    """Eight zeros: every p is 1, nothing is available, Inconclusive for lack of labels."""
    found = analysed("--cells", "0,0,0,0,0,0,0,0")
    assert found["tests"]["mcnemar"]["midp"] == 1.0
    assert found["tests"]["mcnemar"]["chi2"] == "NotAvailable"
    assert (found["verdict"], found["reasons"][0]["reason"]) == ("Inconclusive", "NoLabels")


def test_rows_with_everything(tmp_path: Path) -> None:
    """A Parquet file with scores, clusters, strata and times: areas by DeLong, robust tests, parts."""
    poor, scores = asah()
    table = {
        "label": poor,
        "control": scores["s100b"] > 10,
        "candidate": scores["wfns"] > 2,
        "control_score": scores["s100b"],
        "candidate_score": scores["wfns"],
        "cluster": [f"ward {k % 20}" for k in range(113)],
        "stratum": ["early" if k % 2 else "late" for k in range(113)],
        "time": np.arange(113),
    }
    parquet.write_table(pa.table(table), tmp_path / "rows.parquet")
    found = analysed("--rows", tmp_path / "rows.parquet")
    assert found["auc"]["z"] == pytest.approx(2.20898359144, rel=1e-9)
    assert found["auc"]["method"] == "DeLong"
    assert found["auc"]["interval"] == pytest.approx([0.0104062, 0.1742144], abs=1e-7)
    assert found["tests"]["mcnemar"]["clusterRobust"]["clusters"] <= 20
    assert {each["method"] for each in found["metrics"]} == {"DeltaClustered"}
    assert {each["name"] for each in found["strata"]} == {"early", "late"}
    binned = analysed("--rows", tmp_path / "rows.parquet", "--auc", "binned")["auc"]
    assert binned["binBound"] > 0.0
    assert binned["control"] == pytest.approx(found["auc"]["control"], abs=binned["binBound"] + 1e-12)


def test_two_files_of_results(tmp_path: Path) -> None:
    """Joined by request id; what could not be paired is told, and makes the verdict Inconclusive."""
    control = write(tmp_path / "a.csv", "request_id,outcome,label\nr1,1,1\nr2,0,0\nr3,0,1")
    candidate = write(tmp_path / "b.csv", "request_id,outcome\nr3,1\nr1,1\nr9,1")
    done = run("analyze", control, candidate, "-o", "json")
    found = json.loads(done.stdout)
    assert found["cells"] == [0, 0, 0, 0, 0, 1, 0, 1]
    assert (found["requests"], found["expected"]) == (2, 4)
    assert "2 requests are in one file only" in done.stderr
    assert found["reasons"][0]["reason"] == "CoverageLow"


def test_graded_outcomes(tmp_path: Path) -> None:
    """Tests of margins and symmetry, and weighted kappa, of allow, challenge, block."""
    text = "label,control,candidate\n" + "1,challenge,block\n" * 6 + "0,allow,allow\n" * 9 + "1,block,challenge\n"
    found = analysed(
        "--rows", write(tmp_path / "g.csv", text), "--outcomes", "allow,challenge,block", "--positive", "block"
    )
    assert found["tests"]["bowker"]["statistic"] == pytest.approx(25 / 7)
    assert found["tests"]["stuartMaxwell"]["df"] == 1
    assert found["agreement"]["weightedKappa"]["value"] > found["agreement"]["kappa"]["value"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give one of --cells, --rows, or two files"),
        (("--cells", "1,2,3"), "3 counts where eight are needed"),
        (("--cells", "1,2,3,4,5,6,7,-8"), 'c7 is "-8"; counts are whole numbers'),
        (("--cells", ROW_1, "--guardrail", "recall"), "write metric=limit"),
        (("--cells", ROW_1, "--guardrail", "speed=1"), '"speed" is no metric: choose one of accuracy'),
        (("--cells", ROW_1, "--prevalence", "often"), "write a share, such as 0.01"),
        (("--cells", ROW_1, "--alpha", "2"), "alpha must lie strictly between 0 and 1"),
        (("--cells", ROW_1, "-o", "xml"), "-o must be table, json"),
        (("one.csv",), "two files of results are needed"),
        (("--rows", "none.csv"), "none.csv: there is no such file"),
    ],
)
def test_what_cannot_be_understood_is_refused(arguments: tuple[str, ...], said: str) -> None:
    """Status 2, nothing on stdout, one sentence with the way out and no traceback."""
    done = run("analyze", *arguments, status=2)
    assert done.stdout == ""
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_plan() -> None:
    """How many discordant pairs and requests, for one look and for looks at any time."""
    found = json.loads(run("plan", "--ratio", "2", "--discordance", "0.0274", "-o", "json").stdout)
    assert found["fixedN"] == {"discordant": 69, "requests": 2519}
    assert found["alwaysValid"]["discordant"] > 69
    assert "looks at any time" in run("plan").stdout
    assert "ratio must not be 1" in run("plan", "--ratio", "1", status=2).stderr


def test_help_has_examples() -> None:
    """Each command shows how it is used."""
    assert "chaffinch-shadow analyze --cells 85,1,10" in run("analyze", "--help").stdout
    assert "chaffinch-shadow plan --ratio 2" in run("plan", "--help").stdout
