"""Many rollouts, one line each: the table of `status`, and the plain lines of `status -w` without a terminal. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from chaffinch_operator.canary.clock import elapsed
from chaffinch_operator.canary.reasons import IN_FLIGHT, Action, Verdict
from chaffinch_operator.canary.status import Revision
from chaffinch_operator.cli import words
from chaffinch_operator.cli.outcome import STYLES, outcome_of, state_word
from chaffinch_operator.cli.rollout import Rollout

_SHORT = {Verdict.FAIL: "fail", Verdict.NO_DATA: "no data", Verdict.INCONCLUSIVE: "open", Verdict.PASS: "pass"}


def rollout_table(
    rollouts: Iterable[Rollout], now: datetime, *, namespaces: bool = False, wide: bool = False
) -> RenderableType:
    """One line per rollout, as `kubectl get` would."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", collapse_padding=True)
    for title in _titles(namespaces, wide):
        table.add_column(title, no_wrap=title != "DECISION", overflow="fold")
    for rollout in sorted(rollouts, key=lambda r: (r.namespace, r.name)):
        table.add_row(*_cells(rollout, now, namespaces, wide))
    return table


def _titles(namespaces: bool, wide: bool) -> Sequence[str]:
    first = ("NAMESPACE",) if namespaces else ()
    last = ("TARGET", "STABLE", "CANDIDATE", "AGE", "DECISION") if wide else ()
    return (*first, "NAME", "STATE", "WEIGHT", "STEP", "GATES", "SINCE", *last)


def _cells(rollout: Rollout, now: datetime, namespaces: bool, wide: bool) -> Iterator[RenderableType]:
    if namespaces:
        yield rollout.namespace
    yield Text(rollout.name, style="bold")
    yield Text(state_word(rollout), style=STYLES[outcome_of(rollout)])
    yield f"{rollout.status.weight.applied} %"
    yield step_text(rollout)
    yield gates_text(rollout)
    yield words.duration(elapsed(rollout.status.last_decision.at, now)) if rollout.status.last_decision.at else "-"
    if wide:
        yield f"deployment/{rollout.target}"
        yield _image(rollout.status.stable)
        yield _image(rollout.status.candidate)
        yield words.duration((now - rollout.created).total_seconds()) if rollout.created else "-"
        yield rollout.sentence or "-"


def step_text(rollout: Rollout) -> str:
    """Such as "2/4"; "-" when no steps are under way."""
    if not rollout.is_doing(*IN_FLIGHT) or not rollout.steps:
        return "-"
    number = len(rollout.steps) if rollout.is_doing(Action.HOLD) else rollout.status.step.index + 1
    return f"{number}/{len(rollout.steps)}"


def gates_text(rollout: Rollout) -> str:
    """How many gates say what, worst first: "1 fail, 2 open, 1 pass"; gates in dry run are left out."""
    verdicts = [gate.verdict for gate in rollout.status.gates if not gate.dry_run]
    return ", ".join(f"{verdicts.count(v)} {_SHORT[v]}" for v in _SHORT if v in verdicts) or "-"


def plain_line(rollout: Rollout) -> str:
    """All that a log of a rollout needs, on one line, the same whenever it is looked at."""
    weight = rollout.status.weight
    observed = f" observed {weight.observed} %" if weight.observed else ""
    gates = " ".join(f"{gate.name}={gate.verdict}" for gate in rollout.status.gates)
    return "  ".join(
        part
        for part in (
            rollout.key,
            f"{rollout.action or 'Unseen'} ({rollout.reason or 'no status yet'})",
            f"step {step_text(rollout)}",
            f"weight {weight.applied} of {weight.desired} %{observed}",
            gates,
            rollout.sentence,
        )
        if part
    )


def _image(revision: Revision | None) -> str:
    return revision.image.rsplit("/", 1)[-1] or revision.digest[:10] if revision else "-"
