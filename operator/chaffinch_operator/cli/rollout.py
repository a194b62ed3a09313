"""A CanaryRollout as the plugin sees it: the object as the API server has it, read tolerantly. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chaffinch_operator.canary.clock import parse
from chaffinch_operator.canary.model import CanaryRolloutSpec, Step
from chaffinch_operator.canary.reasons import Action, Reason
from chaffinch_operator.canary.status import CanaryRolloutStatus
from chaffinch_operator.cli.lenient import read
from chaffinch_operator.schema import Condition

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rollout:
    """One CanaryRollout: facts only, no judgement."""

    name: str
    namespace: str
    uid: str
    generation: int
    created: datetime | None
    deleting: bool
    target: str
    service: str
    spec: CanaryRolloutSpec | None
    """None when the spec is of a shape this version does not know."""
    status: CanaryRolloutStatus
    raw_spec: Object
    raw_status: Object
    left_out: tuple[str, ...]
    """Parts of the status this version does not understand; the operator is of another version."""

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def seen(self) -> bool:
        """Whether the operator has written a status yet."""
        return bool(self.raw_status)

    @property
    def outdated(self) -> bool:
        """Whether the spec was changed after the status was written."""
        return self.seen and self.status.observed_generation != self.generation

    @property
    def action(self) -> str:
        """What was decided last, also when this version does not know the word."""
        return str(self._decision("action", self.status.last_decision.action)) if self.seen else ""

    @property
    def reason(self) -> str:
        """Why, also when this version does not know the word."""
        return str(self._decision("reason", self.status.last_decision.reason)) if self.seen else ""

    @property
    def sentence(self) -> str:
        """The decision in one sentence."""
        return self.status.last_decision.message

    @property
    def steps(self) -> Sequence[Step]:
        """The steps of the spec; none when it cannot be read."""
        return self.spec.steps if self.spec else ()

    def is_doing(self, *actions: Action) -> bool:
        """Whether the last decision is one of these."""
        return self.action in actions

    def is_because(self, *reasons: Reason) -> bool:
        """Whether the last decision has one of these reasons."""
        return self.reason in reasons

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type, if it is there."""
        return next((c for c in self.status.conditions if c.type == kind), None)

    def _decision(self, field: str, known: str) -> str:
        raw = self.raw_status.get("lastDecision")
        value = raw.get(field) if isinstance(raw, dict) else None
        return value if isinstance(value, str) and value else known


def rollout_of(obj: Object) -> Rollout:
    """Read an object of the API server; nothing in it but its name is taken for granted."""
    meta = _mapping(obj, "metadata")
    raw_spec, raw_status = _mapping(obj, "spec"), _mapping(obj, "status")
    spec, unknown = read(CanaryRolloutSpec, raw_spec)
    status, left_out = read(CanaryRolloutStatus, raw_status)
    return Rollout(
        name=str(meta.get("name", "")),
        namespace=str(meta.get("namespace", "")),
        uid=str(meta.get("uid", "")),
        generation=int(meta.get("generation", 0)),
        created=parse(str(meta.get("creationTimestamp", ""))),
        deleting="deletionTimestamp" in meta,
        target=str(_mapping(raw_spec, "targetRef").get("name", "")),
        service=str(_mapping(raw_spec, "serviceRef").get("name", "")),
        spec=spec,
        status=status or CanaryRolloutStatus(),
        raw_spec=raw_spec,
        raw_status=raw_status,
        left_out=(*(f"spec.{path}" for path in unknown), *(f"status.{path}" for path in left_out)),
    )


def _mapping(obj: Object, key: str) -> Object:
    value = obj.get(key)
    return value if isinstance(value, dict) else {}
