"""Connections that drop around COMMIT: the client is told what happened, not that something did."""

from typing import Literal
from uuid import uuid4

import pytest

from integration.credits.cutting import MARK, Cutting, cutting
from integration.credits.http import serving

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize(("when", "status"), [("before", 201), ("after", 200)])
async def test_a_dropped_commit_is_answered_truly(dsn: str, when: Literal["before", "after"], status: int) -> None:
    """Done once, whether the connection broke before the COMMIT or after it; 200 says that it was found decided."""
    how = Cutting(when)
    async with cutting(dsn, how) as through, serving(through) as api:
        await api.shop()
        answer = await api.post("transfers", debit="alice", credit="bob", amount="30", metadata={"m": MARK.decode()})
        assert (answer.status, answer.body["outcome"], how.cuts) == (status, "ok", 1)
        assert (await api.get("accounts/bob")).body["balance"] == "30"
        assert len((await api.get("accounts/bob/entries")).body["entries"]) == 2


async def test_when_it_drops_again_the_outcome_is_unknown_until_it_is_asked_again(dsn: str) -> None:
    """503 with Retry-After; the same request then says what happened."""
    how = Cutting("after", times=2)
    asked = {"id": str(uuid4()), "debit": "alice", "credit": "bob", "amount": "30", "metadata": {"m": MARK.decode()}}
    async with cutting(dsn, how) as through, serving(through) as api:
        await api.shop()
        answer = await api.send("POST", "transfers", asked)
        while answer.status == 503:
            assert answer.body["code"] == "unknown_outcome"
            assert answer.headers["Retry-After"] == "1"
            answer = await api.send("POST", "transfers", asked)
        assert (answer.status, answer.body["outcome"]) == (200, "ok")
        assert (await api.get("accounts/bob")).body["balance"] == "30"
