"""The Python client against a running service: typed answers, and repetitions that change nothing."""

import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from chaffinch_credits.client import Client, CreditsError, RefusedError, UnavailableError
from integration.credits.process import Process, process


@pytest.fixture
def service(tmp_path: Path, dsn: str) -> Iterator[Process]:
    """A running service."""
    with process(tmp_path, dsn) as found:
        yield found


@pytest.fixture
def shop(service: Process) -> Iterator[Client]:
    """A client of it; alice has 100."""
    with Client(f"http://127.0.0.1:{service.api}", "shop") as found:
        found.open_account("source", "CREDIT", allow_negative=True)
        for name in ("alice", "team/bob"):
            found.open_account(name, "CREDIT")
        found.transfer("source", "alice", 100)
        yield found


def test_everything_can_be_asked_for(shop: Client) -> None:
    """Transfers, holds, grants, reversals, batches; accounts now and then."""
    moved = shop.transfer("alice", "team/bob", 30, metadata={"order": 7})
    assert shop.reverse(moved.id).seq == moved.seq + 1
    shop.post(shop.hold("alice", "team/bob", 60).id, 25)
    shop.void(shop.hold("alice", "team/bob", 5).id)
    shop.grant("source", "team/bob", 5, priority=1)
    found = shop.account("team/bob")
    assert (found.balance, found.held, found.asset, found.scale) == (30, 0, "CREDIT", 0)
    assert shop.account("team/bob", at_seq=moved.seq).balance == 30
    ask = {"type": "transfer", "debit": "alice", "credit": "team/bob", "amount": "60"}
    for atomic, said in ((True, ["batch_failed", "insufficient_funds"]), (False, ["ok", "insufficient_funds"])):
        replies = shop.batch([{"id": str(uuid4()), **ask} for _ in range(2)], atomic=atomic)
        assert [reply["outcome"] for reply in replies] == said
    seqs = [entry["seq"] for entry in shop.entries("team/bob")]
    assert seqs == sorted(seqs, reverse=True)
    shop.transfer("team/bob", "source", shop.account("team/bob").balance)
    shop.close_account("team/bob")


def test_a_refusal_and_a_mistake_are_errors_of_their_own(shop: Client) -> None:
    """With what could be spent, and with the field that is wrong; neither is sent again."""
    with pytest.raises(RefusedError, match="insufficient_funds") as refused:
        shop.transfer("alice", "team/bob", 101)
    assert (refused.value.status, refused.value.available) == (422, 100)
    with pytest.raises(CreditsError) as wrong:
        shop.transfer("alice", "team/bob", 0)
    assert (wrong.value.status, wrong.value.code, wrong.value.field) == (400, "invalid_amount", "amount")
    with pytest.raises(CreditsError, match="account_not_found"):
        shop.account("nobody")


def test_a_request_outlives_the_service(shop: Client, service: Process) -> None:
    """Killed and started again meanwhile: the request is done, once, and the same call again says so."""
    service.kill()
    back = threading.Thread(target=service.start)
    back.start()
    own = uuid4()
    first = shop.transfer("alice", "team/bob", 30, id=own)
    back.join()
    again = shop.transfer("alice", "team/bob", 30, id=own)
    assert (again.seq, again.replayed) == (first.seq, True)
    assert shop.account("team/bob").balance == 30


def test_patience_ends(service: Process) -> None:
    """With the id to ask again with."""
    service.kill()
    own = uuid4()
    shop = Client(f"http://127.0.0.1:{service.api}", "shop", patience=0.3)
    with shop, pytest.raises(UnavailableError) as said:
        shop.transfer("alice", "bob", 1, id=own)
    assert said.value.id == own


def test_an_address_that_is_none_is_refused() -> None:
    """At once, with an example."""
    with pytest.raises(ValueError, match="such as https"):
        Client("credits:8080", "shop")
