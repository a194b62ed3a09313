"""The reference pages say everything that the code says."""

from pathlib import Path

import pytest

from chaffinch_operator.canary.reasons import STALLED, Action, Reason, Verdict
from chaffinch_operator.crdgen import rbac_page, reasons_page, reference_page
from chaffinch_operator.crdgen.crd import CANARY_ROLLOUT, definition
from chaffinch_operator.crdgen.markdown import table
from chaffinch_operator.crdgen.schema import walk
from chaffinch_operator.rbac import CLUSTER_RULES, LEASE_RULES, Rule

SOURCE = (Path(__file__).parents[3] / "operator/chaffinch_operator/canary/reasons.py").read_text()
REASONS = reasons_page.page(SOURCE)
PAGE = reference_page.page(CANARY_ROLLOUT, definition(CANARY_ROLLOUT))
ROOT = definition(CANARY_ROLLOUT)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


@pytest.mark.parametrize("word", [*Action, *Reason, *Verdict])
def test_every_word_of_the_flow_is_explained(word: str) -> None:
    """Each action, reason and verdict is on the page."""
    assert f"`{word}`" in REASONS


@pytest.mark.parametrize("reason", sorted(STALLED))
def test_reasons_that_need_a_person_are_marked(reason: Reason) -> None:
    """Readers see what waits for them."""
    (row,) = [line for line in REASONS.splitlines() if line.startswith(f"| `{reason}` |")]
    assert row.endswith("| yes |")


def test_a_constant_without_a_docstring_is_named() -> None:
    """An undocumented reason fails generation."""
    source = 'class Reason:\n    """Why."""\n\n    # here\n    A = "A"\n    """Said."""\n    B = "B"\n'
    with pytest.raises(reasons_page.UndocumentedError, match=r"Reason\.B"):
        reasons_page.constants(source, "Reason")


def test_constants_carry_the_comment_that_opens_their_group() -> None:
    """Groups of the source are sections of the page."""
    source = 'class Reason:\n    "Why."\n    # here\n    A = "A"\n    "a"\n    # there\n    B = "B"\n    "b"\n'
    assert [(c.value, c.meaning, c.group) for c in reasons_page.constants(source, "Reason")] == [
        ("A", "a", "here"),
        ("B", "b", "there"),
    ]


def test_every_field_and_its_meaning_is_on_the_page() -> None:
    """Nothing of the schema is left out."""
    for part in ("spec", "status"):
        for path, node in walk(ROOT["properties"][part]):
            if path and not path.endswith("[]"):
                assert f"| `{path.rsplit('.', 1)[-1]}` |" in PAGE
                assert node["description"].replace("|", "&#124;") in PAGE


def test_every_rule_is_on_the_page() -> None:
    """A user can read beforehand what will be refused."""
    for path, node in walk(ROOT):
        for rule in node.get("x-kubernetes-validations", []):
            assert f"- `{path.removeprefix('.')}`: {rule['message']}" in PAGE


def test_defaults_and_required_fields_are_marked() -> None:
    """The two things a reader looks for."""
    assert "| `interval` | string | `30s` | Length of one interval" in PAGE
    assert "**required** Name of the Deployment" in PAGE


@pytest.mark.parametrize("rule", [*CLUSTER_RULES, *LEASE_RULES], ids=lambda rule: rule.why)
def test_every_right_is_on_the_page_with_its_reason(rule: Rule) -> None:
    """An administrator can judge the Role without reading code."""
    assert f"| {rule.why} |" in rbac_page.page()


def test_a_bar_in_a_cell_does_not_split_it() -> None:
    """Alternatives are written with bars."""
    assert table(("A",), [("x | y",)]) == "| A |\n| --- |\n| x &#124; y |\n"
