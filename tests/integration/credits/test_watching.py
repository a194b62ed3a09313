"""What alerts are made of: the service shows what verifications found, and how long requests wait."""

import asyncio

import asyncpg
import pytest

from integration.credits.http import SIGNER, Api, serving
from integration.credits.process import command

pytestmark = pytest.mark.asyncio
ASKED = ("verify", "shop", "--key", str(SIGNER.verifier), "--record")


async def shown(api: Api, line: str) -> None:
    """Wait until the metrics have a line."""
    async with asyncio.timeout(20):
        while line not in api.metrics():  # noqa: ASYNC110 - the keeper looks on its own
            await asyncio.sleep(0.02)


async def test_a_verification_is_shown_and_a_bad_one_raises_an_alert(dsn: str, connection: asyncpg.Connection) -> None:
    """Sound first; then a changed balance; nothing is shown of a ledger that nobody verified."""
    async with serving(dsn) as api:
        await api.shop()
        assert "chaffinch_credits_unsound{" not in api.metrics()
        assert (await asyncio.to_thread(command, dsn, *ASKED)).returncode == 0
        await shown(api, 'chaffinch_credits_unsound{ledger="shop"} 0.0')
        await shown(api, 'chaffinch_credits_verified_age_seconds{ledger="shop"}')
        await connection.execute("UPDATE account SET credits = credits + 1 WHERE name = 'alice'")
        assert (await asyncio.to_thread(command, dsn, *ASKED)).returncode == 3
        await shown(api, 'chaffinch_credits_unsound{ledger="shop"} 1.0')


async def test_an_idle_ledger_has_no_queue(dsn: str) -> None:
    """Zero seconds, so that the alert is about requests that wait."""
    async with serving(dsn) as api:
        await api.shop()
        await shown(api, 'chaffinch_credits_queue_age_seconds{ledger="shop"} 0.0')
