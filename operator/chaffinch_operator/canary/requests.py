"""What people ask for by the annotation `chaffinch.dev/action: <verb>@<token>`: run once, answered in status. Pure."""

from dataclasses import replace

from chaffinch_operator.canary import alerts, clock
from chaffinch_operator.canary.flow import SUSPENDABLE, Context, blocked
from chaffinch_operator.canary.reasons import IN_FLIGHT, Action, Reason
from chaffinch_operator.canary.status import ActionStatus

_TOKEN_LENGTH = 253
VERBS = ("promote", "promote-force", "abort", "retry", "pause", "resume")


def answer(c: Context) -> Context:
    """The context with a new request answered in its status and, where accepted, its verb set."""
    token = c.snap.request[:_TOKEN_LENGTH]
    if not token or (c.status.last_action and c.status.last_action.token == token):
        return c
    verb = token.partition("@")[0]
    refusal = _untimely(c, verb) or _refusal(c, verb)
    entry = ActionStatus(
        token=token, accepted=not refusal, message=refusal or f"{verb}: accepted", at=clock.stamp(c.now)
    )
    status = c.status.model_copy(update={"last_action": entry})
    if refusal:
        return replace(c, status=status)
    paused = {"pause": True, "resume": False}.get(verb, status.paused_by_user)
    return replace(c, status=status.model_copy(update={"paused_by_user": paused}), verb=verb)


def _untimely(c: Context, verb: str) -> str:
    """Why nothing can be asked now; empty when it can.

    A request that is older than the status (the object was restored from a backup, or its status was damaged) was meant
    for another candidate: a `promote-force` of last month must not release what is held today.
    """
    if c.status.observed_generation == 0:
        return f"{verb[:40]}: asked before the rollout was first looked at, so it may be meant for the past; ask again"
    if c.spec.suspend and c.action in SUSPENDABLE:
        return f"{verb[:40]}: spec.suspend is true, so nothing is changed; set it to false and ask again"
    return ""


def _refusal(c: Context, verb: str) -> str:
    """Why the request makes no sense now; empty when it does."""
    held = c.snap.target is not None and c.snap.target.paused
    match verb:
        case "promote":
            return _held_back(c) if c.action is Action.PAUSE else _not_paused(c)
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
            return _still_paused(c)
        case _:
            return f'unknown action "{verb[:40]}": use one of {", ".join(VERBS)}, written as <verb>@<token>'


def _held_back(c: Context) -> str:
    """What forbids to go on from a pause; empty when nothing."""
    problem = blocked(c)
    return f"promote: {problem.message}" if problem else ""


def _still_paused(c: Context) -> str:
    """Why a pause cannot end now; empty when it can."""
    if (alert := alerts.waiting(c.status)) is not None:
        return f"resume: another alert fired just now: {alert.message}; look at it and ask again"
    paused = c.reason in {Reason.PAUSED_BY_USER, Reason.PAUSED_BY_ALERT}
    return "" if paused else "resume: the rollout was not paused by a person or an alert"


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
