"""Leader election by a Lease: one process decides, the others wait.

The leader measures its own deadline with a monotonic clock, from before the request that renewed last; the others wait
for `lease_seconds` since they saw the Lease change, so clocks of different machines are never compared. Every write is
a replacement fenced by resourceVersion. A leader that cannot renew raises LeaseLost, upon which the process ends.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn, Protocol

import structlog

from chaffinch_operator.errors import ChaffinchError, Conflict
from chaffinch_operator.names import CORE_MANAGER
from chaffinch_operator.resources import LEASES, Resource
from chaffinch_operator.settings import Settings

_log = structlog.get_logger("chaffinch.leader")
_MICROTIME = "%Y-%m-%dT%H:%M:%S.%fZ"
Lease = dict[str, object]


class LeaseLost(Exception):  # noqa: N818 - a state, not a mistake
    """Another process leads, or may: end this one at once."""


class LeaseKube(Protocol):
    """What the elector needs of `kube.Kube`: one attempt per call, no retries."""

    async def get(self, resource: Resource, name: str, namespace: str) -> dict[str, object] | None:
        """Return the Lease or None."""
        ...

    async def create(self, resource: Resource, obj: dict[str, object], *, manager: str) -> dict[str, object] | None:
        """Create the Lease; None when it exists."""
        ...

    async def update(self, resource: Resource, obj: dict[str, object], *, manager: str) -> dict[str, object]:
        """Replace the Lease; Conflict when it changed."""
        ...

    def watch(
        self, resource: Resource, namespace: str, *, fields: str, timeout: float
    ) -> AsyncIterator[tuple[str, dict[str, object]]]:
        """Yield changes."""
        ...


@dataclass(frozen=True, slots=True)
class _Record:
    """What a Lease says."""

    holder: str
    renewed: str
    seconds: float
    transitions: int
    version: str


class Elector:
    """Takes, keeps and gives back the Lease."""

    def __init__(
        self,
        kube: LeaseKube,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kube = kube
        self._settings = settings
        self._clock = clock
        self._now = now
        self._seen: _Record | None = None
        self._seen_at = 0.0
        self._version = ""
        self._acquired = ""
        self._transitions = 0
        self.renewed_at = float("-inf")
        """Monotonic time before the request that renewed last."""

    async def acquire(self) -> None:
        """Wait until this process leads."""
        complaint = ""
        while True:
            try:
                async with asyncio.timeout(self._settings.renew_seconds):
                    if await self._try():
                        _log.info("lease_acquired", identity=self._settings.identity)
                        return
                complaint = ""
            except (ChaffinchError, TimeoutError) as error:
                if str(error) != complaint:
                    _log.warning("lease_unreachable", error=str(error) or "no answer in time")
                complaint = str(error)
            await asyncio.sleep(self._settings.retry_seconds)

    async def hold(self) -> NoReturn:
        """Renew until that fails for `renew_seconds`, or another process holds the Lease; then LeaseLost."""
        while True:
            await asyncio.sleep(self._settings.retry_seconds)
            left = self.renewed_at + self._settings.renew_seconds - self._clock()
            try:
                async with asyncio.timeout(max(0.0, left)):
                    await self._renew()
            except (ChaffinchError, TimeoutError) as error:
                left = self.renewed_at + self._settings.renew_seconds - self._clock()
                _log.warning("lease_not_renewed", error=str(error) or "no answer in time", seconds_left=round(left, 1))
                if left <= 0:
                    raise LeaseLost(f"not renewed for {self._settings.renew_seconds:g} s") from error

    async def release(self) -> None:
        """Give the Lease back, so that another process need not wait. Best effort."""
        if not self._version:
            return
        try:
            async with asyncio.timeout(self._settings.retry_seconds):
                await self._give_back()
        except (ChaffinchError, TimeoutError, LeaseLost) as error:
            _log.warning("lease_not_released", error=str(error) or "no answer in time")
        else:
            _log.info("lease_released", identity=self._settings.identity)
        self._version = ""

    async def _give_back(self) -> None:
        try:
            await self._write(holder="")
        except Conflict:  # a renewal that was cut off by the exit may have arrived all the same
            await self._read_ours()
            await self._write(holder="")

    async def watch_renewals(self, seen: Callable[[], None]) -> NoReturn:
        """Call `seen` whenever a renewal of ours comes back through a watch: watches work, not only requests."""
        settings, last = self._settings, ""
        while True:
            try:
                async for _, lease in self._kube.watch(
                    LEASES, settings.namespace, fields=f"metadata.name={settings.lease_name}", timeout=300.0
                ):
                    record = _record(lease)
                    if record.holder == settings.identity and record.renewed != last:
                        last = record.renewed
                        seen()
            except ChaffinchError as error:
                _log.warning("lease_watch_broke", error=str(error))
            await asyncio.sleep(settings.retry_seconds)

    async def _try(self) -> bool:
        settings, started = self._settings, self._clock()
        lease = await self._kube.get(LEASES, settings.lease_name, settings.namespace)
        if lease is None:
            return await self._create(started)
        record = _record(lease)
        if record != self._seen:
            self._seen, self._seen_at = record, started
        patience = record.seconds or settings.lease_seconds
        if record.holder not in {"", settings.identity} and self._clock() - self._seen_at < patience:
            return False
        self._version = record.version
        self._transitions = record.transitions + (record.holder != settings.identity)
        self._acquired = self._time()
        try:
            await self._write(settings.identity)
        except Conflict:
            self._version = ""
            return False
        self.renewed_at = started
        return True

    async def _create(self, started: float) -> bool:
        self._acquired, self._transitions = self._time(), 0
        lease = await self._kube.create(LEASES, self._lease(self._settings.identity), manager=CORE_MANAGER)
        if lease is None:
            return False
        self._version, self.renewed_at = _record(lease).version, started
        return True

    async def _renew(self) -> None:
        started = self._clock()
        try:
            await self._write(self._settings.identity)
        except Conflict:
            await self._read_ours()
            raise
        self.renewed_at = started

    async def _read_ours(self) -> None:
        """Learn the present resourceVersion; LeaseLost when the Lease is no longer ours."""
        lease = await self._kube.get(LEASES, self._settings.lease_name, self._settings.namespace)
        record = None if lease is None else _record(lease)
        if record is None or record.holder != self._settings.identity:
            raise LeaseLost(f'the Lease is held by "{record.holder if record else "nobody"}"')
        self._version = record.version

    async def _write(self, holder: str) -> None:
        lease = await self._kube.update(LEASES, self._lease(holder), manager=CORE_MANAGER)
        self._version = _record(lease).version

    def _lease(self, holder: str) -> Lease:
        settings = self._settings
        metadata = {"name": settings.lease_name, "namespace": settings.namespace}
        if self._version:
            metadata["resourceVersion"] = self._version
        return {
            "metadata": metadata,
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": max(1, round(settings.lease_seconds)),
                "acquireTime": self._acquired,
                "renewTime": self._time(),
                "leaseTransitions": self._transitions,
            },
        }

    def _time(self) -> str:
        return self._now().astimezone(UTC).strftime(_MICROTIME)


def _record(lease: dict[str, object]) -> _Record:
    meta, spec = lease.get("metadata"), lease.get("spec")
    meta, spec = meta if isinstance(meta, dict) else {}, spec if isinstance(spec, dict) else {}
    return _Record(
        holder=str(spec.get("holderIdentity") or ""),
        renewed=str(spec.get("renewTime") or ""),
        seconds=float(spec.get("leaseDurationSeconds") or 0),
        version=str(meta.get("resourceVersion") or ""),
        transitions=int(spec.get("leaseTransitions") or 0),
    )
