"""`backtest` from the shell, without any cluster: what it prints, writes and refuses."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from typer.testing import CliRunner

from chaffinch_operator.cli.app import app
from unit.cli.conftest import Run
from unit.cli.fakes import FakeCluster
from unit.cli.programs import PATH, SAMPLE, chaffinch

_GOLDEN = Path(__file__).parent / "golden"
_SPEC, _CSV = str(SAMPLE / "rollout.yaml"), str(SAMPLE / "history.csv")
_MEASURED = """
import sys
from pathlib import Path
from chaffinch_operator.cli.__main__ import main
sys.argv[0] = "kubectl-chaffinch"
try:
    main()
finally:
    sys.stderr.write(next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM")))
"""
_NUMBERS = {"ratio", "pValue", "logEHarm", "logESafe", "dispersion"}


def _result(*args: str, stdin: str = "") -> dict[str, Any]:
    """The JSON of a replay that works."""
    done = CliRunner().invoke(app, ["backtest", "-f", _SPEC, *args, "-o", "json"], input=stdin)
    assert (done.exit_code, done.stderr) == (0, "")
    document: dict[str, Any] = json.loads(done.stdout, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    return document


def _golden(name: str, text: str) -> None:
    path = _GOLDEN / name
    if os.environ.get("CHAFFINCH_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


def _rounded(value: Any) -> Any:
    """Six digits, as status has them: a better algorithm may change the others."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def sample() -> dict[str, Any]:
    """The replay of the sample in manifests/samples/backtest."""
    return _result("--history", _CSV)


def test_the_json_is_as_recorded(sample: dict[str, Any]) -> None:
    """Every field, of the final state and of every interval."""
    sample = {**sample, "history": {**sample["history"], "source": "history.csv"}}
    _golden("backtest.json", json.dumps(_rounded(sample), indent=1, ensure_ascii=False) + "\n")


def test_the_table_is_as_recorded() -> None:
    """For people: the decision, its sentence, and each gate as `status` shows it."""
    _golden("backtest.txt", chaffinch("backtest", "-f", _SPEC, "--history", _CSV).stdout)


def test_the_document_has_the_promised_shape(sample: dict[str, Any]) -> None:
    """Decision, time, reason, gates with numbers that are numbers, and the same for every interval."""
    assert (sample["decision"], sample["at"], sample["reason"]) == ("Rollback", "2026-01-31T12:08:00Z", "GateFailed")
    assert [i["end"] for i in sample["intervals"]] == [f"2026-01-31T12:{m:02}:00Z" for m in range(1, 9)]
    assert [i["decision"] for i in sample["intervals"]] == ["Hold"] * 7 + ["Rollback"]
    assert sample["intervals"][-1]["gates"] == sample["gates"]
    for gate in sample["gates"]:
        assert set(gate) >= {"name", "verdict", "canary", "baseline", "interval", *_NUMBERS}
        assert all(isinstance(gate[key], float) for key in _NUMBERS)
    errors = sample["gates"][0]
    assert errors["canary"] == {"bad": 117, "total": 7200}
    assert sample["intervals"][0]["gates"][0]["interval"] == pytest.approx([0.2, 8.0], rel=0.9)


def test_what_is_infinite_or_unknown_is_null(tmp_path: Path) -> None:
    """Only the canary had errors: no ratio, no upper limit, and still JSON."""
    history = tmp_path / "h.csv"
    history.write_text(
        "interval_end,arm,gate,bad,total\n2026-01-31T12:01:00Z,canary,errors,3,100\n"
        "2026-01-31T12:01:00Z,baseline,errors,0,100\n"
    )
    errors, slow = _result("--history", str(history))["gates"]
    assert errors["ratio"] is None
    assert errors["interval"][1] is None
    assert (slow["verdict"], slow["ratio"], slow["interval"]) == ("NoData", None, [None, None])


def test_the_order_of_rows_does_not_change_a_byte(tmp_path: Path) -> None:
    """Shuffled, with CRLF, a byte order mark, and every row twice."""
    header, *rows = Path(_CSV).read_text().splitlines()
    rows = rows * 2
    random.Random(5).shuffle(rows)
    other = tmp_path / "other.csv"
    other.write_bytes(("\ufeff" + "\r\n".join([header, *rows]) + "\r\n").encode())
    plain, shuffled = _result("--history", _CSV), _result("--history", str(other))
    assert {**plain, "history": 0} == {**shuffled, "history": 0}


def test_the_history_may_come_by_a_pipe() -> None:
    """Standard input is `-`."""
    assert _result("--history", "-", stdin=Path(_CSV).read_text())["decision"] == "Rollback"


def test_yaml_holds_the_same() -> None:
    """For those who prefer it."""
    done = CliRunner().invoke(app, ["backtest", "-f", _SPEC, "--history", _CSV, "-o", "yaml"])
    assert yaml.safe_load(done.stdout) == _result("--history", _CSV)


def test_the_plot_is_a_picture_with_words_for_those_who_cannot_see_it(tmp_path: Path) -> None:
    """Well-formed SVG: weight, evidence and ratio of each gate, each with a title and a description."""
    path = tmp_path / "evidence.svg"
    _result("--history", _CSV, "--plot", str(path))
    root = ET.parse(path).getroot()
    space = "{http://www.w3.org/2000/svg}"
    charts = root.findall(f"{space}svg")
    assert [c.findtext(f"{space}title", "").partition(":")[0] for c in charts] == [
        "Weight of the canary", "errors", "errors", "slow", "slow",
    ]  # fmt: skip
    assert all(c.findtext(f"{space}desc") for c in charts)


def test_the_page_of_a_result_is_the_page_of_the_replay(tmp_path: Path) -> None:
    """`report --from-backtest` makes of the JSON what `--report` makes at once."""
    result, direct, later = (tmp_path / name for name in ("result.json", "direct.html", "later.html"))
    done = chaffinch("backtest", "-f", _SPEC, "--history", _CSV, "-o", "json", "--report", str(direct))
    result.write_text(done.stdout)
    assert chaffinch("report", "--from-backtest", str(result), "-o", str(later)).stdout == f"wrote {later}\n"
    assert direct.read_text() == later.read_text()


def test_a_given_dispersion_tempers_every_gate() -> None:
    """The evidence of harm is what it was, divided."""
    one, ten = (_result("--history", _CSV, "--dispersion", phi)["gates"][0] for phi in ("1", "10"))
    assert (ten["dispersion"], ten["dispersionSource"]) == (10.0, "Given on the command line")
    assert one["logEHarm"] > 4 * ten["logEHarm"] > 0


def test_a_history_of_equal_versions_gives_the_dispersion(tmp_path: Path) -> None:
    """For gates with dispersion Auto: from a file of its own, or from the start of the history."""
    chance = random.Random(7)
    lines = ["interval_end,arm,gate,bad,total"]
    for minute in range(150):
        at = f"2026-01-31T{8 + minute // 60:02}:{minute % 60:02}:00Z"
        lines += [f"{at},{arm},errors,{max(0, round(chance.gauss(30, 12)))},1500" for arm in ("canary", "baseline")]
    equal, both, spec = tmp_path / "equal.csv", tmp_path / "both.csv", tmp_path / "spec.yaml"
    equal.write_text("\n".join(lines))
    both.write_text("\n".join([*lines, *Path(_CSV).read_text().splitlines()[1:]]))
    spec.write_text(Path(_SPEC).read_text().replace('dispersion: "1.2"', "dispersion: Auto"))
    ways = (("--history", _CSV, "--baseline-history", str(equal)), ("--history", str(both), "--warm", "150m"))
    found = [_result("-f", str(spec), *args) for args in ways]
    for result in found:
        errors, slow = result["gates"]
        assert errors["dispersion"] > 3.0
        assert errors["dispersionSource"].startswith("History: ")
        assert "both arms" in errors["dispersionSource"]
        assert (slow["dispersion"], slow["dispersionSource"][:8]) == (1.0, "Assumed:")
    assert found[0]["gates"] == found[1]["gates"]
    assert [r["history"]["intervals"] for r in found] == [8, 8]


def test_a_to_a_reports_the_rate_of_false_alarms_with_its_limits() -> None:
    """And the same seed the same rate."""
    first, second = (_result("--history", _CSV, "--aa", "200", "--aa-length", "10m", "--seed", "3") for _ in range(2))
    assert first == second
    assert first["kind"] == "CalibrationResult"
    assert first["rollouts"] == 200
    low, high = first["interval"]
    assert low <= first["falseAlarmRate"] == first["falseAlarms"] / 200 <= high
    assert first["scheme"]["intervals"] == 10
    assert {g["name"] for g in first["gates"]} == {"errors", "slow"}
    assert all(g["advised"]["dispersion"] >= 1.0 for g in first["gates"])


def test_a_to_a_says_in_words_what_it_found() -> None:
    """With the scheme, and that the history is short."""
    done = CliRunner().invoke(app, ["backtest", "-f", _SPEC, "--history", _CSV, "--aa", "50"])
    assert done.stdout.startswith("False alarms: ")
    assert "of 50 (" in done.stdout
    assert "the history is short" in done.stdout
    assert "advised dispersion" in done.stdout


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ((), 2, "give either --history FILE.csv or --from TIME"),
        (("--history", _CSV, "--from", "2h"), 2, "give either --history FILE.csv or --from TIME"),
        (("--history", "nowhere.csv"), 2, "cannot read nowhere.csv: No such file"),
        (("--history", _SPEC), 1, "the first line must be|it must name the columns"),
        (("--history", _CSV, "--warm", "1d"), 2, "--warm takes all of the history"),
        (("--history", _CSV, "--warm", "soon"), 2, "is no duration"),
        (("--history", _CSV, "--plot", "/nonexistent/x.svg"), 2, "cannot write /nonexistent/x.svg"),
        (("--history", _CSV, "--aa", "10", "--plot", "x.svg"), 2, "--aa resamples many"),
        (("--from", "yesterday"), 2, '"yesterday" is no time'),
        (
            ("--from", "2h", "--prometheus", "http://127.0.0.1:1"),
            1,
            "127.0.0.1:1.*name a server that can be reached from here",
        ),
        (("--from", "2h", "--header", "token"), 2, "--header is written as"),
        (("--from", "9999d", "--prometheus", "http://127.0.0.1:1"), 2, "at most 100,000 are read"),
        (("--history", _CSV, "--rollout", "other"), 2, 'there is no CanaryRollout "other"'),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(run: Run, args: tuple[str, ...], code: int, message: str) -> None:
    """Two lines, an exit code, never a traceback."""
    done = run(FakeCluster(), "backtest", "-f", _SPEC, *args)
    text = " ".join(done.stderr.replace("│", " ").split())
    assert done.exit_code == code, done.stderr
    assert re.search(message, text), text
    assert "Traceback" not in done.stderr


def test_a_longer_history_takes_hardly_more_memory(tmp_path: Path) -> None:
    """JSON of every interval and a page: ten times as many intervals take a few megabytes more."""
    short, long = (_peak_kib(tmp_path, intervals) for intervals in (200, 2_000))
    assert long - short < 24 * 1024


def _peak_kib(folder: Path, intervals: int) -> int:
    """The largest resident size of a replay."""
    path = folder / "history.csv"
    rows = (f"{1_767_268_800 + 10 * k},{arm},errors,1,100" for k in range(intervals) for arm in ("canary", "baseline"))
    path.write_text("\n".join(["interval_end,arm,gate,bad,total", *rows]))
    args = ["backtest", "-f", _SPEC, "--history", str(path), "-o", "json", "--report", str(folder / "page.html")]
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *args],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": PATH},
    )
    assert len(json.loads(done.stdout)["intervals"]) == intervals
    return int(done.stderr.split()[-2])
