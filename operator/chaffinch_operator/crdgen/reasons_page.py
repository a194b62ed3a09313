"""docs/reference/reasons.md from the source of `reasons`: the docstring under each constant. Pure."""

import ast
import io
import tokenize
from collections.abc import Container
from dataclasses import dataclass

from chaffinch_operator.canary.reasons import IN_FLIGHT, STALLED, Action
from chaffinch_operator.crdgen.markdown import table
from chaffinch_operator.credits import reasons as ledger
from chaffinch_operator.shadow import reasons as evaluation

_INTRO = """\
<!-- Generated from operator/chaffinch_operator/canary/reasons.py by `python -m chaffinch_operator.crdgen`. -->
# Actions, reasons and verdicts of CanaryRollout

`status.lastDecision.action` says what the operator is doing, `status.lastDecision.reason` why. The same reason stands
in the conditions, in Events and in the label `reason` of metrics. A reason is renamed only with the API version.
"""
_LEDGER_INTRO = """\
<!-- Generated from operator/chaffinch_operator/credits/reasons.py by `python -m chaffinch_operator.crdgen`. -->
# Reasons of CreditsLedger

`status.lastDecision.reason` says in which state a ledger is; the same reason stands in the conditions `Ready`,
`Reconciling` and `Stalled`, and in Events. *Stalled* reasons wait for a person.
"""
_EVALUATION_INTRO = """\
<!-- Generated from operator/chaffinch_operator/shadow/reasons.py by `python -m chaffinch_operator.crdgen`. -->
# Reasons of ShadowEvaluation

`status.lastDecision.reason` says in which state an evaluation is; the same reason stands in the conditions `Ready`,
`Reconciling` and `Stalled`, and in Events. *Stalled* reasons wait for a person. The condition `Concluded` has the
verdict as its reason: `Promote`, `Hold`, `Reject` or `Inconclusive`. Its reasons are told in `status.reasons`.
"""
_VERDICTS = """\
## Verdicts of a gate

Worst first: `Fail`, `NoData`, `Inconclusive`, `Pass`. One `Fail` rolls back, all `Pass` promote; `NoData` and
`Inconclusive` only wait.
"""


class UndocumentedError(ValueError):
    """A constant has no docstring."""


@dataclass(frozen=True, slots=True)
class Constant:
    """One member of an enum: its value, what it means, and the comment that opens its group."""

    value: str
    meaning: str
    group: str


def constants(source: str, enum: str) -> list[Constant]:
    """Return the members of a StrEnum in the source, each with its docstring; UndocumentedError names one without."""
    body = next(node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == enum)
    comments = _comments(source)
    found = []
    for node, after in zip(body, [*body[1:], None], strict=True):
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)):
            continue
        above = [text for line, text in comments if body[0].lineno < line < node.lineno]
        found.append(
            Constant(
                str(node.value.value),
                _docstring(after, f"{enum}.{ast.unparse(node.targets[0])}"),
                above[-1] if above else "",
            )
        )
    return found


def page(source: str) -> str:
    """Return the page."""
    sections = [
        _INTRO,
        "## Actions\n",
        table(
            ("Action", "Meaning", "A canary exists"),
            [
                (f"`{c.value}`", c.meaning, "yes" if Action(c.value) in IN_FLIGHT else "")
                for c in constants(source, "Action")
            ],
        ),
        "## Reasons\n\n*Stalled* reasons wait for a person: `Stalled=True`.\n",
        _reasons(constants(source, "Reason"), STALLED),
        _VERDICTS,
    ]
    return "\n".join(sections).rstrip() + "\n"


def ledger_page(source: str) -> str:
    """Return the page of CreditsLedger's reasons."""
    return "\n".join([_LEDGER_INTRO, _reasons(constants(source, "Reason"), ledger.STALLED)]).rstrip() + "\n"


def evaluation_page(source: str) -> str:
    """Return the page of ShadowEvaluation's reasons."""
    sections = [_EVALUATION_INTRO, _reasons(constants(source, "Reason"), evaluation.STALLED)]
    return "\n".join(sections).rstrip() + "\n"


def _reasons(reasons: list[Constant], stalled: Container[str]) -> str:
    groups = list(dict.fromkeys(reason.group for reason in reasons))
    return "\n".join(
        f"### {group[:1].upper()}{group[1:]}\n\n"
        + table(
            ("Reason", "Meaning", "Stalled"),
            [(f"`{r.value}`", r.meaning, "yes" if r.value in stalled else "") for r in reasons if r.group == group],
        )
        for group in groups
    )


def _docstring(node: ast.stmt | None, name: str) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split())
    raise UndocumentedError(f"{name} has no docstring, so nobody can know what it means")


def _comments(source: str) -> list[tuple[int, str]]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [(token.start[0], token.string.lstrip("# ")) for token in tokens if token.type == tokenize.COMMENT]
