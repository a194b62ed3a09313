"""What spec.actions asks for after a Promote: the CanaryRollout that is named is let go on. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from chaffinch_operator.shadow.decide import Decision
from chaffinch_operator.shadow.model import ShadowEvaluationSpec
from chaffinch_operator.shadow.snapshot import Snapshot
from chaffinch_operator.shadow.status import ShadowEvaluationStatus

PROMOTE = "Promote"


@dataclass(frozen=True, slots=True)
class Start:
    """Set spec.suspend of a CanaryRollout to false, if it is still as it was seen."""

    rollout: str
    resource_version: str


def asked(spec: ShadowEvaluationSpec, before: ShadowEvaluationStatus, decision: Decision) -> bool:
    """Whether there was a Promote, and it has not been acted on."""
    verdict = decision.verdict or before.verdict
    done = before.canary is not None and bool(before.canary.started_at) and not decision.verdict
    return bool(
        spec.actions.canary_rollout_ref is not None and decision.run.concluded_at and verdict == PROMOTE and not done
    )


def waits_for(before: ShadowEvaluationStatus, snap: Snapshot, name: str) -> str:
    """What a start waits for, in a sentence; empty when nothing."""
    rollout = snap.rollout
    if rollout is None:
        return f"there is no CanaryRollout {name} in namespace {snap.namespace}: create it"
    if not before.candidate.digest:
        return "the candidate's Service does not stand for one Deployment, so nobody knows what to start"
    if rollout.template != before.candidate.digest:
        return (
            f"Deployment {rollout.target} does not have the candidate's template (images, commands, settings, "
            "volumes): apply it there, and it is held until the canary has begun"
        )
    return ""


def start(
    spec: ShadowEvaluationSpec, before: ShadowEvaluationStatus, snap: Snapshot, decision: Decision
) -> Iterator[Start]:
    """The write that lets the CanaryRollout go on; none where it is not suspended."""
    ref = spec.actions.canary_rollout_ref
    if ref is None or not asked(spec, before, decision) or waits_for(before, snap, ref.name):
        return
    if snap.rollout is not None and snap.rollout.suspended:
        yield Start(snap.rollout.name, snap.rollout.resource_version)
