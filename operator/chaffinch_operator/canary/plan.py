"""From the recorded decision to the writes that bring the world there. Pure, and in a fixed order.

Each pass plans only what is safe now: a weight is raised when the canary can carry it, lowered before anything it
rests on goes, and the target is released only when its Service serves every revision again. The next pass, with the
world read back, plans the rest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from chaffinch_operator import names
from chaffinch_operator.canary import clock, objects
from chaffinch_operator.canary.flow import Context, rival, torn_down
from chaffinch_operator.canary.reasons import IN_FLIGHT, Action, Reason
from chaffinch_operator.canary.revision import HASH_LABEL
from chaffinch_operator.canary.sizing import canary_replicas, first_weight
from chaffinch_operator.canary.snapshot import Canary, ReplicaSet, Route, Service, Target

_SHORT_DELAY_SECONDS = 3
FADE_SECONDS = 1.0
"""How long a weight of a millionth is in force before it becomes zero."""


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply of an object of ours."""

    kind: str
    body: objects.Body


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object of ours."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Isolate:
    """Have the selector policy narrow the Service to stable's pods, status.isolatedHash."""

    service: str
    rollout: str


@dataclass(frozen=True, slots=True)
class Unisolate:
    """Give the Service its own selector back."""

    service: str


@dataclass(frozen=True, slots=True)
class Unpause:
    """Release the target, if it is still as it was seen: a template that arrived since stays held."""

    deployment: str
    resource_version: str


Operation = Apply | Delete | Isolate | Unisolate | Unpause

CAUSES_TO_STAY_HELD = frozenset({Reason.PROMOTION_INTERRUPTED})


def plan(c: Context) -> tuple[Operation, ...]:
    """The writes of this pass for the decision in `c.status`."""
    if c.snap.namespace_deleting or c.suspended or (rival(c) and not c.snap.deleting):
        return ()
    return (*_route(c), *_canary(c), *_selector(c), *_release(c))


def finished(c: Context) -> bool:
    """For a deletion: whether nothing of ours is left to do."""
    return c.snap.namespace_deleting or (torn_down(c) and not tuple(_selector(c)) and not tuple(_release(c)))


def _keeps_canary(c: Context) -> bool:
    return c.action in IN_FLIGHT or (c.action is Action.PROMOTE and c.status.weight.desired > 0)


def _route(c: Context) -> Iterator[Operation]:
    routing, route = c.spec.traffic_routing.gateway_api, c.snap.route
    if routing is None or any(b.reason is Reason.GATEWAY_API_MISSING for b in c.snap.blockers):
        return
    if route is None and (c.snap.service is None or c.snap.deleting or _name_taken(c)):
        return
    weight, dedicated = _backend_weight(c, route), _with_baseline(c, route)
    as_wanted = _as_it_is(route) == weight and (weight is None or dedicated is _has_baseline(route))
    if route is not None and route.current and as_wanted:
        return
    same = route is not None and (route.canary_weight or 0) == max(weight or 0, 0) and route.weight_since is not None
    since = route.weight_since if same and route and route.weight_since else c.now
    yield Apply("HTTPRoute", objects.route(c.spec, c.snap, routing, weight, since, dedicated=dedicated))


def _name_taken(c: Context) -> bool:
    """A name we need is somebody else's: nothing is made; what is ours is still lowered and removed."""
    return any(b.reason is Reason.NAME_TAKEN for b in c.snap.blockers)


def _with_baseline(c: Context, route: Route | None) -> bool:
    """Whether the route is to have a backend of the baseline's: from when it serves until the canary's goes."""
    return _has_baseline(route) or (c.dedicated and _keeps_canary(c) and _serves(c.snap.baseline))


def _has_baseline(route: Route | None) -> bool:
    return route is not None and route.baseline


def _backend_weight(c: Context, route: Route | None) -> int | None:
    """Weight of the canary backend, None for no such backend. The baseline's backend comes, fades and goes with it."""
    present = route.canary_weight if route else None
    if _keeps_canary(c):
        both = c.dedicated or _has_baseline(route)
        copies = [c.snap.canary, c.snap.baseline] if both else [c.snap.canary]
        if c.status.weight.desired == 0 or not all(map(_serves, copies)):
            return _lowered(c, route, serving=any(map(_serves, copies)))
        if both is not _has_baseline(route) or not (present or (route and route.fading and route.accepted)):
            return objects.FADING
        return c.status.weight.desired if all(_can_carry(c, copy) for copy in copies if copy) else _as_it_is(route)
    lowered = _lowered(c, route, serving=True)
    return None if lowered == 0 and _drained(c) else lowered


def _lowered(c: Context, route: Route | None, *, serving: bool) -> int | None:
    """Zero for what is in the route; by a millionth first, if one of its backends still answers requests."""
    if route is None or route.canary_weight is None:
        return None
    on_its_way = route.canary_weight > 0 or (route.fading and not _faded(c, route))
    return objects.FADING if serving and on_its_way else 0


def _serves(copy: Canary | None) -> bool:
    return copy is not None and copy.service_exists and copy.ready_endpoints > 0 and not copy.deleting


def _as_it_is(route: Route | None) -> int | None:
    return objects.FADING if route and route.fading else route.canary_weight if route else None


def _faded(c: Context, route: Route) -> bool:
    """The millionth is in force, or was refused: no request is on its way to the backend any more."""
    since = route.weight_since
    answered = route.accepted or bool(route.problem)
    return since is None or (answered and (c.now - since).total_seconds() >= FADE_SECONDS)


def _can_carry(c: Context, canary: Canary) -> bool:
    """Enough available pods for the decided weight; always true for a weight that is not raised."""
    if c.status.weight.applied >= c.status.weight.desired or c.snap.target is None or c.action is Action.PROMOTE:
        return True
    return canary.available >= canary_replicas(c.spec, c.snap.target.replicas, c.status.weight.desired)


def _drained(c: Context) -> bool:
    """Weight zero was read back, and long enough ago for running requests to end."""
    delays = {Action.RELEASE: 0, Action.ABANDON: min(_SHORT_DELAY_SECONDS, c.spec.scale_down_delay_seconds)}
    delay = delays.get(c.action, c.spec.scale_down_delay_seconds)
    route = c.snap.route
    if route is None or (route.canary_weight or 0) > 0 or not (route.accepted or route.problem):
        return route is None
    return clock.elapsed(c.status.drained_at, c.now) >= delay


def _canary(c: Context) -> Iterator[Operation]:
    target, service = c.snap.target, c.snap.service
    if _keeps_canary(c):
        if c.action in IN_FLIGHT and target is not None and service is not None and _isolated(c) and not _name_taken(c):
            yield from _start_copies(c, target, service)
        return
    route = c.snap.route
    without_backend = route is None or (route.canary_weight is None and (route.accepted or bool(route.problem)))
    for copy, track in ((c.snap.canary, objects.CANARY), (c.snap.baseline, objects.BASELINE)):
        if copy is not None and not copy.deleting and without_backend:
            yield Delete("Service", names.child_name(c.spec.service_ref.name, track))
            yield Delete("Deployment", names.child_name(c.spec.target_ref.name, track))


def _start_copies(c: Context, target: Target, service: Service) -> Iterator[Operation]:
    """Canary and baseline at the same moment, of the same size."""
    weight = c.status.weight.desired or first_weight(c.spec)
    replicas = canary_replicas(c.spec, target.replicas, weight)
    yield from _start_canary(c, target, weight, replicas)
    copies, stable = [(c.snap.canary, objects.CANARY)], _stable(c, target)
    if c.dedicated and stable is not None:
        copies.append((c.snap.baseline, objects.BASELINE))
        yield from _start_baseline(c, target, stable, replicas)
    for copy, track in copies:
        if copy is None or not (copy.service_exists or copy.deleting):
            yield Apply("Service", objects.track_service(c.spec, c.snap, service, track))


def _stable(c: Context, target: Target) -> ReplicaSet | None:
    """The ReplicaSet that has stable's template; None where someone deleted it."""
    stable = c.status.stable
    return next((r for r in target.replica_sets if stable is not None and r.revision.digest == stable.digest), None)


def _start_baseline(c: Context, target: Target, stable: ReplicaSet, replicas: int) -> Iterator[Operation]:
    have = c.snap.baseline
    if have is not None and (have.deleting or (have.digest == stable.revision.digest and have.desired == replicas)):
        return
    yield Apply("Deployment", objects.baseline_deployment(c.spec, c.snap, target, stable, replicas))


def _start_canary(c: Context, target: Target, weight: int, replicas: int) -> Iterator[Operation]:
    canary = c.snap.canary
    if canary is not None and canary.deleting:
        return
    if (
        canary is None
        or canary.digest != target.revision.digest
        or canary.desired != replicas
        or canary.weight != weight
    ):
        since = _scaled_since(c, weight)
        yield Apply("Deployment", objects.canary_deployment(c.spec, c.snap, target, replicas, weight, since))


def _scaled_since(c: Context, weight: int) -> datetime:
    """Since when the canary is scaled for a weight. With a route, more pods for the same weight change no share."""
    canary = c.snap.canary
    same = c.by_route and canary is not None and canary.weight == weight
    return canary.weight_since if same and canary is not None and canary.weight_since else c.now


def _isolated(c: Context) -> bool:
    service, wanted = c.snap.service, c.status.isolated_hash
    return not wanted or (service is not None and service.selector.get(HASH_LABEL) == wanted)


def _selector(c: Context) -> Iterator[Operation]:
    service, name = c.snap.service, c.spec.service_ref.name
    if service is None or (rival(c) and service.isolated_note != c.snap.name):
        return
    if c.status.isolated_hash and not _isolated(c):
        yield Isolate(name, c.snap.name)
    elif not c.status.isolated_hash and service.narrowed:
        yield Unisolate(name)


def _release(c: Context) -> Iterator[Operation]:
    target, candidate, service = c.snap.target, c.status.candidate, c.snap.service
    if target is None or not target.paused or (service is not None and service.narrowed) or rival(c):
        return
    if c.snap.deleting:
        stable = c.status.stable
        allowed = torn_down(c) and stable is not None and stable.digest == target.revision.digest
    elif candidate is None or candidate.digest != target.revision.digest:
        allowed = False
    elif c.action is Action.RELEASE:
        allowed = torn_down(c)
    else:
        allowed = c.action is Action.PROMOTE and c.reason not in CAUSES_TO_STAY_HELD
    if allowed and not c.status.isolated_hash:
        yield Unpause(target.name, target.resource_version)
