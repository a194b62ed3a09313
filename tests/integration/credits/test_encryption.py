"""Encrypted metadata: nothing in the clear, proofs without keys, rotation while requests go on, destruction."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from chaffinch_credits.api.sealing import Encryption
from chaffinch_credits.cli_keys import rewrap_all
from chaffinch_credits.store import dek, ledgers
from integration.credits.http import SIGNER, Api, serving
from integration.credits.process import command

pytestmark = pytest.mark.asyncio
SECRET = {"order": "A-17", "note": "for Alice"}
MOVE = {"debit": "source", "credit": "bob", "amount": "1"}


@pytest.fixture
def keks(tmp_path: Path) -> Path:
    """A folder with one key."""
    folder = tmp_path / "keks"
    folder.mkdir()
    (folder / "2026-01").write_bytes(os.urandom(32))
    return folder


@pytest_asyncio.fixture
async def api(dsn: str, keks: Path) -> AsyncIterator[Api]:
    """A service that encrypts, with a ledger; it looks at its keys all the time."""
    async with serving(dsn, encryption=Encryption(keks, look_seconds=0.02)) as found:
        await found.shop()
        yield found


async def transfer(api: Api, metadata: dict[str, Any] | None = None) -> str:
    """A transfer with metadata; its id."""
    number = str(uuid4())
    answer = await api.send("POST", "transfers", {"id": number, **MOVE, "metadata": metadata or SECRET})
    assert answer.status == 201, answer.body
    return number


async def said(api: Api, number: str) -> Any:
    """The metadata of a request."""
    return (await api.get(f"transfers/{number}")).body.get("metadata")


def verified(dsn: str) -> tuple[int, str]:
    """Exit status and words of the verifier, which has no key-encryption key."""
    done = command(dsn, "verify", "shop", "--key", str(SIGNER.verifier))
    return done.returncode, done.stdout


async def test_metadata_is_stored_sealed_and_read_back(api: Api, dsn: str, connection: asyncpg.Connection) -> None:
    """In one request and in a batch; the history is sound without keys."""
    number, other = await transfer(api), str(uuid4())
    asked = {"type": "transfer", "id": other, **MOVE, "metadata": SECRET}
    await api.send("POST", "requests:batch", {"requests": [asked]})
    bodies = await connection.fetch("SELECT body FROM metadata")
    assert len(bodies) == 2
    assert not any(b"Alice" in row["body"] or b"order" in row["body"] for row in bodies)
    assert [await said(api, one) for one in (number, other)] == [SECRET, SECRET]
    assert verified(dsn)[0] == 0


async def test_a_repetition_is_told_from_a_mistake(api: Api) -> None:
    """Sealed anew each time, the same request is the same, refused or not; other metadata is a mismatch."""
    for amount, status in (("1", 200), ("100000", 422)):
        asked = {"id": str(uuid4()), **MOVE, "debit": "alice", "amount": amount, "metadata": SECRET}
        first = await api.send("POST", "transfers", asked)
        again = await api.send("POST", "transfers", asked)
        assert (again.status, again.body["replayed"], again.body["seq"]) == (status, True, first.body["seq"])
        other = await api.send("POST", "transfers", {**asked, "metadata": {"order": "A-18"}})
        assert (other.status, other.body["code"]) == (409, "idempotency_mismatch")


async def test_a_repetition_is_known_after_a_restart_and_a_new_epoch(dsn: str, keks: Path) -> None:
    """From the database, whatever key sealed the first."""
    asked = {"id": str(uuid4()), **MOVE, "metadata": SECRET}
    async with serving(dsn, encryption=Encryption(keks)) as api:
        await api.shop()
        first = await api.send("POST", "transfers", asked)
    assert "epoch 2" in command(dsn, "keys", "rotate", "shop", "--kek-dir", str(keks)).stdout
    async with serving(dsn, encryption=Encryption(keks)) as api:
        again = await api.send("POST", "transfers", asked)
        assert (again.status, again.body["seq"]) == (200, first.body["seq"])


async def test_what_was_said_before_encryption_is_known_after(dsn: str, keks: Path) -> None:
    """It stays readable, and its repetition is no mistake."""
    number = str(uuid4())
    asked = {"id": number, **MOVE, "metadata": SECRET}
    async with serving(dsn) as api:
        await api.shop()
        assert (await api.send("POST", "transfers", asked)).status == 201
    async with serving(dsn, encryption=Encryption(keks)) as api:
        assert (await api.send("POST", "transfers", asked)).status == 200
        assert await said(api, number) == SECRET
    assert verified(dsn)[0] == 0


async def test_keys_are_rotated_while_requests_go_on(
    api: Api, dsn: str, keks: Path, connection: asyncpg.Connection
) -> None:
    """A new key-encryption key, re-wrapping, a new epoch, and the old key gone: no request fails, all can be read."""
    done, stop = list[str](), asyncio.Event()

    async def client() -> None:
        while not stop.is_set():
            done.append(await transfer(api))

    async def more() -> None:
        goal = len(done) + 20
        async with asyncio.timeout(20):
            while len(done) < goal:  # noqa: ASYNC110 - each look lets the clients go on
                await asyncio.sleep(0.01)

    clients = [asyncio.create_task(client()) for _ in range(4)]
    await more()
    (keks / "2026-11").write_bytes(os.urandom(32))
    await more()
    both = dek.read_keks(keks)
    assert await rewrap_all(connection, both) == 2
    await more()
    view = await ledgers.find(connection, "shop")
    assert view is not None
    await dek.ensure(connection, view, both, new_epoch=True)
    await more()
    (keks / "2026-01").unlink()
    await more()
    stop.set()
    await asyncio.gather(*clients)
    some = [done[0], *done[:: 1 + len(done) // 40], done[-1]]
    assert [await said(api, number) for number in some] == [SECRET] * len(some)
    shown = json.loads(command(dsn, "keys", "show", "shop", "-o", "json").stdout)
    assert {(one["purpose"], one["epoch"], one["kek"]) for one in shown} == {
        ("field", 1, "2026-11"),
        ("field", 2, "2026-11"),
        ("fingerprint", 1, "2026-11"),
    }
    assert verified(dsn)[0] == 0


async def test_a_key_that_is_too_old_is_renewed(dsn: str, keks: Path, connection: asyncpg.Connection) -> None:
    """By the service itself."""
    async with serving(dsn, encryption=Encryption(keks, rotation_seconds=3600, look_seconds=0.02)) as api:
        await api.shop()
        await connection.execute("UPDATE dek SET made_at = made_at - interval '2 hours' WHERE purpose = 'field'")
        async with asyncio.timeout(20):
            while await connection.fetchval("SELECT max(epoch) FROM dek WHERE purpose = 'field'") < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def test_destroyed_keys_leave_proofs(dsn: str, keks: Path) -> None:
    """Metadata is gone for ever, entries and balances stay, and the history is sound."""
    async with serving(dsn, encryption=Encryption(keks)) as api:
        await api.shop()
        number = await transfer(api)
    assert "--yes" in command(dsn, "keys", "shred", "shop").stderr
    assert command(dsn, "keys", "shred", "shop", "--yes").returncode == 0
    async with serving(dsn, encryption=Encryption(keks)) as api:
        found = (await api.get(f"transfers/{number}")).body
        assert (found["outcome"], found["metadata_sealed"], found.get("metadata")) == ("ok", True, None)
        assert await said(api, await transfer(api)) == SECRET
    exported = [json.loads(line) for line in command(dsn, "export", "shop", "--kek-dir", str(keks)).stdout.splitlines()]
    assert [e["metadata"] for e in exported if e["metadata"]] == [{"$sealed": True}, SECRET]
    assert verified(dsn)[0] == 0


@pytest.mark.parametrize("statement", ["body = set_byte(body, 60, 255 - get_byte(body, 60))", "body = $1"])
async def test_a_changed_ciphertext_is_found_without_keys(
    api: Api, dsn: str, connection: asyncpg.Connection, statement: str
) -> None:
    """Changed, or put into the place of another: the verifier names the entry, and the service does not show it."""
    number = await transfer(api)
    seq = (await api.get(f"transfers/{number}")).body["seq"]
    await transfer(api, {"order": "other"})
    other = await connection.fetchval("SELECT body FROM metadata WHERE seq > $1", seq)
    await connection.execute("ALTER TABLE metadata DISABLE TRIGGER append_only")
    await connection.execute(
        f"UPDATE metadata SET {statement} WHERE seq = {seq}", *([other] if "$1" in statement else [])
    )
    assert verified(dsn)[0] == 3
    assert f"first bad entry: {seq}" in verified(dsn)[1]
    assert await said(api, number) is None


async def test_without_its_keys_nothing_is_said_in_the_clear(api: Api, dsn: str) -> None:
    """Metadata is refused for a while; what has none is done."""
    await transfer(api)
    async with serving(dsn) as bare:
        answer = await bare.send("POST", "transfers", {"id": str(uuid4()), **MOVE, "metadata": SECRET})
        assert (answer.status, answer.body["code"]) == (503, "keys_unavailable")
        assert (await bare.post("transfers", **MOVE)).status == 201


async def test_a_missing_key_is_said_and_the_keys_in_memory_go_on(api: Api, keks: Path) -> None:
    """Whoever removes a key too early sees it in the metrics before anything fails."""
    (keks / "2026-01").rename(keks / ".gone")
    metrics = api.metrics
    async with asyncio.timeout(20):
        while 'keys_unusable{ledger="shop"} 1.0' not in metrics():  # noqa: ASYNC110 - the keeper looks on its own
            await asyncio.sleep(0.02)
    assert await said(api, await transfer(api)) == SECRET


async def test_keys_can_be_made_and_wrapped_anew_by_commands(api: Api, dsn: str, keks: Path) -> None:
    """Each can be repeated, but a key is never overwritten; the migration wraps anew, too."""
    name = str(keks / "2026-11")
    assert command(dsn, "keys", "make", name).returncode == 0
    assert "File exists" in command(dsn, "keys", "make", name).stderr
    assert command(dsn, "keys", "rewrap", "--kek-dir", str(keks)).stdout.startswith("2 data keys")
    assert command(dsn, "migrate", "--kek-dir", str(keks)).returncode == 0
    assert "wrapped by 2026-11" in command(dsn, "keys", "show", "shop").stdout
