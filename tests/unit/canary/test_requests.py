"""What people ask for by annotation: run once, answered in status, refused with a reason that names the way out."""

from __future__ import annotations

import pytest

from chaffinch_operator.canary.reasons import Action, Reason
from unit.canary.builders import Scene, first_sight, scene

PAUSED = scene().shifting().decision(Action.PAUSE, Reason.APPROVAL_REQUIRED)
BY_USER = scene().shifting().decision(Action.PAUSE, Reason.PAUSED_BY_USER).status(paused_by_user=True)

REFUSED: dict[str, tuple[Scene, str, str]] = {
    "promote while judged": (scene().shifting(), "promote", "kubectl chaffinch promote web --force"),
    "promote while held for evidence": (scene().holding(), "promote", "have not passed yet"),
    "promote after a rollback": (scene().rejected(), "promote", "kubectl chaffinch retry web"),
    "promote at rest": (scene(), "promote", "does not wait"),
    "promote a pause that is blocked": (PAUSED.blocker(Reason.NAME_TAKEN, "rename it"), "promote", "rename it"),
    "force without a held template": (scene(), "promote-force", "no template is held"),
    "force without a target": (scene().world(target=None), "promote-force", "no template is held"),
    "abort at rest": (scene(), "abort", "stable serves all requests"),
    "abort while promoting": (scene().promoting(), "abort", "apply the previous manifest"),
    "retry at rest": (scene(), "retry", "no candidate was rolled back"),
    "retry after a revert": (scene().rejected().rolled("v1"), "retry", "still held"),
    "pause at rest": (scene(), "pause", "no canary is being judged"),
    "pause a pause": (PAUSED, "pause", "no canary is being judged"),
    "resume at rest": (scene(), "resume", "not paused by a person"),
    "resume a pause step": (PAUSED, "resume", "not paused by a person"),
    "resume after an abort of a pause": (
        scene().rolling_back().status(paused_by_user=True),
        "resume",
        "not paused by a person",
    ),
    "something else": (scene(), "explode", 'unknown action "explode": use one of promote, promote-force, abort'),
    "nothing": (scene(), "", "unknown action"),
    "anything while suspended": (scene().shifting().spec(suspend=True), "abort", "set it to false"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_refuses(name: str) -> None:
    """The answer says why, and what to do instead; nothing else changes."""
    before, verb, words = REFUSED[name]
    quiet = before.decide()
    after = before.ask(verb).decide()
    assert after.state.last_action is not None
    assert not after.state.last_action.accepted
    assert words in after.state.last_action.message
    assert after.state.model_copy(update={"last_action": None}) == quiet.state


ACCEPTED: dict[str, tuple[Scene, str, tuple[Action, Reason]]] = {
    "promote at a pause step": (PAUSED, "promote", (Action.SHIFT, Reason.STEP_WEIGHT)),
    "promote a rollout paused by a person": (BY_USER, "promote", (Action.SHIFT, Reason.ANALYZING)),
    "resume": (BY_USER, "resume", (Action.SHIFT, Reason.ANALYZING)),
    "pause while judged": (scene().shifting(), "pause", (Action.PAUSE, Reason.PAUSED_BY_USER)),
    "pause while held": (scene().holding(), "pause", (Action.PAUSE, Reason.PAUSED_BY_USER)),
    "pause while Prometheus is away": (
        scene().shifting().unreachable(),
        "pause",
        (Action.PAUSE, Reason.PAUSED_BY_USER),
    ),
    "pause after maxDuration": (scene().shifting().at(9000), "pause", (Action.PAUSE, Reason.PAUSED_BY_USER)),
    "abort while starting": (scene().starting(), "abort", (Action.ROLL_BACK, Reason.ABORTED)),
    "abort while judged": (scene().shifting(), "abort", (Action.ROLL_BACK, Reason.ABORTED)),
    "abort while paused": (PAUSED, "abort", (Action.ROLL_BACK, Reason.ABORTED)),
    "abort while held": (scene().holding(), "abort", (Action.ROLL_BACK, Reason.ABORTED)),
    "force while starting": (scene().starting(), "promote-force", (Action.PROMOTE, Reason.PROMOTED_BY_USER)),
    "force while judged": (scene().shifting(), "promote-force", (Action.PROMOTE, Reason.PROMOTED_BY_USER)),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_it_accepts(name: str) -> None:
    """It is done in the very pass, and answered; asking again with the same token does nothing more."""
    before, verb, verdict = ACCEPTED[name]
    after = before.ask(verb).decide()
    assert after.state.last_action is not None
    assert after.state.last_action.accepted
    assert after.state.last_action.token == f"{verb}@1"
    assert after.verdict == verdict
    answered = after.state.last_action
    assert after.at(9999).decide().state.last_action == answered


def test_a_new_token_asks_again() -> None:
    """The token is what makes a request new."""
    paused = scene().shifting().ask("pause").decide()
    resumed = paused.ask("resume", "2").decide()
    assert resumed.verdict == (Action.SHIFT, Reason.ANALYZING)
    assert resumed.ask("pause", "3").decide().verdict == (Action.PAUSE, Reason.PAUSED_BY_USER)


def test_a_long_token_is_answered_once() -> None:
    """An annotation may be longer than what status takes."""
    once = scene().shifting().ask("pause", "x" * 400).decide()
    assert once.at(60).decide().state == once.state


def test_a_request_older_than_the_status_is_not_carried_out() -> None:
    """The object came from a backup, or its status was lost: an old promote-force must not release what is held now."""
    after = first_sight().held("v2").ask("promote-force").decide()
    assert after.verdict == (Action.START, Reason.INITIALIZING)
    assert after.state.last_action is not None
    assert not after.state.last_action.accepted
    assert "ask again" in after.state.last_action.message


def test_a_person_s_pause_survives_everything_but_harm() -> None:
    """Time, and evidence of safety, change nothing while a person has paused it; harm does."""
    paused = scene().shifting(index=1).ask("pause").decide()
    later = paused.at(5000).judged(4980).decide()
    assert later.verdict == (Action.PAUSE, Reason.PAUSED_BY_USER)
    assert paused.canary(restarts=9).decide().verdict == (Action.ROLL_BACK, Reason.GATE_FAILED)
