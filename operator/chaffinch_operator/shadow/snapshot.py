"""What a pass sees of the world: frozen values, no behaviour beyond looking things up. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chaffinch_operator.children.seen import NO_PODS, Found, JobState, Pods
from chaffinch_operator.children.workload import Workload


@dataclass(frozen=True, slots=True)
class Route:
    """An HTTPRoute."""

    name: str
    resource_version: str
    rules: Sequence[Mapping[str, Any]]
    rollout: str = ""
    """CanaryRollout that made it; empty for one of somebody else's."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """The CanaryRollout that spec.actions names."""

    name: str
    resource_version: str
    suspended: bool
    target: str
    template: str = ""
    """Digest of the template that its target has."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look."""

    namespace: str
    name: str
    uid: str
    generation: int
    image: str
    """Image of the service: the operator's own, so that both are of one version."""
    postgres_image: str = ""
    operator_namespace: str = "chaffinch-system"
    operator_account: str = "chaffinch-operator"
    deleting: bool = False
    secrets: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Keys of each Secret that exists, among those that the spec names or that we make."""
    objects: Mapping[tuple[str, str], Found] = field(default_factory=dict)
    """By kind and name."""
    migration: JobState = JobState.ABSENT
    replay: JobState = JobState.ABSENT
    shards_done: int = 0
    """Shards of the replay that are complete."""
    database: Pods = NO_PODS
    service: Pods = NO_PODS
    secrets_digest: str = ""
    """Digest of what pods read once from Secrets."""
    rights_missing: str = ""
    """What the API server refused to let us read, in its words; empty when nothing."""
    database_ports: tuple[int, ...] = (5432,)
    services: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Ports of each Service that exists, among those that the spec names."""
    workloads: Mapping[str, Workload] = field(default_factory=dict)
    """What runs behind them."""
    routes: Mapping[str, Route] = field(default_factory=dict)
    """HTTPRoutes that exist, among the one that the spec names and the one that had the filter."""
    routes_served: bool = True
    """The cluster knows HTTPRoutes."""
    rollout: Rollout | None = None
    said: Mapping[str, Any] | None = None
    """What the service says of its counts, as JSON; None when it was not asked, or does not answer."""
    silence: str = ""
    """Why it does not answer."""
