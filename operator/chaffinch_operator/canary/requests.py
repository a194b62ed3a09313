"""What people ask for by the annotation `chaffinch.dev/action: <verb>@<token>`: run once, answered in status. Pure."""

from dataclasses import replace

from chaffinch_operator.canary import clock
from chaffinch_operator.canary.flow import Context
from chaffinch_operator.canary.reasons import IN_FLIGHT, Action, Reason
from chaffinch_operator.canary.status import ActionStatus

VERBS = ("promote", "promote-force", "abort", "retry", "pause", "resume")


def answer(c: Context) -> Context:
    """The context with a new request answered in its status and, where accepted, its verb set."""
    value = c.snap.request
    if not value or (c.status.last_action and c.status.last_action.token == value):
        return c
    verb = value.partition("@")[0]
    refusal = _refusal(c, verb)
    entry = ActionStatus(
        token=value[:253], accepted=not refusal, message=refusal or f"{verb}: accepted", at=clock.stamp(c.now)
    )
    paused = (
        {"pause": True, "resume": False}.get(verb, c.status.paused_by_user) if not refusal else c.status.paused_by_user
    )
    status = c.status.model_copy(update={"last_action": entry, "paused_by_user": paused})
    return replace(c, status=status, verb="" if refusal else verb)


def _refusal(c: Context, verb: str) -> str:
    """Why the request makes no sense now; empty when it does."""
    held = c.snap.target is not None and c.snap.target.paused
    match verb:
        case "promote":
            return "" if c.action is Action.PAUSE else _not_paused(c)
        case "promote-force":
            return "" if held else "promote-force: no template is held, so there is nothing to release"
        case "abort":
            return "" if c.action in IN_FLIGHT else f"abort: no canary is under way ({c.action}); " + _abort_hint(c)
        case "retry":
            rejected = c.action is Action.REJECTED and held
            return "" if rejected else f"retry: no candidate was rolled back that is still held ({c.action})"
        case "pause":
            return "" if c.action in {Action.SHIFT, Action.HOLD} else f"pause: no canary is being judged ({c.action})"
        case "resume":
            return "" if c.status.paused_by_user else "resume: the rollout was not paused by a person"
        case _:
            return f'unknown action "{verb[:40]}": use one of {", ".join(VERBS)}, written as <verb>@<token>'


def _not_paused(c: Context) -> str:
    if c.action in {Action.SHIFT, Action.HOLD}:
        return (
            "promote: the gates have not passed yet; it goes on by itself when they do. To release without their "
            f"verdict: kubectl chaffinch promote {c.snap.name} --force"
        )
    if c.reason is Reason.ROLLED_BACK:
        return f"promote: the candidate was rolled back; kubectl chaffinch retry {c.snap.name}, or promote --force"
    return f"promote: the rollout does not wait for a person ({c.action})"


def _abort_hint(c: Context) -> str:
    if c.action is Action.PROMOTE:
        return "it is being promoted already: apply the previous manifest, it is released at once"
    return "stable serves all requests"
