"""Whether a candidate may be tried on users: what spec.prerequisites asks for. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chaffinch_operator.canary import clock
from chaffinch_operator.canary.model import CanaryRolloutSpec, ShadowEvaluationRef
from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.snapshot import Blocker, Snapshot, Target
from chaffinch_operator.children import workload
from chaffinch_operator.schema import seconds

PROMOTE = "Promote"
_FIELD = "spec.prerequisites.shadowEvaluationRef"


def unmet(spec: CanaryRolloutSpec, snap: Snapshot, target: Target, now: datetime) -> Blocker | None:
    """What keeps the held template from getting a canary, with the way out; None when nothing does."""
    if spec.prerequisites is None:
        return None
    ref = spec.prerequisites.shadow_evaluation_ref
    lacks = _lacks(ref, snap.evaluation, target, now)
    if not lacks:
        return None
    message = f"{_FIELD}: {lacks}; kubectl chaffinch promote --force {snap.name} releases it all the same"
    return Blocker(Reason.PREREQUISITE_NOT_MET, message)


def _lacks(ref: ShadowEvaluationRef, body: Mapping[str, Any] | None, target: Target, now: datetime) -> str:
    if body is None:
        return f"there is no ShadowEvaluation {ref.name}: create it"
    status = body.get("status") or {}
    run, verdict = status.get("run") or {}, status.get("verdict", "")
    concluded = clock.parse(run.get("concludedAt", ""))
    if concluded is None or run.get("generation") != body["metadata"].get("generation"):
        doing = (status.get("lastDecision") or {}).get("reason") or "not seen by the operator yet"
        return f"ShadowEvaluation {ref.name} has no final verdict yet ({doing}): the canary starts once it says Promote"
    if verdict != PROMOTE:
        return f"ShadowEvaluation {ref.name} says {verdict}, not Promote: see its status.reasons"
    if (now - concluded).total_seconds() > seconds(ref.max_age):
        return f"the verdict of ShadowEvaluation {ref.name} is older than {ref.max_age}: evaluate the candidate again"
    known = status.get("candidate") or {}
    if known.get("digest") != workload.digest(target.template):
        images = ", ".join(known.get("images") or ()) or "no one Deployment"
        return (
            f"ShadowEvaluation {ref.name} was about another candidate ({images}): its images, commands, settings and "
            "volumes must be those of the held template"
        )
    return ""
