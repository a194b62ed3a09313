"""I/O of the hold: install the policies, repair them, label namespaces. What the policies say is in `hold`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, Protocol

import structlog

from chaffinch_operator.canary import hold
from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.errors import ChaffinchError, Conflict, KindMissing, Unavailable
from chaffinch_operator.kube import CANARYROLLOUTS, CRDS, NAMESPACES, Object, Objects, Resource
from chaffinch_operator.names import CORE_MANAGER, HOLD_ENABLED, LABEL_HOLD
from chaffinch_operator.settings import Settings

RECHECK_SECONDS = 60.0
RETRY_SECONDS = 5.0
_log = structlog.get_logger("chaffinch.hold")


class HoldKube(Protocol):
    """What the keeper needs of `kube.Kube`."""

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """Return an object or None."""
        ...

    async def list(self, resource: Resource, namespace: str | None = None) -> Objects:
        """Return all objects."""
        ...

    async def create(self, resource: Resource, obj: Object, *, manager: str) -> Object | None:
        """Create an object; None when it exists."""
        ...

    async def patch(
        self, resource: Resource, name: str, namespace: str | None, patch: Object | Objects, *, manager: str
    ) -> Object:
        """Merge patch (dict) or JSON patch (list)."""
        ...


@dataclass(frozen=True, slots=True)
class HoldState:
    """Whether the API server holds changed templates back; reason and message are for the condition HoldInstalled."""

    installed: bool
    reason: str
    message: str


_UNKNOWN = HoldState(installed=False, reason=Reason.HOLD_NOT_INSTALLED, message="the hold has not been checked yet")


class HoldKeeper:
    """Keeps the policies as they should be."""

    def __init__(self, kube: HoldKube, settings: Settings) -> None:
        self._kube = kube
        self._username = settings.username
        self._state = _UNKNOWN

    @property
    def state(self) -> HoldState:
        """What the last check found."""
        return self._state

    async def ensure(self) -> HoldState:
        """Install what is missing, repair what differs, write nothing else.

        Lasting refusals are values. Without an answer of the API server the last known state stands.
        """
        try:
            state = await self._ensure()
        except KindMissing as error:
            state = _failed(f"the API server does not serve {error.resource}: the hold needs Kubernetes 1.36 or newer")
        except (Unavailable, Conflict):
            state = self._state
        except ChaffinchError as error:
            state = _failed(f"the admission policies cannot be installed: {error}")
        if state != self._state:
            _log.info("hold_state_changed", installed=state.installed, reason=state.reason, message=state.message)
        self._state = state
        return state

    async def run(self, found: Callable[[HoldState], None]) -> NoReturn:
        """Check again and again, sooner while it is not installed; tell what was found."""
        while True:
            state = await self.ensure()
            found(state)
            await asyncio.sleep(RECHECK_SECONDS if state.installed else RETRY_SECONDS)

    async def label_namespace(self, namespace: str) -> None:
        """Let the policies look at a namespace; writes only when the label is not there."""
        if await self._label(namespace) != HOLD_ENABLED:
            await self._set_label(namespace, HOLD_ENABLED)

    async def unlabel_if_last(self, namespace: str) -> None:
        """Let the policies look away again, unless a CanaryRollout remains that is not being deleted."""
        rollouts = await self._kube.list(CANARYROLLOUTS, namespace)
        if any("deletionTimestamp" not in rollout["metadata"] for rollout in rollouts):
            return
        if await self._label(namespace) is not None:
            await self._set_label(namespace, None)

    async def _label(self, namespace: str) -> str | None:
        found = await self._kube.get(NAMESPACES, namespace)
        labels = (found or {}).get("metadata", {}).get("labels") or {}
        value = labels.get(LABEL_HOLD)
        return None if value is None else str(value)

    async def _set_label(self, namespace: str, value: str | None) -> None:
        await self._kube.patch(
            NAMESPACES, namespace, None, {"metadata": {"labels": {LABEL_HOLD: value}}}, manager=CORE_MANAGER
        )
        _log.info("namespace_label_changed", namespace=namespace, value=value)

    async def _ensure(self) -> HoldState:
        crd = await self._kube.get(CRDS, hold.CRD_NAME)
        if crd is None or not _established(crd):
            return _failed(f"the CRD {hold.CRD_NAME} is not there yet: kubectl apply --server-side -k crds/")
        for resource, wanted in hold.objects(self._username, crd["metadata"]["uid"]):
            await self._ensure_one(resource, wanted)
        return HoldState(
            installed=True,
            reason=Reason.HOLD_INSTALLED,
            message="the API server pauses a target in the request that changes its template",
        )

    async def _ensure_one(self, resource: Resource, wanted: Object) -> None:
        name = wanted["metadata"]["name"]
        live = await self._kube.get(resource, name)
        if live is None:
            await self._kube.create(resource, wanted, manager=CORE_MANAGER)
            _log.info("policy_installed", resource=resource.name, name=name)
        elif not hold.covers(live, wanted):
            await self._kube.patch(resource, name, None, _replacement(live, wanted), manager=CORE_MANAGER)
            _log.info("policy_repaired", resource=resource.name, name=name)


def _replacement(live: Object, wanted: Object) -> Objects:
    """JSON patch that leaves nothing of what others wrote: a merge would keep what they added."""
    meta = wanted["metadata"]
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
        {"op": "add", "path": "/metadata/labels", "value": meta["labels"]},
        {"op": "add", "path": "/metadata/ownerReferences", "value": meta["ownerReferences"]},
        {"op": "add", "path": "/spec", "value": wanted["spec"]},
    ]


def _established(crd: Object) -> bool:
    conditions = crd.get("status", {}).get("conditions") or []
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


def _failed(message: str) -> HoldState:
    return HoldState(installed=False, reason=Reason.HOLD_NOT_INSTALLED, message=message)
