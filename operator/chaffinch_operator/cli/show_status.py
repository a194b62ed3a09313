"""One rollout on one screen. Pure: facts and a time in, a renderable out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from chaffinch_operator.canary.clock import elapsed, parse
from chaffinch_operator.canary.model import Step
from chaffinch_operator.canary.reasons import IN_FLIGHT, Action
from chaffinch_operator.canary.status import AlertStatus, Forecast, HistoryEntry, Revision
from chaffinch_operator.cli import words
from chaffinch_operator.cli.evidence import Thresholds, gate_views, thresholds_of
from chaffinch_operator.cli.hints import Hint, hints
from chaffinch_operator.cli.outcome import STYLES, outcome_of, state_word
from chaffinch_operator.cli.rollout import Rollout
from chaffinch_operator.cli.screen import UNICODE, Glyphs
from chaffinch_operator.cli.show_gates import gate_block
from chaffinch_operator.names import baseline_name
from chaffinch_operator.schema import seconds

_UNDER_WAY = (*IN_FLIGHT, Action.PROMOTE, Action.ROLL_BACK, Action.ABANDON)
_WEIGHT_BAR = 40
_DEFAULT_DURATION = "2m"
_HISTORY = 3
_COMMAND = 50


@dataclass(frozen=True, slots=True)
class Look:
    """How to show it: when, with which characters, and what commands need to find the object."""

    now: datetime
    glyphs: Glyphs = UNICODE
    where: str = ""


def status_screen(rollout: Rollout, look: Look) -> RenderableType:
    """Everything about one rollout that a person acts on."""
    return Group(*_paragraphs(rollout, look))


def _paragraphs(rollout: Rollout, look: Look) -> Iterator[RenderableType]:
    yield _header(rollout, look)
    yield from (Text(f"  {note}", style="yellow") for note in notes(rollout))
    rows = list(_fact_rows(rollout, look))
    if rows:
        yield Text()
        yield _facts(rows)
    if rollout.status.gates and rollout.status.candidate is not None:
        yield Text()
        yield from _gates(rollout, look)
    if rollout.status.history:
        yield Text()
        yield _history(rollout.status.history, look)
    moves = hints(rollout, look.where)
    if moves:
        yield Text()
        yield _moves(moves)


def notes(rollout: Rollout) -> Iterator[str]:
    """What a reader must know before believing the rest."""
    if rollout.deleting:
        yield "It is being deleted."
    if rollout.spec and rollout.spec.suspend:
        yield "spec.suspend is true: the operator changes nothing."
    if rollout.outdated:
        yield "The spec was changed; the operator has not looked at it yet."
    if rollout.left_out:
        yield (
            f"This kubectl-chaffinch does not understand {words.listing(rollout.left_out)}: "
            "the operator is of another version."
        )


def _header(rollout: Rollout, look: Look) -> RenderableType:
    style = STYLES[outcome_of(rollout)]
    title = Text.assemble(
        (rollout.key, "bold"),
        "  ",
        (state_word(rollout), f"bold {style}"),
        "  ",
        (f"deployment/{rollout.target}", "dim"),
    )
    age = words.duration((look.now - rollout.created).total_seconds()) if rollout.created else ""
    line = Table.grid(expand=False, padding=(0, 2))
    line.add_row(title, Text(f"age {age}" if age else "", style="dim"))
    return Group(line, *_decision(rollout, look))


def _decision(rollout: Rollout, look: Look) -> Iterator[Text]:
    if not rollout.seen:
        yield Text("The operator has not looked at it yet.")
        return
    since = words.duration(elapsed(rollout.status.last_decision.at, look.now))
    text = Text.assemble((f"{rollout.action} ({rollout.reason})", "bold"))
    if rollout.status.last_decision.at:
        text.append(f" for {since}", style="dim")
    yield text
    if rollout.sentence:
        yield Text(rollout.sentence)


def _facts(rows: Iterable[tuple[str, RenderableType]]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for label, value in rows:
        table.add_row(label, value)
    return table


def _fact_rows(rollout: Rollout, look: Look) -> Iterator[tuple[str, RenderableType]]:
    status = rollout.status
    if status.stable:
        yield "Stable", _revision(status.stable)
    if status.candidate:
        since = f"  since {words.duration(elapsed(status.candidate_since, look.now))}" if status.candidate_since else ""
        yield "Candidate", _revision(status.candidate) + Text(since, style="dim")
    if status.candidate and status.baseline:
        yield "Compared with", Text(f"deployment/{baseline_name(rollout.target)}, a fresh copy of stable")
    if rollout.is_doing(*_UNDER_WAY):
        yield "Weight", _weight(rollout, look.glyphs)
        if rollout.steps:
            yield "Steps", _steps(rollout, look)
    if status.forecast and (status.forecast.requests_needed or status.forecast.decision_by):
        yield "Forecast", _forecast(status.forecast, look)
    yield from _told_rows(rollout, look)


def _told_rows(rollout: Rollout, look: Look) -> Iterator[tuple[str, RenderableType]]:
    for condition in rollout.status.conditions:
        if _matters(condition.type, condition.status) and condition.reason != rollout.reason:
            yield condition.type, Text(f"{condition.status} ({condition.reason}): {condition.message}", style="yellow")
    for alert in rollout.status.alerts:
        yield "Alert", _alert(alert, look)
    last = rollout.status.last_action
    if last:
        verb, word = last.token.split("@", 1)[0], "accepted" if last.accepted else "refused"
        yield "Last action", Text(f"{verb}: {word}. {last.message}".rstrip())


def _alert(alert: AlertStatus, look: Look) -> Text:
    since = f"  for {words.duration(elapsed(alert.starts_at, look.now))}"
    return Text.assemble((alert.outcome, "red"), f": {alert.message}", (since, "dim"))


def _matters(kind: str, status: str) -> bool:
    """Ready, Reconciling and Progressing repeat the decision; the rest is told only when it is bad."""
    if kind in ("Ready", "Reconciling", "Progressing"):
        return False
    return status == ("True" if kind == "Stalled" else "False")


def _revision(revision: Revision) -> Text:
    return Text(revision.image or "(no image)").append(f"  {revision.hash or revision.digest[:10]}", style="dim")


def _weight(rollout: Rollout, glyphs: Glyphs) -> Text:
    weight = rollout.status.weight
    text = weight_bar(weight.applied, weight.desired, glyphs)
    text.append(f"  {weight.applied} %", style="bold")
    if weight.desired != weight.applied:
        text.append(f" of {weight.desired} % desired", style="yellow")
    if weight.observed:
        text.append(f"  observed {weight.observed} %", style="dim")
    return text


def weight_bar(applied: int, desired: int, glyphs: Glyphs) -> Text:
    """The canary's share as a bar; what is decided but not applied yet is shaded."""
    done = round(applied * _WEIGHT_BAR / 100)
    wanted = max(done, round(desired * _WEIGHT_BAR / 100))
    return Text.assemble(
        (glyphs.full * done, "cyan"),
        (glyphs.part * (wanted - done), "cyan"),
        (glyphs.empty * (_WEIGHT_BAR - wanted), "dim"),
    )


def _steps(rollout: Rollout, look: Look) -> Text:
    here = rollout.status.step.index
    if rollout.is_doing(Action.HOLD, Action.PROMOTE):
        here = len(rollout.steps)
    parts = [_step(step, index - here, rollout, look) for index, step in enumerate(rollout.steps)]
    return Text("  ").join(parts)


def _step(step: Step, distance: int, rollout: Rollout, look: Look) -> Text:
    """distance: below 0 for steps that are over, 0 for the present one."""
    what = f"{step.set_weight} %" if step.pause is None else "pause"
    length = step.pause.duration if step.pause else step.min_duration or _DEFAULT_DURATION
    if distance < 0:
        return Text(f"{look.glyphs.done} {what}", style="green")
    if distance > 0:
        return Text(f"{look.glyphs.ahead} {what} {length or 'until promoted'}", style="dim")
    started = rollout.status.step.started_at
    spent = words.duration(elapsed(started, look.now)) if started else "0s"
    goal = f"of {words.duration(seconds(length))}" if length else "until promoted"
    return Text(f"{look.glyphs.here} {what} {spent} {goal}", style="bold cyan")


def _forecast(forecast: Forecast, look: Look) -> Text:
    by = parse(forecast.decision_by)
    parts = []
    if by is not None:
        parts.append(f"decided in about {words.duration((by - look.now).total_seconds())}")
    if forecast.requests_needed:
        parts.append(f"{forecast.requests_needed:,} more requests needed")
    return Text(", ".join(parts) + " if the candidate is as good as stable")


def _gates(rollout: Rollout, look: Look) -> Iterator[RenderableType]:
    thresholds = thresholds_of(rollout.spec)
    if rollout.spec is not None and thresholds:
        yield _rule(thresholds, planned=rollout.spec.analysis.mode == "GroupSequential")
    for view in gate_views(rollout):
        yield from gate_block(view, look.glyphs)


def _rule(thresholds: Thresholds, *, planned: bool) -> Text:
    shared = f" / {thresholds.sharing} gates" if thresholds.sharing > 1 else ""
    if planned:
        rule = f"  judged at planned looks (alpha {thresholds.alpha:g}{shared}, beta {thresholds.beta:g})"
        return Text.assemble(("Gates", "bold"), (rule, "dim"))
    return Text.assemble(
        ("Gates", "bold"),
        (f"  fail at evidence {words.e_value(thresholds.harm)} (alpha {thresholds.alpha:g}{shared})", "dim"),
        (f", pass at {words.e_value(thresholds.safe)} (beta {thresholds.beta:g})", "dim"),
    )


def _history(history: Iterable[HistoryEntry], look: Look) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(style="dim")
    for entry in list(history)[:_HISTORY]:
        image = entry.image.rsplit("/", 1)[-1]
        table.add_row(
            f"{words.duration(elapsed(entry.at, look.now))} ago", entry.result, image, entry.message or entry.reason
        )
    return Group(Text("History", style="bold"), table)


def _moves(moves: Sequence[Hint]) -> RenderableType:
    width = min(_COMMAND, max(len(move.command) for move in moves))
    lines = (
        Text.assemble((f"{move.command:<{width}}  " if move.command else "", "bold"), (move.text, "dim"))
        for move in moves
    )
    return Group(Text("Next", style="bold"), *lines)
