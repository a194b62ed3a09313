"""The report: whole by itself, safe whatever is in the data, and it names every request on which versions differ."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from chaffinch_shadow.analysis.analyse import analyse_cells
from chaffinch_shadow.analysis.question import Question
from chaffinch_shadow.cli import app
from chaffinch_shadow.document import document
from chaffinch_shadow.report import roc
from chaffinch_shadow.report.page import MOST_FLIPS, Flip, render
from unit.stats.paired_data import CRS3_TO_CRS4, PL1_TO_PL2

EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'&\x00"
ROWS = """request_id,label,control,candidate,control_score,candidate_score,stratum
a,1,1,0,.9,.2,login
b,1,0,1,.1,.8,login
c,0,0,1,.2,.7,search
d,0,1,0,.6,.1,search
e,,1,0,,,search
f,1,1,1,.8,.9,login
g,0,0,0,.3,.3,
"""


class Tags(HTMLParser):
    """The names of all elements, and whether every one was closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.open: list[str] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it, and that it is open unless it never closes."""
        self.names.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Elements close in the order in which they opened."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note the words."""
        self.words += f" {data}"


def said(cells: Any = PL1_TO_PL2, **more: Any) -> dict[str, Any]:
    """A document, through JSON as a report reads it."""
    return {**json.loads(json.dumps(document(analyse_cells(cells, Question())))), **more}


def run(folder: Path, *arguments: str, of: dict[str, Any] | None = None) -> tuple[int, str, str]:
    """The command on a document and rows in a folder; its exit status, the page, and what it says."""
    (folder / "said.json").write_text(json.dumps(said() if of is None else of))
    (folder / "rows.csv").write_text(ROWS)
    found = CliRunner().invoke(app, ["report", str(folder / "said.json"), *arguments, "-o", str(folder / "r.html")])
    page = (folder / "r.html").read_text() if (folder / "r.html").exists() else ""
    return found.exit_code, page, found.stderr


def test_the_page_says_the_verdict_and_its_numbers() -> None:
    """Verdict, reasons, the confusion tables of both versions, and the paired test."""
    words = " ".join(Tags(render(said())).words.split())
    assert "Reject falsePositiveRate got worse by 0.1504" in words
    assert "Confusion table of the control detected passed attack 35,005 1,957 benign 18 95" in words
    assert "Confusion table of the candidate detected passed attack 35,871 1,091 benign 35 78" in words
    assert "detected alone 0 866 2.03" in words


def test_the_page_needs_nothing_else() -> None:
    """No script, no address, no element of another page; every element is closed."""
    page = render(said(CRS3_TO_CRS4), [Flip("a", "lost detection")])
    found = Tags(page)
    assert found.names <= {
        "html", "head", "meta", "title", "style", "body", "main", "header", "h1", "h2", "p", "span", "div", "table",
        "caption", "tr", "th", "td",
    }  # fmt: skip
    assert found.open == []
    assert re.findall(r"(?:src|href|url)\s*[=(]", page) == []


@given(st.sampled_from(["namespace", "verdict"]), st.text(max_size=20))
def test_no_text_becomes_an_element(key: str, more: str) -> None:
    """Targets of requests are an attacker's own words, and so may be any other text."""
    evil = EVIL + more
    flip = Flip(evil, "lost detection", evil, f"GET /{evil}")
    reasons = [{"reason": "x", "message": evil}]
    found = Tags(render(said(name="n", reasons=reasons, **{"namespace": "s", key: evil}), [flip]))
    assert not found.names & {"script", "img"}


def test_differing_requests_are_listed_lost_detections_first(tmp_path: Path) -> None:
    """All five kinds, with their parts; those that agree are not there. ROC curves are drawn from the scores."""
    status, page, _ = run(tmp_path, "--rows", str(tmp_path / "rows.csv"), of=_of_rows(tmp_path))
    words = " ".join(Tags(page).words.split())
    assert status == 0
    listed = "a lost detection login b gained detection login c new false alarm search d repaired false alarm search"
    assert f"{listed} e control only, no label search" in words
    assert "ROC curves" in words


def _of_rows(folder: Path) -> dict[str, Any]:
    (folder / "rows.csv").write_text(ROWS)
    found = CliRunner().invoke(app, ["analyze", "--rows", str(folder / "rows.csv"), "-o", "json"])
    assert found.exit_code == 0, found.output
    return dict(json.loads(found.stdout))


def test_samples_tell_the_requests_themselves(tmp_path: Path) -> None:
    """Method and target of a stored pair; the same request is not listed again from the rows."""
    sample = {
        "requestId": "a", "stratum": "login", "labelState": "positive", "control": True, "candidate": False,
        "method": "GET", "target": "/?q=../../etc/passwd",
    }  # fmt: skip
    (tmp_path / "lost.json").write_text(json.dumps({"samples": [sample], "next": None}))
    _, page, _ = run(tmp_path, "--samples", str(tmp_path / "lost.json"), "--rows", str(tmp_path / "rows.csv"))
    words = " ".join(Tags(page).words.split())
    assert "5, lost detections first" in words
    assert "a lost detection login GET /?q=../../etc/passwd b gained detection" in words


def test_coverage_and_noise_of_the_service_are_shown() -> None:
    """What became of copies, by reason, and how much a second control differs."""
    dropped = [{"reason": "TooLarge", "size": "over1Mi", "copies": "7", "inScope": True}]
    coverage = {"received": "1007", "pairs": "1000", "share": "0.993049", "dropped": dropped}
    noise = {"requests": "1000", "differing": "3"}
    words = " ".join(Tags(render(said(coverage=coverage, noise=noise))).words.split())
    assert "Second control 3 of 1,000 answers differ" in words
    assert "TooLarge over1Mi 7 yes" in words
    assert "Share of those to be compared 99.305%" in words


def test_a_long_list_is_cut_and_says_so() -> None:
    """A page stays one that a browser opens; the number is that of all."""
    flips = [Flip(f"r{n}", "gained detection") for n in range(MOST_FLIPS + 5)]
    words = Tags(render(said(), [*flips, Flip("last", "lost detection")])).words
    assert f"{MOST_FLIPS + 6:,}, lost detections first; the first {MOST_FLIPS:,} of them" in words
    assert "last" in words


def test_roc_curves_go_by_distinct_scores() -> None:
    """Ties are one step, and the area under the points is that of the ranks."""
    label, score = np.array([True, True, False, False]), np.array([3.0, 2.0, 2.0, 1.0])
    assert roc.points(label, score) == [(0, 0), (0, 0.5), (0.5, 1), (1, 1)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is no JSON"),
        ("[]", '"verdict" is missing'),
        ('{"verdict": "Hold"}', '"reasons" is missing'),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str, why: str) -> None:
    """The message names the file and what would be right."""
    (tmp_path / "other.json").write_text(text)
    found = CliRunner().invoke(app, ["report", str(tmp_path / "other.json")])
    assert found.exit_code == 2
    assert why in found.stderr


def test_a_damaged_document_is_refused(tmp_path: Path) -> None:
    """A part of the wrong form: no page, and a sentence instead of a trace."""
    status, page, told = run(tmp_path, of=said(metrics=[{"name": "mcc"}]))
    assert (status, page) == (2, "")
    assert "not what `analyze` writes" in told
