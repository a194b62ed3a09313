"""What a person can do next, given what the rollout is doing. Pure; the operator may still refuse, with a reason."""

from collections.abc import Callable
from dataclasses import dataclass

from chaffinch_operator.canary.reasons import IN_FLIGHT, Action, Reason
from chaffinch_operator.cli.outcome import Outcome, outcome_of
from chaffinch_operator.cli.rollout import Rollout


@dataclass(frozen=True, slots=True)
class Hint:
    """Something to do: what it brings, and the command if there is one."""

    text: str
    command: str = ""


OPERATOR_PODS = "kubectl get pods -A -l app.kubernetes.io/name=chaffinch-operator"
_REPAIRS = {
    Reason.HOLD_NOT_INSTALLED: "the hold needs Kubernetes 1.36 or newer and the operator's policies; see the condition",
    Reason.TARGET_NOT_FOUND: "create the Deployment, or make a CanaryRollout with the right targetRef",
    Reason.SERVICE_NOT_FOUND: "create the Service, or make a CanaryRollout with the right serviceRef",
    Reason.STRATEGY_RECREATE: "set the Deployment's strategy to RollingUpdate",
    Reason.GATEWAY_API_MISSING: "install the Gateway API's CRDs, or use trafficRouting.replicas",
    Reason.TARGET_CONFLICT: "delete one of the two CanaryRollouts",
    Reason.PROMOTION_STUCK: "see why the Deployment's new pods do not become ready",
}


def hints(rollout: Rollout, where: str = "") -> tuple[Hint, ...]:
    """The moves there are, likeliest first; `where` is what a command needs to find the object, such as " -n shop"."""

    def run(verb: str) -> str:
        name, _, option = verb.partition(" ")
        return f"kubectl chaffinch {name} {rollout.name}{where} {option}".rstrip()

    if rollout.deleting:
        return (Hint("it is being deleted; if the operator is gone already", run("cleanup")),)
    if not rollout.seen:
        return (Hint("see whether the operator runs", OPERATOR_PODS),)
    if rollout.status.paused_by_user or rollout.is_because(Reason.PAUSED_BY_ALERT):
        return Hint("let it go on", run("resume")), Hint("give the candidate up", run("abort"))
    if rollout.is_doing(*IN_FLIGHT):
        return _in_flight(rollout, run)
    return _at_rest(rollout, run)


def _at_rest(rollout: Rollout, run: Callable[[str], str]) -> tuple[Hint, ...]:
    if rollout.is_doing(Action.REJECTED):
        return (
            Hint("see why", run("explain")),
            Hint("try the same candidate again", run("retry")),
            Hint("release it all the same, at your own risk", run("promote --force")),
            Hint("or change the Deployment's template; setting it back to stable's releases the hold"),
        )
    if outcome_of(rollout) is Outcome.STALLED:
        return (Hint(_repair(rollout)),)
    if rollout.is_doing(Action.IDLE):
        return (Hint(f"change the template of deployment/{rollout.target} to start a canary"),)
    return ()


def _in_flight(rollout: Rollout, run: Callable[[str], str]) -> tuple[Hint, ...]:
    give_up = Hint("give the candidate up", run("abort"))
    if rollout.is_because(Reason.APPROVAL_REQUIRED):
        return Hint("let it go on", run("promote")), give_up
    if rollout.is_doing(Action.PAUSE):
        return Hint("go on before the pause is over", run("promote")), give_up
    if rollout.is_doing(Action.HOLD):
        return Hint("release it without full evidence, at your own risk", run("promote --force")), give_up
    return Hint("stop here; analysis goes on", run("pause")), give_up


def _repair(rollout: Rollout) -> str:
    known = next((text for reason, text in _REPAIRS.items() if rollout.reason == reason), "")
    return known or "repair what the decision says; the operator goes on by itself then"
