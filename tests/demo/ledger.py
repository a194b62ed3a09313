"""The tour of a ledger, `python -m demo.ledger`: what it does, what it proves, and how a tamperer is found out."""

import json
import re
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any, Protocol

import cluster
from chaffinch_credits.audit.merkle import consistent, root_from_inclusion
from chaffinch_credits.audit.note import Checkpoint, Verifier, opened
from cluster.deadline import wait_until
from demo import stage
from demo.errors import TourError
from support import ledgers
from support.kubectl import Kubectl, KubectlError
from support.ledgers import Ledger

NAMESPACE = "demo-credits"
_UNSOUND = 3
_SEALED_SECONDS = 30.0
Tell = Callable[[str], None]


class Walked(Protocol):
    """What the tour asks of a ledger."""

    @property
    def name(self) -> str:
        """Of the ledger."""
        ...

    def status(self) -> dict[str, Any]:
        """With the verifier key."""
        ...

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and answer of one request."""
        ...

    def verify(self, key: str) -> tuple[int, str]:
        """Exit status and words of the verifier."""
        ...

    def as_superuser(self, statement: str) -> str:
        """SQL past every right and trigger."""
        ...


class Tour:
    """One walk through a ledger that serves, with a client pod beside it."""

    def __init__(self, ledger: Walked, tell: Tell) -> None:
        self.ledger, self._tell = ledger, tell
        self._run = uuid.uuid4().hex[:6]
        self.refund_seq = 0
        """Sequence of the entry that is tampered with."""

    def use(self) -> None:
        """Accounts, a grant, a transfer, a hold that is posted in part, a refusal, and a replay."""
        source, shop, alice = (self._account(name) for name in ("source", "shop", "alice"))
        for name, negative in ((source, True), (shop, False), (alice, False)):
            self._do("accounts", account=name, asset="CREDIT", allow_negative=negative)
        self._do("grants", source=source, account=alice, amount="100", expires_at="2100-01-01T00:00:00Z")
        self._tell("granted 100 credits to alice, as a lot that expires")
        sale: dict[str, Any] = {"id": str(uuid.uuid4()), "debit": alice, "credit": shop, "amount": "30"}
        self.refund_seq = int(self._do("transfers", **sale)["seq"])
        self._tell(f"alice paid 30 to the shop: entry {self.refund_seq}")
        hold = str(uuid.uuid4())
        self._do("holds", id=hold, debit=alice, credit=shop, amount="20")
        self._do(f"holds/{hold}:post", amount="15")
        self._tell("20 were held and 15 of them posted; the rest is free again")
        refusal = self._do("transfers", 422, debit=alice, credit=shop, amount="1000")
        self._tell(f"1000 more were refused: {refusal['code']}, available {refusal['available']}")
        again = self._do("transfers", **sale)
        self._expect(again["seq"], self.refund_seq, "the entry of a request that is sent again")
        self._tell("the first payment, sent again, moved nothing: the same answer")
        found = self.ledger.ask("GET", f"accounts/{alice}")[1]
        self._expect(found["balance"], "55", "the balance of alice")
        self._tell("balance of alice: 55 = 100 - 30 - 15")

    def prove(self) -> None:
        """Two signed checkpoints: the payment is in the newer one, and the newer one continues the older one."""
        first = self._checkpoint(self.refund_seq)
        self._do("transfers", debit=self._account("source"), credit=self._account("shop"), amount="1")
        second = self._checkpoint(first.size + 1)
        path = f"audit/proofs/inclusion?seq={self.refund_seq}&size={second.size}"
        hashes = [bytes.fromhex(each) for each in self.ledger.ask("GET", path)[1]["hashes"]]
        leaf = bytes.fromhex(self.ledger.as_superuser(f"SELECT encode(leaf, 'hex') FROM {self._entry()}"))
        root = root_from_inclusion(self.refund_seq - 1, second.size, leaf, hashes)
        self._expect(root, second.root, "the root that the inclusion proof leads to")
        self._tell(f"inclusion: entry {self.refund_seq} is in the signed tree of {second.size} ({len(hashes)} hashes)")
        path = f"audit/proofs/consistency?from={first.size}&size={second.size}"
        growth = [bytes.fromhex(each) for each in self.ledger.ask("GET", path)[1]["hashes"]]
        holds = consistent(first.size, first.root, second.size, second.root, growth)
        self._expect(holds, True, "the consistency proof")
        self._tell(f"consistency: the tree of {second.size} continues that of {first.size}: nothing was rewritten")
        self._expect(self.ledger.verify(self._key())[0], 0, "the verifier's exit status")
        self._tell("verify: sound, from the database's rows and the public key alone")

    def tamper(self) -> int:
        """As superuser, past triggers and rights, raise the payment; the first bad entry that the verifier names."""
        self._change("amount = amount + 970")
        self._tell(f"a database superuser has made 1000 of the 30 in entry {self.refund_seq}, triggers switched off")
        status, words = self.ledger.verify(self._key())
        self._expect(status, _UNSOUND, "the verifier's exit status")
        self._tell(f"verify: {words.splitlines()[0]}")
        found = re.search(r"first bad entry: (\d+)", words)
        if found is None:
            raise TourError(f"the verifier names no entry: {words}")
        return int(found.group(1))

    def undo(self) -> None:
        """Make the entry what it was."""
        self._change("amount = amount - 970")

    def _change(self, what: str) -> None:
        table, where = self._entry().split(" ", 1)
        self.ledger.as_superuser(f"SET session_replication_role = replica; UPDATE {table} SET {what} {where}")

    def _entry(self) -> str:
        name = f"(SELECT key FROM ledger WHERE name = '{self.ledger.name}')"
        return f"entry WHERE seq = {self.refund_seq} AND ledger = {name}"

    def _key(self) -> str:
        return str(self.ledger.status()["verifierKey"])

    def _checkpoint(self, size: int) -> Checkpoint:
        """A checkpoint of at least this size, its signature checked with the key from the resource's status."""
        key = Verifier.parse(self._key())
        notes: list[Checkpoint] = []

        def sealed() -> bool:
            status, note = self.ledger.ask("GET", "audit/checkpoint")
            notes[:] = [Checkpoint.parse(opened(note, key))] if status == 200 else []
            return bool(notes) and notes[0].size >= size

        wait_until(sealed, f"a checkpoint of {size} entries", seconds=_SEALED_SECONDS, poll=1.0)
        self._tell(f"checkpoint: {notes[0].size} entries, signed by {key.name}")
        return notes[0]

    def _do(self, path: str, expected: int = 0, **body: Any) -> dict[str, Any]:
        status, answer = self.ledger.ask("POST", path, {"id": str(uuid.uuid4()), **body})
        if status not in ({expected} if expected else {200, 201}):
            raise TourError(f"POST {path}: {status} {json.dumps(answer)}")
        found: dict[str, Any] = answer
        return found

    def _expect(self, found: object, wanted: object, what: str) -> None:
        if found != wanted:
            raise TourError(f"{what} is {found!r}, not {wanted!r}")

    def _account(self, name: str) -> str:
        return f"{name}-{self._run}"


def give(tell: Tell) -> None:
    """The whole tour, from a cluster to a tamperer who is found out."""
    access = cluster.connect()
    kubectl = Kubectl(access)
    tell("images and operator ...")
    ledgers.build_images(access, ledgers.IMAGE)
    stage.install_operator(kubectl)
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    ledger = Ledger(kubectl, NAMESPACE)
    tell(f"kubectl apply -n {NAMESPACE} -f manifests/samples/credits.yaml")
    ledger.apply_sample()
    status = ledger.wait_ready()
    tell(f"ready: {status['pods']['ready']} pods at {status['endpoint']}")
    ledger.start_client()
    tour = Tour(ledger, tell)
    tour.use()
    tour.prove()
    named = tour.tamper()
    tour.undo()
    if named != tour.refund_seq:
        raise TourError(f"the verifier named entry {named}, and {tour.refund_seq} was changed")
    tell(f"the verifier named entry {named}: found out. Remove all of it: kubectl delete namespace {NAMESPACE}")


def main() -> int:
    """Give it; the exit status."""
    began = time.monotonic()

    def tell(line: str) -> None:
        sys.stdout.write(f"[{time.monotonic() - began:5.0f} s] {line}\n")
        sys.stdout.flush()

    try:
        give(tell)
    except (TourError, KubectlError, cluster.ClusterError, OSError) as error:
        sys.stderr.write(f"error: {error}\nrun `make demo-credits` again: it goes on from any state\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
