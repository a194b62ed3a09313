"""Whatever is asked of a running service over HTTP, in any order: it says and holds what the pure ledger does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from chaffinch_credits.api import bodies
from chaffinch_credits.ledger.entries import Reply
from chaffinch_credits.ledger.words import Outcome
from integration.credits.process import process
from unit.credits.builders import World

NAMES = st.sampled_from(["source", "alice", "bob", "carol", "nobody"])
AMOUNTS = st.integers(1, 60).map(str)
EARLIER = st.integers(0, 30)
PATHS = {"open": "accounts", "transfer": "transfers", "hold": "holds", "grant": "grants"}


class Machine(RuleBasedStateMachine):
    """A ledger of the service's and one in memory. Ids are remembered, so that requests can refer and repeat."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.base = f"{self.url}/v1/ledgers/l{uuid4().hex[:12]}"
        self.world, self.asked = World(), list[tuple[str, dict[str, Any]]]()

    @initialize()
    def shop(self) -> None:
        """Some accounts, and alice has something."""
        assert requests.put(self.base, json={"assets": {"CREDIT": 0, "EUR": 2}}, timeout=20).status_code == 200
        for name in ("source", "alice", "bob"):
            self.ask("open", account=name, asset="CREDIT", allow_negative=name == "source")
        self.ask("open", account="carol", asset="EUR")
        self.ask("transfer", debit="source", credit="alice", amount="100")

    @rule(debit=NAMES, credit=NAMES, amount=AMOUNTS)
    def transfer(self, debit: str, credit: str, amount: str) -> None:
        """Move."""
        self.ask("transfer", debit=debit, credit=credit, amount=amount)

    @rule(debit=NAMES, credit=NAMES, amount=AMOUNTS)
    def hold(self, debit: str, credit: str, amount: str) -> None:
        """Reserve."""
        self.ask("hold", debit=debit, credit=credit, amount=amount)

    @rule(source=NAMES, account=NAMES, amount=AMOUNTS, priority=st.integers(0, 2))
    def grant(self, source: str, account: str, amount: str, priority: int) -> None:
        """Credit a lot."""
        self.ask("grant", source=source, account=account, amount=amount, priority=priority)

    @rule(which=EARLIER, amount=st.one_of(st.none(), AMOUNTS), what=st.sampled_from(["post", "void", "reverse"]))
    def about(self, which: int, amount: str | None, what: str) -> None:
        """End a hold, or undo a transfer."""
        target = {"transfer" if what == "reverse" else "hold": self.earlier(which)[1]["id"]}
        self.ask(what, **target, **({"amount": amount} if what == "post" and amount else {}))

    @rule(account=NAMES)
    def close(self, account: str) -> None:
        """Close."""
        self.ask("close", account=account)

    @rule(which=EARLIER)
    def again(self, which: int) -> None:
        """The same once more."""
        self.compare(*self.earlier(which))

    @rule(which=EARLIER)
    def mutated(self, which: int) -> None:
        """Another request under a used id."""
        self.compare(
            "transfer", {"id": self.earlier(which)[1]["id"], "debit": "bob", "credit": "alice", "amount": "61"}
        )

    @rule(debit=NAMES, credit=NAMES, amounts=st.lists(AMOUNTS, min_size=2, max_size=4), atomic=st.booleans())
    def batch(self, debit: str, credit: str, amounts: list[str], atomic: bool) -> None:
        """Several at once."""
        sent = [
            {"id": str(uuid4()), "type": "transfer", "debit": debit, "credit": credit, "amount": a} for a in amounts
        ]
        body = {"mode": "atomic" if atomic else "independent", "requests": sent}
        answer = requests.post(f"{self.base}/requests:batch", json=body, timeout=20).json()
        expected = self.world.batch(*(bodies.read("transfer", one).request for one in sent), atomic=atomic)
        assert [(r["outcome"], r["seq"]) for r in answer["replies"]] == [(r.outcome.value, r.seq) for r in expected]

    @invariant()
    def the_accounts_are_the_same(self) -> None:
        """Balances and holds."""
        for name, (balance, held) in self.world.balances().items():
            found = requests.get(f"{self.base}/accounts/{name}", timeout=20).json()
            assert (found["balance"], found["held"]) == (str(balance), str(held))

    def ask(self, what: str, **fields: Any) -> None:
        """Something new."""
        body = {"id": str(uuid4()), **fields}
        self.compare(what, body)
        self.asked.append((what, body))

    def compare(self, what: str, body: dict[str, Any]) -> None:
        """Ask both."""
        expected = self.world.batch(bodies.read(what, body).request)[0]
        answer = self.sent(what, dict(body))
        said = answer.json()
        assert (said["outcome"], said["seq"], said.get("replayed", False)) == shown(expected), said
        done = 200 if expected.replayed else 201
        assert answer.status_code == done if expected.outcome is Outcome.OK else answer.status_code >= 400

    def sent(self, what: str, body: dict[str, Any]) -> requests.Response:
        """By the route of its kind."""
        if what in PATHS:
            return requests.post(f"{self.base}/{PATHS[what]}", json=body, timeout=20)
        if what == "close":
            path = f"accounts/{body.pop('account')}:close"
        elif what == "reverse":
            path = f"transfers/{body.pop('transfer')}:reverse"
        else:
            path = f"holds/{body.pop('hold')}:{what}"
        return requests.post(f"{self.base}/{path}", json=body, timeout=20)

    def earlier(self, which: int) -> tuple[str, dict[str, Any]]:
        """One of those that were asked."""
        return self.asked[which % len(self.asked)]


def shown(reply: Reply) -> tuple[str, int, bool]:
    """As it is answered."""
    return reply.outcome.value, reply.seq, reply.replayed


@pytest.fixture
def url(tmp_path: Path, dsn: str) -> Iterator[str]:
    """A running service."""
    with process(tmp_path, dsn) as service:
        yield f"http://127.0.0.1:{service.api}"


def test_the_service_does_what_the_pure_ledger_does(url: str) -> None:
    """Every reply and every balance, after each step."""
    machine = type("Aimed", (Machine,), {"url": url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
