"""The table of contents: what the operator listens to. Handlers are three lines each; no logic here.

kopf gives us watches, one task per object, and the finalizer. It writes nothing but the finalizer: no on.create or
on.update handlers, no results, no Events, no peering. Beside `__main__` nothing else imports kopf.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import kopf

from chaffinch_operator.kube import CANARYROLLOUTS, DEPLOYMENTS, Kube
from chaffinch_operator.names import FINALIZER, LABEL_EVALUATION, LABEL_LEDGER
from chaffinch_operator.resources import CREDITSLEDGERS, SHADOWEVALUATIONS
from chaffinch_operator.runtime import Key, Runtime
from chaffinch_operator.settings import Settings

REGISTRY = kopf.OperatorRegistry()
PAGE = 250
"""Objects of one page of a first list."""
EXIT_SECONDS = 10.0
"""kopf kills the process if it has not stopped by then."""


class _Unremembered(kopf.DiffBaseStorage):
    """kopf copies every object at every event to find out what changed; no handler of ours asks."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> kopf.BodyEssence:  # noqa: ARG002
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Keep nothing."""


@dataclass(frozen=True, slots=True)
class Loops:
    """The loops of each kind's objects."""

    rollouts: Runtime
    ledgers: Runtime
    evaluations: Runtime

    def stop(self) -> None:
        """End all of them."""
        for each in (self.rollouts, self.ledgers, self.evaluations):
            each.stop()


@dataclass(frozen=True, slots=True)
class Memo:
    """What handlers are given; kopf makes a shallow copy per object."""

    kube: Kube
    loops: Loops
    stop: asyncio.Event


@kopf.on.login(registry=REGISTRY)
async def log_in(memo: Any, **_: Any) -> kopf.ConnectionInfo:
    """Give kopf the credentials of our own client, read anew each time they are refused."""
    it = await cast("Memo", memo).kube.connection()
    return kopf.ConnectionInfo(
        server=it.server,
        ca_path=it.ca_path,
        insecure=it.insecure,
        token=it.token,
        certificate_path=it.certificate_path,
        private_key_path=it.private_key_path,
    )


@kopf.on.cleanup(registry=REGISTRY)
async def stop_the_rest(memo: Any, **_: Any) -> None:
    """End what kopf waits five seconds for: the flag's waiter, and loops begun after it had told the others to stop."""
    it = cast("Memo", memo)
    it.stop.set()
    it.loops.stop()


@kopf.daemon(CANARYROLLOUTS.group, CANARYROLLOUTS.version, CANARYROLLOUTS.plural, registry=REGISTRY)
async def look_after_rollout(memo: Any, body: Mapping[str, Any], stopped: Any, **_: Any) -> None:
    """The one reconcile loop of a CanaryRollout."""
    await cast("Memo", memo).loops.rollouts.look_after(body, stopped.wait)


@kopf.on.event(CANARYROLLOUTS.group, CANARYROLLOUTS.version, CANARYROLLOUTS.plural, registry=REGISTRY)
async def rollout_event(
    memo: Any,
    body: Mapping[str, Any],
    event: Mapping[str, Any],
    type: str | None,  # noqa: A002
    **_: Any,
) -> None:
    """Hand it to the loop of a CanaryRollout."""
    await _happened(cast("Memo", memo).loops.rollouts, body, event, type)


@kopf.daemon(CREDITSLEDGERS.group, CREDITSLEDGERS.version, CREDITSLEDGERS.plural, registry=REGISTRY)
async def look_after_ledger(memo: Any, body: Mapping[str, Any], stopped: Any, **_: Any) -> None:
    """The one reconcile loop of a CreditsLedger."""
    await cast("Memo", memo).loops.ledgers.look_after(body, stopped.wait)


@kopf.on.event(CREDITSLEDGERS.group, CREDITSLEDGERS.version, CREDITSLEDGERS.plural, registry=REGISTRY)
async def ledger_event(
    memo: Any,
    body: Mapping[str, Any],
    event: Mapping[str, Any],
    type: str | None,  # noqa: A002
    **_: Any,
) -> None:
    """Hand it to the loop of a CreditsLedger."""
    await _happened(cast("Memo", memo).loops.ledgers, body, event, type)


@kopf.daemon(SHADOWEVALUATIONS.group, SHADOWEVALUATIONS.version, SHADOWEVALUATIONS.plural, registry=REGISTRY)
async def look_after_evaluation(memo: Any, body: Mapping[str, Any], stopped: Any, **_: Any) -> None:
    """The one reconcile loop of a ShadowEvaluation."""
    await cast("Memo", memo).loops.evaluations.look_after(body, stopped.wait)


@kopf.on.event(SHADOWEVALUATIONS.group, SHADOWEVALUATIONS.version, SHADOWEVALUATIONS.plural, registry=REGISTRY)
async def evaluation_event(
    memo: Any,
    body: Mapping[str, Any],
    event: Mapping[str, Any],
    type: str | None,  # noqa: A002
    **_: Any,
) -> None:
    """Hand it to the loop of a ShadowEvaluation; the rollout whose route it names may have to write that."""
    cast("Memo", memo).loops.rollouts.mirrored(body, gone=type == "DELETED")
    await _happened(cast("Memo", memo).loops.evaluations, body, event, type)


async def _happened(runtime: Runtime, body: Mapping[str, Any], event: Mapping[str, Any], kind: str | None) -> None:
    """Wake the loop; hold the deletion back until its cleanup is done, also after a restart in the midst of it."""
    if kind == "DELETED":
        return runtime.gone(body)
    runtime.rollout_changed(body)
    _lighten(event["object"])
    if body["metadata"].get("deletionTimestamp") and FINALIZER in (body["metadata"].get("finalizers") or ()):
        await runtime.clean_up(body)
    return None


@kopf.on.event(DEPLOYMENTS.group, DEPLOYMENTS.version, DEPLOYMENTS.plural, registry=REGISTRY)
async def deployment_event(
    memo: Any,
    namespace: str | None,
    name: str | None,
    labels: Mapping[str, str],
    **_: Any,
) -> None:
    """Wake the rollouts, the ledger and the evaluation that a Deployment belongs to."""
    loops = cast("Memo", memo).loops
    loops.rollouts.deployment_changed(namespace or "", name or "", labels)
    for label, runtime in ((LABEL_LEDGER, loops.ledgers), (LABEL_EVALUATION, loops.evaluations)):
        if label in labels:
            runtime.wakeups.wake(Key(namespace or "", labels[label]))


def _lighten(body: dict[str, Any]) -> None:
    """Drop what nobody looks at any more: kopf keeps the body of every object as long as it exists."""
    for part in ("spec", "status"):
        body.pop(part, None)
    body["metadata"].pop("managedFields", None)
    (body["metadata"].get("annotations") or {}).pop("kubectl.kubernetes.io/last-applied-configuration", None)


def settings_for_kopf() -> kopf.OperatorSettings:
    """Settings under which kopf writes nothing but the finalizer and asks for no more rights than it needs."""
    settings = kopf.OperatorSettings()
    settings.persistence.finalizer = FINALIZER
    settings.persistence.diffbase_storage = _Unremembered()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.watching.chunk_size = PAGE
    settings.background.instant_exit_timeout = EXIT_SECONDS / 2
    settings.process.ultimate_exiting_timeout = EXIT_SECONDS
    return settings


async def run(kube: Kube, loops: Loops, settings: Settings, stop: asyncio.Event) -> None:
    """Run kopf until `stop` is set or the process is asked to end."""
    everywhere = not settings.watch_namespaces
    # kopf's own guess of an identity looks the user up, and the image's user has no entry in /etc/passwd
    await kopf.operator(
        registry=REGISTRY,
        settings=settings_for_kopf(),
        memo=Memo(kube, loops, stop),
        standalone=True,
        identity=cast("Any", settings.identity),
        stop_flag=stop,
        namespaces=settings.watch_namespaces,
        clusterwide=everywhere,
    )
