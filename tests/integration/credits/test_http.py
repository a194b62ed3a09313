"""The HTTP API: what it answers, and that a client's mistake is never the server's."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
import pytest_asyncio

from chaffinch_credits.audit.merkle import Frontier, consistent, inclusion_proof, root_from_inclusion
from chaffinch_credits.audit.note import Checkpoint, opened
from chaffinch_credits.audit.tiles import HASH, WIDTH
from integration.credits.http import LEDGER, SIGNER, Api, serving

pytestmark = pytest.mark.asyncio
MOVE = {"debit": "source", "credit": "bob", "amount": "1"}


@pytest_asyncio.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    """A service with a ledger."""
    async with serving(dsn) as found:
        await found.shop()
        yield found


async def available(api: Api, account: str) -> str:
    """What an account can spend."""
    return str((await api.get(f"accounts/{account}")).body["available"])


async def checkpoint(api: Api, size: int) -> Checkpoint:
    """The newest checkpoint, once it has so many entries."""
    async with asyncio.timeout(20):
        while True:
            answer = await api.get("audit/checkpoint")
            if answer.status == 200:
                found = Checkpoint.parse(opened(answer.body, SIGNER.verifier))
                if found.size >= size:
                    return found


async def test_a_transfer(api: Api) -> None:
    """Created, and seen in both accounts."""
    answer = await api.post("transfers", debit="alice", credit="bob", amount="30", metadata={"order": 7})
    assert (answer.status, answer.body["outcome"]) == (201, "ok")
    assert (await available(api, "alice"), await available(api, "bob")) == ("70", "30")


async def test_a_repetition_is_said_to_be_one(api: Api) -> None:
    """The first outcome, with a header; another body under the same id is a conflict."""
    asked = {"id": str(uuid4()), "debit": "alice", "credit": "bob", "amount": "30"}
    first = await api.send("POST", "transfers", asked)
    again = await api.send("POST", "transfers", dict(reversed(asked.items())))
    other = await api.send("POST", "transfers", {**asked, "amount": "31"})
    assert (again.status, again.body["seq"]) == (200, first.body["seq"])
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (other.status, other.body["code"]) == (409, "idempotency_mismatch")
    assert await available(api, "alice") == "70"


async def test_a_key_in_the_header_is_an_id(api: Api) -> None:
    """For clients that have no UUIDs."""
    asked = {"debit": "alice", "credit": "bob", "amount": "30"}
    for status in (201, 200):
        answer = await api.send("POST", "transfers", asked, Idempotency_Key="order-7")
        assert answer.status == status
    assert await available(api, "alice") == "70"


async def test_too_little_is_said_with_what_there_is(api: Api) -> None:
    """422, and it stays refused."""
    asked = {"id": str(uuid4()), "debit": "bob", "credit": "alice", "amount": "1"}
    answer = await api.send("POST", "transfers", asked)
    assert (answer.status, answer.body["code"], answer.body["available"]) == (422, "insufficient_funds", "0")
    await api.post("transfers", debit="alice", credit="bob", amount="5")
    assert (await api.send("POST", "transfers", asked)).status == 422


async def test_a_hold_is_posted_in_part(api: Api) -> None:
    """The rest is free again."""
    hold = (await api.post("holds", debit="alice", credit="bob", amount="60")).body["id"]
    assert await available(api, "alice") == "40"
    assert (await api.post(f"holds/{hold}:post", amount="25")).status == 201
    assert (await available(api, "alice"), await available(api, "bob")) == ("75", "25")
    assert (await api.post(f"holds/{hold}:void")).body["code"] == "already_posted"


async def test_a_transfer_is_reversed(api: Api) -> None:
    """By its id."""
    made = (await api.post("transfers", debit="alice", credit="bob", amount="30")).body["id"]
    assert (await api.post(f"transfers/{made}:reverse")).status == 201
    assert await available(api, "alice") == "100"


async def test_an_account_as_it_was(api: Api) -> None:
    """By sequence and by time."""
    made = await api.post("transfers", debit="alice", credit="bob", amount="30")
    at = (await api.get(f"transfers/{made.body['id']}")).body["created_at"]
    await api.post("transfers", debit="alice", credit="bob", amount="30")
    for query in (f"at_seq={made.body['seq']}", f"as_of={at}"):
        assert (await api.get(f"accounts/alice?{query}")).body["available"] == "70"
    assert (await api.get(f"accounts/alice?at_seq={made.body['seq'] - 1}")).body["available"] == "100"


async def test_entries_are_listed_in_pages(api: Api) -> None:
    """Newest first, each once."""
    for _ in range(5):
        await api.post("transfers", debit="alice", credit="bob", amount="1")
    seen: list[int] = []
    before: int | None = 10**9
    while before:
        page = (await api.get(f"accounts/alice/entries?limit=2&before={before}")).body
        seen += [e["seq"] for e in page["entries"]]
        before = page["next_before"]
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) == 7


@pytest.mark.parametrize(("mode", "status", "left"), [("independent", 200, "40"), ("atomic", 409, "100")])
async def test_a_batch(api: Api, mode: str, status: int, left: str) -> None:
    """Each for itself, or all or none."""
    ask = {"type": "transfer", "debit": "alice", "credit": "bob", "amount": "60"}
    body = {"mode": mode, "requests": [{"id": str(uuid4()), **ask} for _ in range(2)]}
    answer = await api.send("POST", "requests:batch", body)
    assert answer.status == status
    assert answer.body["replies"][1]["outcome"] == "insufficient_funds"
    assert await available(api, "alice") == left


def nested(depth: int) -> dict[str, Any]:
    """Objects in objects."""
    found: dict[str, Any] = {}
    for _ in range(depth):
        found = {"a": found}
    return found


WRONG: dict[str, Any] = {
    "a number for an amount": {"amount": 30},
    "a fraction": {"amount": "1.5"},
    "nothing": {"amount": "0"},
    "a negative amount": {"amount": "-1"},
    "more than 63 bits": {"amount": str(2**63)},
    "digits that are not ASCII": {"amount": "٣"},
    "no account": {"debit": None},
    "an account with spaces": {"debit": "a b"},
    "a misspelt field": {"ammount": "1"},
    "no UUID": {"id": "7"},
    "a time without zone": {"effective_at": "2026-01-31T12:00:00"},
    "metadata that is a list": {"metadata": [1]},
    "metadata that is too large": {"metadata": {"a": "x" * 5000}},
    "a code that is a boolean": {"code": True},
    "a code beyond 63 bits": {"code": 2**70},
    "metadata that is nested very deeply": {"metadata": nested(400)},
    "an account with a zero byte": {"debit": "a\0b"},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_a_mistake_names_its_field(api: Api, wrong: dict[str, Any]) -> None:
    """400, nothing is recorded, and the repaired request may have the same id."""
    asked = {"id": str(uuid4()), "debit": "alice", "credit": "bob", "amount": "30"}
    answer = await api.send("POST", "transfers", {**asked, **wrong})
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body["field"] == next(iter(wrong))
    assert (await api.send("POST", "transfers", asked)).status == 201


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a":' * 3000, b'{"amount": 1e999}'], ids=range(7)
)
async def test_broken_json_is_refused(api: Api, body: bytes) -> None:
    """400, whatever it is."""
    assert (await api.send("POST", "transfers", body)).status == 400


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("accounts/a%00b", 404),
        ("accounts/%ff", 404),
        ("accounts/a%00b/entries", 404),
        ("/v1/ledgers/a%00b/accounts/a", 404),
        ("accounts/alice?at_seq=00000000000000000001999999999999", 400),
        ("accounts/alice?as_of=9999-99-99", 400),
        ("transfers/no-uuid", 400),
        ("audit/proofs/inclusion?seq=1&size=99999999999999999999", 400),
        ("audit/proofs/consistency?from=5&size=2", 400),
    ],
)
async def test_hostile_paths_are_the_client_s_mistake(api: Api, path: str, status: int) -> None:
    """Never the server's."""
    assert (await api.get(path)).status == status


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
async def test_another_type_of_body_is_refused(api: Api, kind: str) -> None:
    """415, and it says what to send."""
    asked = b'{"id": "0190b1f2-0000-7000-8000-000000000001"}'
    answer = await api.send("POST", "transfers", asked, Content_Type=kind)
    assert (answer.status, answer.body["code"]) == (415, "unsupported_media_type")
    assert "application/json" in answer.body["title"]


async def test_what_is_not_there_is_a_problem_too(api: Api) -> None:
    """404 and 405 outside of all routes, with the methods that there are."""
    assert (await api.get("/v1/nothing")).body["code"] == "not_found"
    answer = await api.send("DELETE", "accounts/alice")
    assert (answer.status, answer.body["code"]) == (405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}


async def test_a_batch_with_a_mode_that_is_a_list(api: Api) -> None:
    """400, as any mistake."""
    assert (await api.send("POST", "requests:batch", {"mode": [], "requests": [{}]})).body["field"] == "mode"


async def test_a_body_that_is_too_large_is_refused(api: Api) -> None:
    """413."""
    assert (await api.send("POST", "transfers", b'{"a": "' + b"x" * 1_100_000 + b'"}')).status == 413


async def test_unknown_ledgers_and_accounts_are_not_found(api: Api) -> None:
    """404, with a code."""
    assert (await api.get("/v1/ledgers/none/accounts/a")).body["code"] == "ledger_not_found"
    assert (await api.get("accounts/nobody")).body["code"] == "account_not_found"
    assert (await api.get(f"transfers/{uuid4()}")).body["code"] == "transfer_not_found"
    assert (await api.post("accounts", account="x", asset="USD")).body["code"] == "asset_mismatch"


async def test_a_scale_cannot_be_changed(api: Api) -> None:
    """409; assets may be added."""
    assert (await api.send("PUT", LEDGER, {"assets": {"EUR": 3}})).status == 409
    assert (await api.send("PUT", LEDGER, {"assets": {"EUR": 2, "USD": 2}})).status == 200


async def test_an_entry_can_be_proven(api: Api, dsn: str) -> None:
    """With a signed checkpoint, the entry's leaf and a short proof; and the tree to be the continuation of an older."""
    for number in range(20):
        made = await api.post("transfers", debit="alice", credit="bob", amount=str(1 + number % 2))
    first = await checkpoint(api, made.body["seq"])
    await api.post("transfers", debit="alice", credit="bob", amount="1")
    newest = await checkpoint(api, first.size + 1)
    seq, size = made.body["seq"], newest.size
    connection = await asyncpg.connect(dsn)
    leaf = await connection.fetchval("SELECT leaf FROM entry WHERE seq = $1", seq)
    await connection.close()
    proof = (await api.get(f"audit/proofs/inclusion?seq={seq}&size={size}")).body["hashes"]
    assert root_from_inclusion(seq - 1, size, leaf, [bytes.fromhex(h) for h in proof]) == newest.root
    growth = (await api.get(f"audit/proofs/consistency?from={first.size}&size={size}")).body["hashes"]
    assert consistent(first.size, first.root, size, newest.root, [bytes.fromhex(h) for h in growth])


async def test_tiles_make_the_root(api: Api) -> None:
    """Full and partial, leaves and nodes above: who has them can make every proof, as the service does."""
    for start in range(0, 600, 200):
        asked = [{"type": "transfer", "id": str(UUID(int=start + n + 1)), **MOVE} for n in range(200)]
        await api.send("POST", "requests:batch", {"requests": asked})
    size = (await checkpoint(api, 600)).size
    parts = [f"0/{index:03}" for index in range(size // WIDTH)] + [f"0/{size // WIDTH:03}.p/{size % WIDTH}"]
    leaves = b"".join([await api.raw(f"audit/tile/{part}") for part in parts])
    hashes = [leaves[at : at + HASH] for at in range(0, len(leaves), HASH)]
    assert Frontier().extended(hashes).root == (await checkpoint(api, size)).root
    above = await api.raw(f"audit/tile/1/000.p/{size // WIDTH}")
    assert above == b"".join(Frontier().extended(hashes[at : at + WIDTH]).root for at in (0, WIDTH))
    proof = (await api.get(f"audit/proofs/inclusion?seq=300&size={size}")).body["hashes"]
    assert proof == [h.hex() for h in inclusion_proof(299, size, lambda a, b: Frontier().extended(hashes[a:b]).root)]
    assert (await api.get(f"audit/tile/0/{size // WIDTH:03}")).status == 404
    assert (await api.get("audit/tile/0/7")).body["code"] == "invalid_request"


async def test_hot_accounts_add_up(api: Api) -> None:
    """Two hundred clients at once on one account: as many succeed as there are credits."""
    answers = await asyncio.gather(
        *(api.post("transfers", debit="alice", credit="bob", amount="1") for _ in range(200))
    )
    assert sum(a.status == 201 for a in answers) == 100
    assert (await available(api, "alice"), await available(api, "bob")) == ("0", "100")
