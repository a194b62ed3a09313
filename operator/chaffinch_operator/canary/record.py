"""Small changes of status, each named by what it means, and the sentences that go with them. Pure."""

from collections.abc import Sequence
from datetime import datetime

from chaffinch_operator import names
from chaffinch_operator.canary import clock
from chaffinch_operator.canary.flow import Context, baseline_unready, unready
from chaffinch_operator.canary.reasons import IN_FLIGHT, Action, Reason
from chaffinch_operator.canary.sizing import weight_at
from chaffinch_operator.canary.snapshot import Blocker, Target
from chaffinch_operator.canary.status import (
    CanaryRolloutStatus,
    DecisionStatus,
    HistoryEntry,
    Revision,
    StepStatus,
    Weight,
)
from chaffinch_operator.conditions import cut

_KEPT = 10
_HISTORY_MESSAGE, _HISTORY_IMAGE = 200, 128
"""Characters of a history entry: ten of them must leave room for the gates in 16 KiB."""


def decided(
    status: CanaryRolloutStatus,
    now: datetime,
    action: Action,
    reason: Reason,
    message: str,
    *,
    weight: int | None = None,
    anew: bool = False,
) -> CanaryRolloutStatus:
    """Status with a decision; its time stays while action and reason do, unless it is one made anew."""
    last = status.last_decision
    same = last.at and last.action is action and last.reason is reason and not anew
    decision = DecisionStatus(
        action=action,
        reason=reason,
        message=cut(message, 1024),
        at=last.at if same else clock.stamp(now),
        previous_reason=last.previous_reason if same else "",
    )
    new_weight = status.weight if weight is None else status.weight.model_copy(update={"desired": weight})
    ahead = status.forecast if action in IN_FLIGHT else None
    return status.model_copy(update={"last_decision": decision, "weight": new_weight, "forecast": ahead})


def followed(status: CanaryRolloutStatus, before: DecisionStatus) -> CanaryRolloutStatus:
    """A new decision says what it came after: whether it is news must be known to a process that did not see that."""
    last = status.last_decision
    if (last.action, last.reason, last.at) == (before.action, before.reason, before.at):
        return status
    reason = before.reason.value if before.at else ""
    return status.model_copy(update={"last_decision": last.model_copy(update={"previous_reason": reason})})


def annotate(status: CanaryRolloutStatus, message: str) -> CanaryRolloutStatus:
    """The same decision with news in its sentence, once."""
    last = status.last_decision
    if message in last.message:
        return status
    text = cut(f"{last.message}; {message}", 1024)
    return status.model_copy(update={"last_decision": last.model_copy(update={"message": text})})


def wait(c: Context, blocker: Blocker) -> CanaryRolloutStatus:
    """Nothing can start before something outside changes."""
    return decided(c.status, c.now, Action.WAIT, blocker.reason, blocker.message, weight=0)


def end(c: Context, action: Action, reason: Reason, message: str) -> CanaryRolloutStatus:
    """The canary ends without being promoted, or (un-paused from outside) with it: weight to zero, or kept."""
    return decided(c.status, c.now, action, reason, message, weight=None if action is Action.PROMOTE else 0)


def promote(c: Context, reason: Reason, message: str) -> CanaryRolloutStatus:
    """Release the target; the canary keeps its share until the target has rolled."""
    return decided(c.status, c.now, Action.PROMOTE, reason, message)


def candidate(status: CanaryRolloutStatus, revision: Revision, now: datetime) -> CanaryRolloutStatus:
    """Remember what is being dealt with."""
    if status.candidate is not None and status.candidate.digest == revision.digest:
        return status
    return status.model_copy(update={"candidate": revision, "candidate_since": clock.stamp(now)})


def fresh_start(status: CanaryRolloutStatus, target: Target, baseline: str, now: datetime) -> CanaryRolloutStatus:
    """A candidate's beginning: no evidence, no step, its clock at zero. baseline: spec.canary.baseline, from now on."""
    first = [status.stable.digest] if status.stable else []
    return status.model_copy(
        update={
            "promoted_revisions": status.promoted_revisions or first,
            "candidate": target.revision,
            "candidate_since": clock.stamp(now),
            "baseline": baseline if baseline != "None" else "",
            "gates": [],
            "step": StepStatus(),
            "weight": Weight(),
            "analysis_started_at": "",
            "interval_end": "",
            "drained_at": "",
            "paused_by_user": False,
            "forecast": None,
            "alerts": [],
        }
    )


def settle(status: CanaryRolloutStatus, target: Target) -> CanaryRolloutStatus:
    """The target's template runs everywhere: it is stable now, and no candidate is left."""
    stable = next(
        (r.revision for r in target.replica_sets if r.revision.digest == target.revision.digest), target.revision
    )
    return promoted(status, stable).model_copy(
        update={
            "candidate": None,
            "candidate_since": "",
            "baseline": "",
            "weight": Weight(applied=status.weight.applied),
            "step": StepStatus(),
            "paused_by_user": False,
            "forecast": None,
            "alerts": [],
        }
    )


def promoted(status: CanaryRolloutStatus, stable: Revision) -> CanaryRolloutStatus:
    """A revision is stable now: the first of those promoted, and no longer rejected."""
    return status.model_copy(
        update={
            "stable": stable,
            "promoted_revisions": _promoted(status.promoted_revisions, stable.digest)[:12],
            "rejected_revisions": [d for d in status.rejected_revisions if d != stable.digest],
        }
    )


def _promoted(before: Sequence[str], digest: str) -> list[str]:
    """The promoted revisions with this one first; going back to an earlier one forgets those after it."""
    return list(before[before.index(digest) :]) if digest in before else [digest, *before]


def enter_step(c: Context, index: int) -> CanaryRolloutStatus:
    """Go to a step: raise the weight, or pause at the present one."""
    step = c.spec.steps[index]
    weight = weight_at(c.spec, index)
    status = c.status.model_copy(
        update={"step": StepStatus(index=index), "weight": c.status.weight.model_copy(update={"observed": ""})}
    )
    place = f"step {index + 1} of {len(c.spec.steps)}"
    if step.pause is None:
        message = f"{place}: weight {weight} % is being applied"
        return decided(status, c.now, Action.SHIFT, Reason.STEP_WEIGHT, message, weight=weight, anew=True)
    if step.pause.duration is None:
        message = f"{place}: waits at weight {weight} % until a person promotes (kubectl chaffinch promote)"
        return decided(status, c.now, Action.PAUSE, Reason.APPROVAL_REQUIRED, message, anew=True)
    message = f"{place}: pauses at weight {weight} % for {step.pause.duration}"
    return decided(status, c.now, Action.PAUSE, Reason.PAUSED, message, anew=True)


def history(
    status: CanaryRolloutStatus, result: str, now: datetime, reason: Reason | None = None
) -> CanaryRolloutStatus:
    """How the present candidate ended, newest first; said once."""
    if status.candidate is None:
        return status
    entry = HistoryEntry(
        digest=status.candidate.digest,
        image=cut(status.candidate.image, _HISTORY_IMAGE),
        result=result,
        reason=reason or status.last_decision.reason,
        at=clock.stamp(now),
        message=cut(status.last_decision.message, _HISTORY_MESSAGE),
    )
    return status.model_copy(update={"history": [entry, *status.history][:_KEPT]})


def known(c: Context, digest: str) -> bool:
    """Whether the digest lies within the rollback window, before the present stable."""
    promoted = [d for d in c.status.promoted_revisions if not c.status.stable or d != c.status.stable.digest]
    return digest in promoted[: c.spec.rollback_window.revisions]


def describe(revision: Revision | None) -> str:
    """A revision as people know it."""
    if revision is None:
        return "none"
    name = revision.hash or revision.digest
    return f"{name} ({revision.image})" if revision.image else name


def initializing(candidate: Revision | None) -> str:
    """The canary is on its way."""
    return f"candidate {describe(candidate)} is held; its canary is being started"


def overtaken(c: Context) -> str:
    """Something else is held now, or nothing; the canary of the candidate goes first."""
    target, old = c.snap.target, describe(c.status.candidate)
    new = f"{describe(target.revision)} arrived" if target else f"Deployment {c.spec.target_ref.name} is gone"
    return f"{new}; the canary of {old} is removed first"


def stuck(c: Context, target: Target) -> str:
    """The target does not get its new pods to run."""
    return (
        f"{target.stuck}: {describe(c.status.candidate)} passed but does not become available everywhere; see kubectl "
        f"describe deployment {target.name}. To go back, apply the previous manifest: it is released at once"
    )


def no_target(c: Context) -> Blocker:
    """The target is not there."""
    return Blocker(
        Reason.TARGET_NOT_FOUND,
        f"spec.targetRef.name: there is no Deployment {c.spec.target_ref.name} in namespace "
        f"{c.snap.namespace}; it is picked up as soon as it is created",
    )


def interrupted(c: Context, target: Target) -> str:
    """Two revisions have pods and a third template is held."""
    pods = ", ".join(f"{r.revision.hash} {r.pods}" for r in target.replica_sets if r.pods)
    return (
        f"the template changed while the target was rolling (pods: {pods}); {describe(target.revision)} is held. Apply "
        f"the promoted template again to finish, or release this one: kubectl chaffinch promote {c.snap.name} --force"
    )


def rejected(c: Context, revision: Revision) -> str:
    """Why a held template stays held."""
    past = next((h for h in c.status.history if h.digest == revision.digest and h.result == "RolledBack"), None)
    why = f": {past.message}" if past else ""
    return (
        f"{describe(revision)} was rolled back before{why}. Change the template, revert it, or try again: "
        f"kubectl chaffinch retry {c.snap.name}"
    )


def deadline(c: Context) -> str:
    """The canary did not become available, or did not get its weight, in time."""
    weight = c.status.weight.desired
    what = f"weight {weight} % is not applied" if weight else "the canary is not available"
    why = unready(c) or f"HTTPRoute {c.snap.name} does not carry the weight"
    return (
        f"{what} after {c.spec.progress_deadline_seconds} s (progressDeadlineSeconds): {why}; "
        f"see kubectl describe deployment {names.canary_name(c.spec.target_ref.name)}"
    )


def baseline_deadline(c: Context) -> str:
    """The dedicated baseline did not become available in time, which says nothing of the candidate."""
    name = names.baseline_name(c.spec.target_ref.name)
    return (
        f"the baseline is not available after {c.spec.progress_deadline_seconds} s (progressDeadlineSeconds): "
        f"{baseline_unready(c)}; it runs stable's template, so the candidate is not to blame and waits: see kubectl "
        f"describe deployment {name}. To go on without it: set canary.baseline: None, kubectl chaffinch abort "
        f"{c.snap.name}, then kubectl chaffinch retry {c.snap.name}"
    )


def deleted(c: Context) -> str:
    """The CanaryRollout is being deleted; how to release what stays held without it."""
    target, stable = c.snap.target, c.status.stable
    gone = "being deleted: traffic goes back to stable and the canary is removed"
    if target is None or not target.paused or (stable is not None and stable.digest == target.revision.digest):
        return gone
    return (
        f"{gone}; {describe(target.revision)} is not proven and stays held. To release it: "
        f"kubectl rollout resume deployment/{target.name} -n {c.snap.namespace}"
    )
