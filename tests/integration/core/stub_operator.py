"""The operator process with a slice that only watches over deletions, to try everything around the slice.

The cleanup of a rollout is finished once a ConfigMap `finish` is in its namespace; then it leaves one named `cleaned-`
and the identity of the process.
"""

import asyncio
import os
import sys

from chaffinch_operator import log
from chaffinch_operator.__main__ import serve
from chaffinch_operator.kube import CANARYROLLOUTS, Kube, Resource
from chaffinch_operator.loop import Outcome
from chaffinch_operator.settings import Settings

CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap")


class Stub:
    """A slice that changes nothing."""

    def __init__(self, kube: Kube, identity: str) -> None:
        self._kube = kube
        self._identity = identity

    async def reconcile(self, namespace: str, name: str) -> Outcome:
        """Look; on deletion, wait for leave."""
        body = await self._kube.get(CANARYROLLOUTS, name, namespace)
        if body is None:
            return Outcome(finished=True)
        if "deletionTimestamp" not in body["metadata"]:
            return Outcome()
        if await self._kube.get(CONFIGMAPS, "finish", namespace) is None:
            return Outcome(requeue_after=0.1)
        await self._kube.create(CONFIGMAPS, {"metadata": {"name": f"cleaned-{self._identity}", "namespace": namespace}})
        return Outcome(finished=True)


if __name__ == "__main__":
    chosen = Settings.from_env(os.environ)
    log.configure(chosen)
    sys.exit(asyncio.run(serve(chosen, build=lambda kube, *_: Stub(kube, chosen.identity))))
