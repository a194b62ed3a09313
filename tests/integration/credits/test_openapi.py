"""The served OpenAPI document is true: what is generated from it, and against it, is answered as it says."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi import checks

from chaffinch_credits.api.app import OPERATIONS, document
from chaffinch_credits.store import webhooks
from integration.credits.process import process

EXAMPLES = 12
"""Of each operation and mode."""
TRANSFER, HOLD = "0190b1f2-0000-7000-8000-00000000000a", "0190b1f2-0000-7000-8000-00000000000b"
WEBHOOK = "0190b1f2-0000-7000-8000-00000000000c"
KNOWN = {
    "ledger": "shop",
    "account": "alice",
    "debit": "source",
    "credit": "alice",
    "source": "source",
    "asset": "CREDIT",
    "level": 0,
    "index": "000.p/1",
    "webhook": WEBHOOK,
}
IDS = {"reverse": TRANSFER, "entry": TRANSFER, "post": HOLD, "void": HOLD}
WEBHOOKS: dict[str, Any] = {
    "register_webhook": {"url": "https://hooks.example/credits"},
    "rotate_webhook": {},
    "replay_webhook": {"from_block": 1},
}
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, module_dsn: str) -> Iterator[str]:
    """A running service with some accounts and an entry."""
    with process(tmp_path_factory.mktemp("service"), module_dsn) as service:
        found = f"http://127.0.0.1:{service.api}"
        made: list[tuple[str, dict[str, Any]]] = [
            ("accounts", {"id": str(uuid4()), "account": "source", "asset": "CREDIT", "allow_negative": True}),
            ("accounts", {"id": str(uuid4()), "account": "alice", "asset": "CREDIT"}),
            ("transfers", {"id": TRANSFER, "debit": "source", "credit": "alice", "amount": "7"}),
            ("holds", {"id": HOLD, "debit": "source", "credit": "alice", "amount": "7"}),
        ]
        for path, asked in made:
            assert requests.post(f"{found}/v1/ledgers/shop/{path}", json=asked, timeout=10).status_code == 201
        asyncio.run(with_webhook(module_dsn))
        yield found


async def with_webhook(dsn: str) -> None:
    """A webhook of a known id, for what is generated about it."""
    connection = await asyncpg.connect(dsn)
    try:
        await webhooks.add(connection, 1, UUID(WEBHOOK), "https://hooks.example/", b"\0" + b"s" * 32)
    finally:
        await connection.close()


def test_the_document_is_served(url: str) -> None:
    """As it is made from the code, without a key."""
    assert requests.get(f"{url}/openapi.json", timeout=10).json() == document()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("name", [one.name for one in OPERATIONS])
def test_answers_are_as_described(url: str, name: str, mode: GenerationMode) -> None:
    """Whatever is sent: a described status, type, header and body; what is not as described is refused."""
    wrong = [checks.negative_data_rejection] if mode is GenerationMode.NEGATIVE else []
    explore(url, name, mode, [*CHECKS, *wrong], aimed=False)


@pytest.mark.parametrize("name", [one.name for one in OPERATIONS])
def test_answers_about_what_is_there_are_as_described(url: str, name: str) -> None:
    """The same with the ledger, accounts and ids that exist: most of it is done."""
    statuses = explore(url, name, GenerationMode.POSITIVE, CHECKS, aimed=True)
    assert statuses & {200, 201, 409}, statuses


def explore(url: str, name: str, mode: GenerationMode, checked: list[Any], *, aimed: bool) -> set[int]:
    """Send what is generated for an operation; the statuses that came back."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operation, statuses = schema.find_operation_by_id(name), set[int]()

    @settings(max_examples=EXAMPLES, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(generation_mode=mode))
    def check(case: Case[Any]) -> None:
        if aimed:
            aim(case, name)
        response = case.call(timeout=20)
        statuses.add(response.status_code)
        case.validate_response(response, checks=checked)

    check()
    return statuses


def aim(case: Case[Any], name: str) -> None:
    """Put names and ids that exist into a case."""
    known = {**KNOWN, "id": IDS.get(name, TRANSFER)}
    case.path_parameters.update({key: known[key] for key in case.path_parameters})
    case.query.update({key: 1 for key in case.query if key in {"seq", "size", "from", "at_seq"}})
    if "at_seq" in case.query:
        case.query.pop("as_of", None)
    if "max_age" in case.query:
        case.query = {"max_age": 1}
    body: Any = case.body
    if name in WEBHOOKS:
        case.body = WEBHOOKS[name]
        return
    if isinstance(body, dict) and name != "ensure":
        for asked in body.get("requests", [body]):
            named = asked.keys() & KNOWN.keys() - ({"account"} if name == "open" else set())
            asked |= {"id": str(uuid4()), **{key: known[key] for key in named}}
