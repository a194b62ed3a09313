"""What the world looks like in one pass: frozen values, filled by `observe`, read by `decide` and `plan`.

No logic beyond properties.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.revision import HASH_LABEL
from chaffinch_operator.canary.status import Revision
from chaffinch_operator.children.mirroring import Mirror


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    """A ReplicaSet of the target."""

    name: str
    revision: Revision
    desired: int
    ready: int
    pods: int
    template: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """The user's Deployment."""

    name: str
    uid: str
    resource_version: str
    template: Mapping[str, Any]
    revision: Revision
    selector: Mapping[str, str]
    replicas: int
    paused: bool
    recreate: bool
    settled: bool
    """Its controller has seen the latest spec and all replicas run the latest template, available."""
    stuck: str
    """Message of its own exceeded progress deadline, else empty."""
    replica_sets: tuple[ReplicaSet, ...] = ()

    @property
    def running(self) -> ReplicaSet | None:
        """The ReplicaSet that holds most pods; None when there are none."""
        with_pods = [r for r in self.replica_sets if r.pods > 0]
        return max(with_pods, key=lambda r: (r.ready, r.pods, r.name)) if with_pods else None

    @property
    def mixed(self) -> bool:
        """More than one revision has pods."""
        return sum(1 for r in self.replica_sets if r.pods > 0) > 1


@dataclass(frozen=True, slots=True)
class Service:
    """The user's Service."""

    resource_version: str
    selector: Mapping[str, str]
    target_port: int | str
    port_name: str
    ports: tuple[int, ...]
    app_protocol: str = ""
    isolated_note: str = ""
    """Our annotation on it: the CanaryRollout it is narrowed for."""

    @property
    def narrowed(self) -> bool:
        """Its selector is, or is marked to be, narrowed to one revision."""
        return bool(self.isolated_note) or HASH_LABEL in self.selector


@dataclass(frozen=True, slots=True)
class Canary:
    """The canary Deployment, or the dedicated baseline beside it; both are ours."""

    uid: str
    digest: str
    """Digest of the template it runs: the candidate's, or stable's."""
    desired: int
    ready: int
    available: int
    observed: bool
    """Its controller has seen the latest spec."""
    weight: int
    """The weight it was scaled for; 0 for a baseline, whose size follows the canary's."""
    weight_since: datetime | None
    deleting: bool
    created_at: datetime | None
    service_exists: bool
    ready_endpoints: int
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """The generated HTTPRoute."""

    uid: str
    stable_weight: int
    canary_weight: int | None
    """None: no canary backend."""
    weight_since: datetime | None
    """When its weights were last changed, by our own annotation."""
    accepted: bool
    """Every parent accepted the latest spec and resolved its references."""
    problem: str
    """Message of a refusal of the latest spec, else empty."""
    current: bool
    """Its spec is what we would write for its weights."""
    fading: bool = False
    """The canary's weight is a millionth, told as 0: on its way to or from zero."""
    baseline: bool = False
    """It has a backend of the baseline; its share follows from the canary's."""


@dataclass(frozen=True, slots=True)
class Blocker:
    """Something that forbids going on, with a message that names the field and the way out."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class ArmReading:
    """Events of one arm in one interval."""

    bad: int
    total: int


@dataclass(frozen=True, slots=True)
class GateReading:
    """What one gate measured in one interval; `problem` when it has no usable data."""

    gate: str
    canary: ArmReading = ArmReading(0, 0)
    baseline: ArmReading = ArmReading(0, 0)
    problem: Blocker | None = None
    other_requests: int = 0
    """Events of neither arm: of stable's own pods, where a dedicated baseline is compared."""


@dataclass(frozen=True, slots=True)
class IntervalReading:
    """One closed interval of all gates."""

    start: datetime
    end: datetime
    gates: tuple[GateReading, ...]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a gate takes from the time before the candidate: fixed before its first look."""

    gate: str
    dispersion: str
    """At least 1, as status has it: what is used is what is written."""
    source: str
    """Spec, History with its extent, or Assumed with the reason and the way out."""
    method: str
    """Poisson, Fisher or GroupSequential; empty for a gate that has no choice."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that one decision is made from, besides spec, status and the time."""

    name: str
    namespace: str
    uid: str
    generation: int
    deleting: bool = False
    namespace_deleting: bool = False
    request: str = ""
    """Value of the annotation chaffinch.dev/action."""
    target: Target | None = None
    service: Service | None = None
    canary: Canary | None = None
    baseline: Canary | None = None
    route: Route | None = None
    blockers: tuple[Blocker, ...] = ()
    """Found by looking: conflicts, missing kinds, names taken, hold not installed."""
    hold_message: str = ""
    held: bool = True
    """The API server holds changed templates of the target."""
    intervals: tuple[IntervalReading, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    """Of gates that had none yet."""
    provider_problem: Blocker | None = None
    mirrors: tuple[Mirror, ...] = ()
    """Where ShadowEvaluations that name our route want copies of requests."""
    evaluation: Mapping[str, Any] | None = None
    """The ShadowEvaluation of spec.prerequisites; None where there is none."""
    labels: Mapping[str, str] = field(default_factory=dict)
