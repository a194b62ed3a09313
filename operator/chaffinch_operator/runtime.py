"""What the process knows of the objects it looks after: their loops, their lives, who is woken by what. No framework.

The framework (registry) tells it what the watches say; the slice tells it how to reconcile. An object that is being
deleted is let go only after its cleanup: `clean_up` does not return before, and never does once the operator exits, so
that the framework cannot take the finalizer off too early.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from chaffinch_operator.loop import Life, Observer, Outcome, Wakeups, run_object
from chaffinch_operator.names import LABEL_ROLLOUT, baseline_name, canary_name
from chaffinch_operator.settings import Settings
from chaffinch_operator.turns import Turns

_SPREAD = (0.9, 1.1)
"""Objects that were first seen together are not looked at together for ever."""

Alerts = frozenset[tuple[str, str]]
"""Fingerprint and start of each alert in a status."""


class Key(NamedTuple):
    """Namespace and name of an object; written "namespace/name" in logs."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Slice(Protocol):
    """What a slice offers: one pass over one object."""

    async def reconcile(self, namespace: str, name: str) -> Outcome:
        """Observe, decide, act, report."""
        ...


@dataclass(slots=True)
class _Managed:
    """One object, by uid: a new object of the same name is another one."""

    key: Key
    life: Life = field(default_factory=Life)
    cleaned: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    running: bool = False
    essence: object = None
    alerts: Alerts = frozenset()
    target: str = ""


class Runtime:
    """All objects of one kind."""

    def __init__(
        self,
        settings: Settings,
        work: Slice,
        observer: Observer,
        *,
        counted: Callable[[int], None] = lambda _: None,
        synced: Callable[[], None] = lambda: None,
        waited: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._work = work
        self._observer = observer
        self._counted = counted
        self._synced = synced
        self._managed: dict[str, _Managed] = {}
        self._targets: dict[Key, set[Key]] = {}
        self._mirrors: dict[str, tuple[str, object, object, object]] = {}
        """By uid of a ShadowEvaluation: the route it names, and what it wants of it."""
        self._unsynced: set[Key] | None = None
        self._stopping = False
        self.wakeups = Wakeups(Turns(settings.max_concurrent_reconciles, waited=waited))
        self.urgent = Wakeups()

    def expect(self, keys: Iterable[Key]) -> None:
        """Name the objects that exist at the start: `synced` is called once each had its first pass."""
        self._unsynced = set(keys)
        self._one_synced(None)

    def rollout_changed(self, body: Mapping[str, Any]) -> None:
        """Take note of an object as a watch shows it; wake its loop unless only its status changed.

        Alerts in the status are the exception: any replica may have been told of one, and the leader acts on it.
        """
        managed = self._of(body)
        meta = body["metadata"]
        notes = hash(tuple(sorted((meta.get("annotations") or {}).items())))
        essence = (meta.get("generation"), notes, meta.get("deletionTimestamp"))
        self._retarget(managed, str(body.get("spec", {}).get("targetRef", {}).get("name", "")))
        if essence != managed.essence:
            managed.essence = essence
            self.wakeups.wake(managed.key)
        self._alerted(managed, alerts_in(body.get("status") or {}))

    def alerts_written(self, key: Key, alerts: Alerts) -> None:
        """Begin a pass at once: this process itself has just written these alerts to the status of an object."""
        for managed in self._managed.values():
            if managed.key == key:
                self._alerted(managed, alerts)

    def _alerted(self, managed: _Managed, alerts: Alerts) -> None:
        """Of new alerts a pass begins at once, whatever the present one waits for."""
        if not alerts <= managed.alerts:
            self.urgent.wake(managed.key)
            self.wakeups.wake(managed.key)
        managed.alerts = alerts

    def deployment_changed(self, namespace: str, name: str, labels: Mapping[str, str]) -> None:
        """Wake the rollouts whose target, canary or baseline a Deployment is."""
        woken = set(self._targets.get(Key(namespace, name), ()))
        if LABEL_ROLLOUT in labels:
            woken.add(Key(namespace, labels[LABEL_ROLLOUT]))
        for key in woken:
            self.wakeups.wake(key)

    def mirrored(self, body: Mapping[str, Any], *, gone: bool = False) -> None:
        """Wake the rollout whose route a ShadowEvaluation names, when what it wants of it has changed."""
        meta, mirror = body["metadata"], ((body.get("spec") or {}).get("traffic") or {}).get("mirror") or {}
        told = (body.get("status") or {}).get("mirror") or {}
        route = (mirror.get("httpRouteRef") or {}).get("name", "")
        wanted = (route, mirror.get("percent"), told.get("active"), meta.get("deletionTimestamp"))
        before = self._mirrors.pop(meta["uid"], None)
        if not gone:
            self._mirrors[meta["uid"]] = wanted
        if gone or wanted != before:
            for name in {route, before[0] if before else ""} - {""}:
                self.wakeups.wake(Key(meta["namespace"], name))

    async def look_after(self, body: Mapping[str, Any], stopped: Callable[[], Awaitable[object]]) -> None:
        """Run the loop of an object until `stopped` returns or the object is gone."""
        managed = self._of(body)
        running = asyncio.ensure_future(self._run(managed))
        stopping = asyncio.ensure_future(stopped())
        try:
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                managed.life.end()
                await running
            else:
                over = asyncio.ensure_future(managed.over.wait())
                await asyncio.wait({stopping, over}, return_when=asyncio.FIRST_COMPLETED)
                over.cancel()
        finally:
            stopping.cancel()
            running.cancel()

    async def clean_up(self, body: Mapping[str, Any]) -> None:
        """Return once the cleanup of an object that is being deleted is done, or was given up for lack of time."""
        managed = self._of(body)
        managed.life.delete()
        await self._run(managed)
        await managed.cleaned.wait()

    def gone(self, body: Mapping[str, Any]) -> None:
        """Forget an object that is no more."""
        managed = self._managed.pop(body["metadata"]["uid"], None)
        if managed is not None:
            self._retarget(managed, "")
            managed.life.end()
            managed.over.set()
            self._one_synced(managed.key)
            self._counted(len(self._managed))

    def stop(self) -> None:
        """End all loops and their tasks at once; cleanups that are under way stay unfinished.

        Only when the framework handles no more events: it takes the finalizer off an object whose task has returned.
        """
        self._stopping = True
        for managed in self._managed.values():
            managed.life.end()
            managed.over.set()

    async def _run(self, managed: _Managed) -> None:
        if managed.running or managed.cleaned.is_set():
            return
        managed.running = True
        key = managed.key

        async def reconcile() -> Outcome:
            return await self._work.reconcile(key.namespace, key.name)

        try:
            done = await run_object(
                key,
                reconcile,
                self.wakeups,
                managed.life,
                observer=self._observer,
                resync_seconds=self._settings.resync_seconds * random.uniform(*_SPREAD),  # noqa: S311 - jitter
                after_pass=lambda: self._one_synced(key),
                urgent=self.urgent,
            )
        finally:
            managed.running = False
            self._one_synced(key)
        if done:
            managed.cleaned.set()

    def _of(self, body: Mapping[str, Any]) -> _Managed:
        meta = body["metadata"]
        managed = self._managed.get(meta["uid"])
        if managed is None:
            managed = self._managed[meta["uid"]] = _Managed(Key(meta["namespace"], meta["name"]))
            self._counted(len(self._managed))
            if self._stopping:
                managed.life.end()
                managed.over.set()
        return managed

    def _retarget(self, managed: _Managed, target: str) -> None:
        if target == managed.target:
            return
        for name in _deployments(managed.target):
            deployment = Key(managed.key.namespace, name)
            self._targets[deployment].discard(managed.key)
            if not self._targets[deployment]:
                del self._targets[deployment]
        for name in _deployments(target):
            self._targets.setdefault(Key(managed.key.namespace, name), set()).add(managed.key)
        managed.target = target

    def _one_synced(self, key: Key | None) -> None:
        if self._unsynced is None:
            return
        if key is not None:
            self._unsynced.discard(key)
        if not self._unsynced:
            self._unsynced = None
            self._synced()


def alerts_in(status: Mapping[str, Any]) -> Alerts:
    """What tells the alerts apart that a status remembers."""
    found = status.get("alerts") or ()
    return frozenset((str(each.get("fingerprint")), str(each.get("startsAt"))) for each in found)


def _deployments(target: str) -> tuple[str, ...]:
    return (target, canary_name(target), baseline_name(target)) if target else ()
