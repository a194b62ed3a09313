"""What is worth a line of plain text, told when it changes: weight, decision, gates. Pure."""

from datetime import datetime

from chaffinch_operator.canary.reasons import IN_FLIGHT, Verdict
from chaffinch_operator.cli.rollout import Rollout
from chaffinch_operator.cli.words import duration
from support.load.outcome import Kind
from support.load.tally import Tally

_QUIET_SECONDS = 10.0


class Teller:
    """Remembers what it has told."""

    def __init__(self) -> None:
        self._said: tuple[object, ...] = ()
        self._at: datetime | None = None
        self._told = ""

    def lines(self, rollout: Rollout, load: Tally, now: datetime, started: datetime) -> list[str]:
        """Lines for a state; none when nothing of note has changed."""
        status = rollout.status
        verdicts = tuple((g.name, g.verdict) for g in status.gates)
        present = (rollout.action, rollout.reason, status.weight.applied, verdicts)
        quiet = self._at is not None and (now - self._at).total_seconds() < _QUIET_SECONDS
        if not rollout.seen or (present == self._said and (quiet or not rollout.is_doing(*IN_FLIGHT))):
            return []
        changed = present[:3] != self._said[:3]
        self._said, self._at = present, now
        elapsed = duration((now - started).total_seconds())
        told = rollout.sentence if changed else gates_line(rollout)
        told, self._told = "" if told == self._told else told, told
        head = f"[{elapsed:>6}] {rollout.action} ({rollout.reason}), weight {status.weight.applied} %"
        return [f"{head}, {load_line(load)}", *([f"         {told}"] if told else [])]


def gates_line(rollout: Rollout) -> str:
    """All gates in one line: those that are not passed with their sentences."""
    return "; ".join(
        g.message or g.name if g.verdict is not Verdict.PASS else f"{g.name}: pass" for g in rollout.status.gates
    )


def load_line(load: Tally) -> str:
    """Requests since the load began, by arm, and what their clients think of it."""
    canary, stable = load.count(track="canary"), load.count(track="stable")
    errors = load.count(kind=Kind.INJECTED)
    return (
        f"requests {load.requests:,} (stable {stable:,}, canary {canary:,}), answered 500 {errors:,}, "
        f"failed {load.failed:,}"
    )
