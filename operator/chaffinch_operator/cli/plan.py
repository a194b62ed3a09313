"""`plan`: how long a rollout would take to catch harm, and to pass, at the present traffic."""

import random
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from chaffinch_operator.canary import sizing
from chaffinch_operator.canary.gates import ResolvedGate, resolve
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.sources import Naming
from chaffinch_operator.cli import past_readings, picture, traffic
from chaffinch_operator.cli.failures import OK, CliError, DeclinedError, UsageProblemError
from chaffinch_operator.cli.forecasts import GateTraffic, setting
from chaffinch_operator.cli.login import Given, login
from chaffinch_operator.cli.plan_document import plan_document
from chaffinch_operator.cli.planning import plan
from chaffinch_operator.cli.rollout import Rollout, rollout_of
from chaffinch_operator.cli.screen import show
from chaffinch_operator.cli.service_proxy import open_prometheus, unreachable
from chaffinch_operator.cli.session import Session
from chaffinch_operator.cli.show_plan import plan_screen
from chaffinch_operator.cli.traffic import ByHand, Measured
from chaffinch_operator.cli.world import Cluster
from chaffinch_operator.errors import ChaffinchError
from chaffinch_operator.ports.prometheus import ProviderUnreachable
from chaffinch_operator.resources import CANARYROLLOUTS, DEPLOYMENTS, REPLICASETS

_SEED = 1
_HASH = "pod-template-hash"


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for."""

    name: str | None
    file: str | None
    given: ByHand
    prometheus: str | None
    window_seconds: float
    plot: Path | None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subject:
    """The rollout that is planned, and what the cluster knows of it."""

    rollout: Rollout
    spec: CanaryRolloutSpec
    stable_replicas: int | None
    stable_pods: str
    """Prefix of the names of stable's pods."""

    @property
    def naming(self) -> Naming:
        """How series are attributed."""
        named = past_readings.naming(self.spec, self.rollout.namespace, self.rollout.name)
        return replace(named, stable_pods=self.stable_pods[:58])


async def show_plan(session: Session, request: Request) -> int:
    """Print the plan, and draw it where that was asked for."""
    if request.plot is not None:
        picture.require(request.plot)
    subject, found = await _look(session, request)
    gates = resolve(subject.spec, subject.naming)
    known = _traffic(subject, gates, request.given, found)
    result = plan(setting(subject.spec, gates, share_of(subject)), known, _chance)
    if request.plot is not None:
        picture.write(request.plot, result, subject.rollout.key)
        session.warn(f"drawn to {request.plot}")
    if session.wants_data:
        session.print_data(plan_document(result, subject.rollout.namespace, subject.rollout.name))
    else:
        show(session.console, plan_screen(result, subject.rollout.key))
    return OK


def _chance() -> Any:  # noqa: ANN401 -- of random
    """The same luck for every question: one spec has one plan."""
    return random.Random(_SEED).randbytes  # noqa: S311 -- no secret


async def _look(session: Session, request: Request) -> tuple[Subject, Mapping[str, Measured]]:
    """The subject, and what was measured; neither needs a cluster when a file and all numbers are given."""
    if request.file is not None:
        obj = _from_file(request.file, request.name)
        subject = _subject(rollout_of(_placed(obj, session)))
        if _covered(subject, request.given):
            return subject, {}
        async with _cluster_if_any(session, request) as cluster:
            if cluster is not None:
                subject = await _known(cluster, subject)
            return subject, await _measure(session, cluster, subject, request)
    if request.name is None:
        raise UsageProblemError("name a CanaryRollout, or give a file with -f")
    async with session.cluster() as cluster:
        subject = await _known(cluster, _subject(await session.find(cluster, request.name)))
        if _covered(subject, request.given):
            return subject, {}
        return subject, await _measure(session, cluster, subject, request)


@asynccontextmanager
async def _cluster_if_any(session: Session, request: Request) -> AsyncIterator[Cluster | None]:
    """The cluster; none where an address of Prometheus is given and there is no kubeconfig."""
    try:
        _ = session.place
    except CliError:
        if request.prometheus is None:
            raise
        yield None
        return
    async with session.cluster() as cluster:
        yield cluster


def _placed(obj: dict[str, Any], session: Session) -> dict[str, Any]:
    """With the namespace of the command line, or of the context where there is one."""
    meta = obj["metadata"]
    namespace = session.flags.namespace or meta.get("namespace")
    if not namespace:
        try:
            namespace = session.namespace
        except CliError:
            namespace = "default"
    return {**obj, "metadata": {**meta, "namespace": namespace}}


def _from_file(file: str, name: str | None) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 -- keeps --help quick

    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text()
        documents = [d for d in yaml.safe_load_all(text) if isinstance(d, dict)]
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageProblemError(f"-f {file}: {error}") from error
    found = [d for d in documents if d.get("kind") == CANARYROLLOUTS.kind and isinstance(d.get("metadata"), dict)]
    names = [str(d["metadata"].get("name", "")) for d in found]
    if name is not None:
        found = [d for d in found if d["metadata"].get("name") == name]
    if len(found) != 1:
        what = f"there are CanaryRollouts {', '.join(names)}: name one" if names else "there is no CanaryRollout in it"
        raise UsageProblemError(f"-f {file}: {what}")
    return found[0]


def _subject(rollout: Rollout) -> Subject:
    """Before anything is known of the cluster."""
    hashed = rollout.status.stable.hash if rollout.status.stable else ""
    return Subject(rollout, _spec(rollout), None, f"{rollout.target}-{hashed}-" if hashed else f"{rollout.target}-")


def _spec(rollout: Rollout) -> CanaryRolloutSpec:
    try:
        spec = CanaryRolloutSpec.model_validate(rollout.raw_spec)
        resolve(spec, Naming("", "", "", ""))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise DeclinedError(
            f"{rollout.key}: spec.{where}: {first['msg']}", "see docs/reference/canaryrollout.md"
        ) from error
    except ValueError as error:
        raise DeclinedError(f"{rollout.key}: {error}", "see docs/gates.md") from error
    return spec


async def _known(cluster: Cluster, subject: Subject) -> Subject:
    """With stable's pods as the cluster has them. What may not be looked at is done without."""
    rollout = subject.rollout
    try:
        target = await cluster.get(DEPLOYMENTS, rollout.target, rollout.namespace)
        sets = await cluster.list(REPLICASETS, rollout.namespace) if target else []
    except ChaffinchError:
        return subject
    if target is None:
        return subject
    replicas = int(target.get("spec", {}).get("replicas", 1))
    stable = subject.stable_pods
    if rollout.status.stable is None:
        owned = [s for s in sets if any(o.get("uid") == target["metadata"].get("uid") for o in _owners(s))]
        running = max(owned, key=lambda s: int((s.get("status") or {}).get("readyReplicas", 0)), default=None)
        hashed = (running or {"metadata": {}})["metadata"].get("labels", {}).get(_HASH, "")
        stable = f"{rollout.target}-{hashed}-" if hashed else stable
    return Subject(rollout, subject.spec, replicas or None, stable)


def _owners(obj: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return obj["metadata"].get("ownerReferences") or []


def _covered(subject: Subject, given: ByHand) -> bool:
    gates = resolve(subject.spec, subject.naming)
    traffic.check_names(given, gates)
    return all(given.covers(gate.name) for gate in gates if gate.count or gate.rate)


async def _measure(
    session: Session, cluster: Cluster | None, subject: Subject, request: Request
) -> Mapping[str, Measured]:
    """From the rollout under way as far as it goes, the rest from Prometheus."""
    gates = resolve(subject.spec, subject.naming)
    found: dict[str, Measured] = traffic.from_status(subject.rollout, gates)
    left = [g for g in gates if (g.count or g.rate) and g.name not in found and not request.given.covers(g.name)]
    if not left:
        return found
    given = Given(request.prometheus, request.headers)
    asked = await login(session, cluster, subject.spec, subject.rollout.namespace, given)
    if asked is None:
        return found
    reach = None if request.prometheus else cluster
    async with open_prometheus(reach, asked) as prometheus:
        try:
            now = session.world.now()
            return {
                **await traffic.from_prometheus(prometheus, subject.spec, left, now, request.window_seconds),
                **found,
            }
        except ProviderUnreachable as problem:
            raise unreachable(problem, asked.address) from problem


def _traffic(
    subject: Subject, gates: Sequence[ResolvedGate], given: ByHand, found: Mapping[str, Measured]
) -> dict[str, GateTraffic]:
    counting = [gate for gate in gates if gate.count or gate.rate]
    known = {gate.name: given.over(gate, found.get(gate.name)) for gate in counting}
    if unknown := [name for name, one in known.items() if one is None]:
        raise traffic.missing(subject.spec, unknown)
    return {name: one for name, one in known.items() if one is not None}


def share_of(subject: Subject) -> Any:  # noqa: ANN401 -- a function or None
    """By replicas the weight is the ratio of pods: what the pods there are can make of it.

    A dedicated baseline has as many pods as the canary.
    """
    stable = subject.stable_replicas
    if subject.spec.traffic_routing.gateway_api is not None or stable is None:
        return None

    def share(weight: int) -> float:
        canary = sizing.canary_replicas(subject.spec, stable, weight)
        copies = 2 if subject.spec.canary.baseline == "Dedicated" else 1
        return canary / (copies * canary + stable) if weight else 0.0

    return share
