"""What the tour of an evaluation sends and applies."""

from collections import Counter
from pathlib import Path

import pytest

from chaffinch_operator.shadow.model import ShadowEvaluationSpec
from support.waf import objects
from support.waf.requests import WHOLE, requests

LISTS, TEXTS = "usr/share/wfuzz/wordlist", "usr/share/games/fortunes"


def files(folder: Path, texts: int) -> Path:
    """The packages' files: an attack in two lists, one in one, and so many lines of text."""
    (folder / LISTS / "Injections").mkdir(parents=True)
    (folder / LISTS / "vulns").mkdir()
    (folder / TEXTS).mkdir(parents=True)
    lists = {"Injections/SQL.txt": "' or 1=1--\n", "Injections/All_attack.txt": "# a comment\n' or 1=1--\n../etc\n"}
    names = [f"Injections/{name}.txt" for name in ("XSS", "XML", "Traversal", "bad_chars")]
    names += [f"vulns/dirTraversal{name}.txt" for name in ("", "-nix", "-win")]
    for name, text in {**dict.fromkeys(names, ""), **lists}.items():
        (folder / LISTS / name).write_text(text)
    (folder / TEXTS / "quotes").write_text("".join(f"a line of text, the {n}th\n" for n in range(texts)) + "short\n")
    return folder


def test_an_attack_in_several_lists_is_one_request_of_the_first_class(tmp_path: Path) -> None:
    """And comments and short lines are none."""
    found = requests(files(tmp_path, 10), 12)
    assert Counter(each.kind for each in found) == {"text": 10, "sql": 1, "injection": 1}
    assert {each.text for each in found if each.attack} == {"' or 1=1--", "../etc"}


def test_a_smaller_number_of_requests_is_part_of_a_larger_one(tmp_path: Path) -> None:
    """In the same order, so that a sample may be looked at before the whole."""
    folder = files(tmp_path, WHOLE)
    whole = requests(folder)
    assert (len(whole), requests(folder, 100)) == (WHOLE, whole[:100])
    assert sum(each.attack for each in whole) == 2, "every attack is in it, whatever the number of texts"


def test_more_requests_than_there_are_are_refused(tmp_path: Path) -> None:
    """With both numbers."""
    with pytest.raises(ValueError, match="has 12 requests, 13 are asked for"):
        requests(files(tmp_path, 10), 13)


def test_the_evaluations_of_the_tour_are_valid() -> None:
    """As the operator reads them."""
    live = ShadowEvaluationSpec.model_validate(objects.live("demo", "live", 20)["spec"])
    recorded = ShadowEvaluationSpec.model_validate(objects.recorded("demo", "recorded")["spec"])
    assert live.traffic.mirror is not None
    assert (live.traffic.mirror.percent, recorded.shards) == (20, objects.SHARDS)
