"""The operator's own client for tests that run an event loop of their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from chaffinch_operator.kube import Kube

_GOODBYE_SECONDS = 0.25


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[Kube]:
    """A client; TLS connections end a moment after aiohttp's session says so, and the loop must still run then."""
    try:
        async with Kube.connect(kubeconfig) as kube:
            yield kube
    finally:
        await asyncio.sleep(_GOODBYE_SECONDS)
