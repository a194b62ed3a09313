"""Why the last decision was made, in sentences and numbers. Pure: facts and a time in, a renderable out."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from chaffinch_operator.canary.clock import elapsed
from chaffinch_operator.canary.gates import COUNTING, Kind
from chaffinch_operator.canary.reasons import Action, Reason, Verdict
from chaffinch_operator.cli import words
from chaffinch_operator.cli.evidence import GateView, Meter, Thresholds, gate_views, thresholds_of
from chaffinch_operator.cli.hints import hints
from chaffinch_operator.cli.outcome import VERDICT_STYLES
from chaffinch_operator.cli.rollout import Rollout
from chaffinch_operator.cli.show_gates import confidence, counts_line, estimate, mark
from chaffinch_operator.cli.show_status import Look, notes

_MEANINGS = {
    Verdict.FAIL: "harm is proven",
    Verdict.PASS: "safety is proven",
    Verdict.INCONCLUSIVE: "neither harm nor safety is proven yet",
    Verdict.NO_DATA: "there is no usable data, so nothing is concluded",
}
_METHODS = {
    "Poisson": "by the Poisson factor",
    "Fisher": "by the Fisher factor, which is exact at high bad shares",
    "GroupSequential": "at planned looks (group sequential)",
}
_MOVES_ON = {
    Action.START: "Next, the canary's pods become ready and get the first step's weight.",
    Action.PROMOTE: "Next, the Deployment rolls to the candidate; the canary keeps its share until that is done.",
    Action.ROLL_BACK: "Next, the weight is read back as zero and the canary is removed after scaleDownDelaySeconds.",
    Action.ABANDON: "Next, the canary is removed and the newer template gets a canary of its own.",
    Action.RELEASE: "Next, the Deployment rolls to the template.",
    Action.REJECTED: "Nothing goes on by itself: the Deployment stays held at stable's pods.",
    Action.WAIT: "It goes on as soon as what it waits for is there.",
}


def explanation(rollout: Rollout, look: Look) -> RenderableType:
    """The last decision, what each gate contributed, and what happens next."""
    return Group(*_paragraphs(rollout, look))


def _paragraphs(rollout: Rollout, look: Look) -> Iterator[RenderableType]:
    yield Text(rollout.key, style="bold")
    yield from (Text(note, style="yellow") for note in notes(rollout))
    yield from (Text(sentence) for sentence in decision_sentences(rollout, look))
    thresholds = thresholds_of(rollout.spec)
    for view in gate_views(rollout):
        yield Text()
        yield _gate_title(view, look)
        for sentence in gate_sentences(view, thresholds):
            yield Padding(Text(sentence), (0, 0, 0, 4), expand=False)
    if alerts := list(alert_sentences(rollout, look)):
        yield Text()
        yield Text("Alerts", style="bold")
        yield from (Text(sentence) for sentence in alerts)
    yield Text()
    yield Text("What happens next", style="bold")
    yield from (Text(sentence) for sentence in next_sentences(rollout, look))


def decision_sentences(rollout: Rollout, look: Look) -> Iterator[str]:
    """What was decided, when and why."""
    if not rollout.seen:
        yield "Nothing was decided yet: the operator has not looked at it."
        return
    at = rollout.status.last_decision.at
    when = f"{words.duration(elapsed(at, look.now))} ago: " if at else ""
    yield f"Decided {when}{rollout.action}, reason {rollout.reason}."
    if rollout.sentence:
        yield f"In the operator's words: {rollout.sentence}"


def _gate_title(view: GateView, look: Look) -> Text:
    style = VERDICT_STYLES[view.verdict]
    meaning = f", {_MEANINGS[view.verdict]}" if view.kind in COUNTING else ""
    text = Text.assemble(
        (f"{mark(view.verdict, look.glyphs)} ", style), (view.name, "bold"), ": ", (str(view.verdict), style), meaning
    )
    return text.append(" (dry run: it never acts)") if view.status.dry_run else text


def gate_sentences(view: GateView, thresholds: Thresholds | None) -> Iterator[str]:
    """What one gate saw, what that is worth, and what it takes."""
    counts = counts_line(view)
    if not counts or view.verdict is Verdict.NO_DATA:
        yield _sentence(view.sentence or "nothing was said about it")
    if not counts:
        return
    yield _sentence(counts)
    if view.ratio is not None and view.interval is not None:
        yield _ratio_sentence(view, thresholds)
    if how := _how(view):
        yield how
    if view.harm and thresholds:
        yield harm_sentence(view, view.harm, thresholds)
    if view.safe and thresholds and view.verdict is not Verdict.FAIL:
        yield safe_sentence(view, view.safe, thresholds)


def _ratio_sentence(view: GateView, thresholds: Thresholds | None) -> str:
    what = "Its share of bad requests" if view.kind is Kind.OBJECTIVE else "The canary's bad share"
    level = f"with confidence {words.percent(1.0 - thresholds.alpha)}, " if thresholds else ""
    return f"{what} is {estimate(view)}; {level}whenever one looks, it lies in {confidence(view)}."


def _how(view: GateView) -> str:
    """By which method it is judged, how much evidence is tempered, and where that number is from."""
    status = view.status
    method = _METHODS.get(status.method, f"by {status.method}" if status.method else "")
    source = f" ({status.dispersion_source})" if status.dispersion_source else ""
    tempered = f"with dispersion {status.dispersion}{source}" if status.dispersion else ""
    how = ", ".join(part for part in (method, tempered) if part)
    return f"Judged {how}." if how else ""


_LEADS_TO = {
    "Rollback": "ends the rollout in the next pass",
    "Pause": "pauses the rollout in the next pass",
    "RolledBack": "ended the rollout",
    "Paused": "paused the rollout",
}


def alert_sentences(rollout: Rollout, look: Look) -> Iterator[str]:
    """The alerts that matched during the rollout, newest first, what they were about and what each led to."""
    for alert in rollout.status.alerts:
        began = f" began {words.duration(elapsed(alert.starts_at, look.now))} ago" if alert.starts_at else ""
        told = f", was received {words.duration(elapsed(alert.received_at, look.now))} ago" if alert.received_at else ""
        led = _LEADS_TO.get(alert.outcome, alert.outcome)
        yield _sentence(f"{alert.message or alert.name or alert.fingerprint}{began}{told} and {led}")


def harm_sentence(view: GateView, meter: Meter, thresholds: Thresholds) -> str:
    """Evidence of harm against what it takes, in plain words."""
    shared = f" shared by {thresholds.sharing} gates" if thresholds.sharing > 1 else ""
    verb = "reached" if meter.reached else "is below"
    return (
        f"Harm: evidence {words.e_value(meter.log_e)} {verb} the {words.e_value(meter.threshold)} it takes "
        f"(alpha {thresholds.alpha:g}{shared}). The chance of ever seeing this much from {_harmless(view)} "
        f"is at most {words.chance(meter.chance)}; harm is proven at {words.chance(meter.limit)}."
    )


def safe_sentence(view: GateView, meter: Meter, thresholds: Thresholds) -> str:
    """Evidence of safety against what it takes, in plain words."""
    verb = "reached" if meter.reached else "is below"
    return (
        f"Safety: evidence {words.e_value(meter.log_e)} {verb} the {words.e_value(meter.threshold)} it takes "
        f"(beta {thresholds.beta:g}). The chance of seeing this much from {_unsafe(view)} is at most "
        f"{words.chance(meter.chance)}; safety is proven at {words.chance(meter.limit)}."
    )


def _harmless(view: GateView) -> str:
    if view.kind is Kind.OBJECTIVE and view.max_ratio is not None:
        return f"a canary that keeps to {words.percent(view.max_ratio)}"
    if view.harm_ratio == 1.0:
        return "a harmless canary"
    return f"a canary no worse than {words.times(view.harm_ratio)} {view.compared}'s"


def _unsafe(view: GateView) -> str:
    if view.kind is Kind.OBJECTIVE and view.max_ratio is not None:
        return f"a canary at {words.percent(view.margin_ratio * view.max_ratio)} or more"
    above = f", and above {words.percent(view.safe_below)}" if view.safe_below else ""
    return f"a canary at {words.times(view.margin_ratio)} {view.compared}'s bad share or more{above}"


def next_sentences(rollout: Rollout, look: Look) -> Iterator[str]:
    """What happens by itself, and what a person can do."""
    by_itself = _by_itself(rollout)
    if by_itself:
        yield by_itself
    for hint in hints(rollout, look.where):
        yield f"{_upper(hint.text)}: {hint.command}" if hint.command else _sentence(hint.text)


def _by_itself(rollout: Rollout) -> str:
    if rollout.is_because(Reason.APPROVAL_REQUIRED):
        return "A person must let it go on; harm still rolls back meanwhile."
    if rollout.is_doing(Action.SHIFT, Action.PAUSE, Action.HOLD):
        return _waits_for(rollout)
    return next((text for action, text in _MOVES_ON.items() if rollout.is_doing(action)), "")


def _waits_for(rollout: Rollout) -> str:
    views = [view for view in gate_views(rollout) if view.undecided]
    ahead = len(rollout.steps) - rollout.status.step.index - 1
    steps = f"{ahead} more step{'s' if ahead > 1 else ''}" if ahead > 0 and not rollout.is_doing(Action.HOLD) else ""
    gates = (
        f"the gates {words.listing([v.name for v in views])}"
        if len(views) > 1
        else (f"the gate {views[0].name}" if views else "")
    )
    wanted = words.listing([text for text in (steps, gates and f"a verdict of {gates}") if text])
    if not wanted:
        return "Next, the candidate is promoted."
    return f"Before it is promoted it needs {wanted}. Proven harm rolls back at once."


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentence(text: str) -> str:
    return _upper(text) + ("" if text.endswith((".", "?", "!")) else ".")
