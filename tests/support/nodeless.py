"""Pods without nodes: on an API server that has no kubelet, says that pods run. No container does.

What kubelet would report is written to each pod's status, so that Deployments become available and endpoints ready.
A pod with the label `test/readiness: never` stays as it is.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from chaffinch_operator.errors import ChaffinchError
from chaffinch_operator.kube import PODS, Kube
from support.client import connected

READINESS = "test/readiness"
_NEVER = "never"
_CONDITIONS = ("Initialized", "ContainersReady", "Ready", "PodScheduled")
Object = dict[str, Any]


class NodelessPods:
    """Works while the context is entered, in a thread of its own."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._stop: Callable[[], None] = lambda: None
        self._began = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._until_stopped()), daemon=True)
        self._addresses = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._began.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._thread.join(10)

    async def _until_stopped(self) -> None:
        loop, work = asyncio.get_running_loop(), asyncio.ensure_future(self._work())
        self._stop = lambda: _discard(loop.call_soon_threadsafe(work.cancel))
        self._began.set()
        with contextlib.suppress(asyncio.CancelledError):
            await work

    async def _work(self) -> None:
        async with connected(self._kubeconfig) as kube:
            while True:
                with contextlib.suppress(ChaffinchError):
                    watch = cast("AsyncGenerator[tuple[str, Object], None]", kube.watch(PODS))
                    async with contextlib.aclosing(watch) as changes:
                        async for kind, pod in changes:
                            if kind != "DELETED" and _waits(pod):
                                await self._report(kube, pod)
                await asyncio.sleep(0.1)

    async def _report(self, kube: Kube, pod: Object) -> None:
        self._addresses += 1
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        address = f"10.1.{self._addresses // 250}.{1 + self._addresses % 250}"
        conditions = [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in _CONDITIONS]
        names = [c["name"] for c in pod["spec"]["containers"]]
        containers = [
            {
                "name": name,
                "ready": True,
                "started": True,
                "restartCount": 0,
                "image": "none",
                "imageID": "none",
                "state": {"running": {"startedAt": now}},
            }
            for name in names
        ]
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": now,
            "conditions": conditions,
            "containerStatuses": containers,
        }
        meta = pod["metadata"]
        await kube.patch(
            PODS, meta["name"], meta["namespace"], {"status": status}, subresource="status", manager="nodeless"
        )


def _discard(_: object) -> None:
    """For a callback whose result nobody wants."""


def _waits(pod: Object) -> bool:
    meta = pod["metadata"]
    never = (meta.get("labels") or {}).get(READINESS) == _NEVER
    return not never and "deletionTimestamp" not in meta and pod.get("status", {}).get("phase") == "Pending"
