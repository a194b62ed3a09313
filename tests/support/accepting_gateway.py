"""A gateway that serves nobody: on an API server without a Gateway's controller, says that HTTPRoutes are accepted."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from chaffinch_operator.errors import ChaffinchError
from chaffinch_operator.kube import HTTPROUTES, Kube
from support.client import connected

Object = dict[str, Any]


class AcceptingGateway:
    """Works while the context is entered, in a thread of its own."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._work.cancel)
        self._thread.join(10)

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError), contextlib.closing(self._loop):
            self._work = self._loop.create_task(self._accept())
            self._loop.run_until_complete(self._work)

    async def _accept(self) -> None:
        async with connected(self._kubeconfig) as kube:
            while True:
                with contextlib.suppress(ChaffinchError):
                    watch = cast("AsyncGenerator[tuple[str, Object], None]", kube.watch(HTTPROUTES))
                    async with contextlib.aclosing(watch) as changes:
                        async for kind, route in changes:
                            if kind != "DELETED" and not _answered(route):
                                await _answer(kube, route)
                await asyncio.sleep(0.1)


def _answered(route: Object) -> bool:
    generation = route["metadata"]["generation"]
    parents = (route.get("status") or {}).get("parents") or []
    return any(c["observedGeneration"] == generation for p in parents for c in p["conditions"])


async def _answer(kube: Kube, route: Object) -> None:
    meta = route["metadata"]
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": kind,
            "message": "",
            "observedGeneration": meta["generation"],
            "lastTransitionTime": meta["creationTimestamp"],
        }
        for kind in ("Accepted", "ResolvedRefs")
    ]
    parents = [
        {"parentRef": ref, "controllerName": "test.invalid/gateway", "conditions": conditions}
        for ref in route["spec"]["parentRefs"]
    ]
    patch = {"status": {"parents": parents}}
    with contextlib.suppress(ChaffinchError):
        await kube.patch(HTTPROUTES, meta["name"], meta["namespace"], patch, subresource="status", manager="gateway")
