"""Whether a rollout is over, and how it ended: for exit codes and colours. Pure."""

from enum import StrEnum

from chaffinch_operator.canary.reasons import Action, Verdict
from chaffinch_operator.cli.rollout import Rollout

REVERTED = "Reverted"


class Outcome(StrEnum):
    """Where a rollout stands, seen from outside."""

    AT_REST = "AtRest"
    """The target runs a template that is proven or needed no proof; nothing is under way."""
    RUNNING = "Running"
    """The operator goes on by itself."""
    WAITING = "Waiting"
    """It goes on after a person, or after enough evidence."""
    ROLLED_BACK = "RolledBack"
    """The candidate was rolled back and stays held."""
    STALLED = "Stalled"
    """Nothing goes on until a person repairs something."""


STYLES = {
    Outcome.AT_REST: "green",
    Outcome.RUNNING: "cyan",
    Outcome.WAITING: "yellow",
    Outcome.ROLLED_BACK: "red",
    Outcome.STALLED: "red",
}
VERDICT_STYLES = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.INCONCLUSIVE: "cyan", Verdict.NO_DATA: "yellow"}


def outcome_of(rollout: Rollout) -> Outcome:
    """Where it stands; a status that is not about the present spec counts as running."""
    if not rollout.seen or rollout.outdated:
        return Outcome.RUNNING
    if rollout.is_doing(Action.REJECTED):
        return Outcome.ROLLED_BACK
    stalled = rollout.condition("Stalled")
    if stalled is not None and stalled.status == "True":
        return Outcome.STALLED
    if rollout.is_doing(Action.IDLE):
        return Outcome.AT_REST
    if rollout.is_doing(Action.PAUSE, Action.HOLD) or rollout.status.paused_by_user:
        return Outcome.WAITING
    return Outcome.RUNNING


def state_word(rollout: Rollout) -> str:
    """One word for the state."""
    if not rollout.seen:
        return "Unseen"
    return rollout.status.phase or rollout.reason or rollout.action


def was_reverted(rollout: Rollout) -> bool:
    """Whether the last candidate was taken back by a person before there was a verdict."""
    return bool(rollout.status.history) and rollout.status.history[0].result == REVERTED
