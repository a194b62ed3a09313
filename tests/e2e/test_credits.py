"""A CreditsLedger on a whole cluster: the sample becomes ready by itself, and nothing that is asked of it fails."""

import contextlib
import secrets
import uuid
from collections.abc import Iterator

import pytest

from cluster.deadline import wait_until
from demo.ledger import Tour
from support import ledgers
from support.ledgers import IMAGE, KIND, NEXT, Ledger
from support.operator import Operator
from support.rollouts import Grounds


@pytest.fixture(scope="module")
def namespace() -> str:
    """A namespace that no other session uses."""
    return f"e2e-credits-{secrets.token_hex(3)}"


@pytest.fixture(scope="module")
def operators(cluster: Grounds, namespace: str) -> Iterator[list[Operator]]:
    """The operator that runs, as the last of a list: a test may replace it by a newer one."""
    ledgers.build_images(cluster.access, IMAGE, NEXT)
    running = [ledgers.operator_of(cluster.access, [namespace]).start().wait_ready()]
    try:
        yield running
    finally:
        for each in running:
            each.remove()


@pytest.fixture(scope="module")
def ledger(cluster: Grounds, operators: list[Operator], namespace: str) -> Iterator[Ledger]:
    """The sample, ready, with a client beside it."""
    cluster.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    made = Ledger(cluster.kubectl, namespace)
    try:
        made.apply_sample()
        made.wait_ready()
        made.start_client()
        yield made
    finally:
        with contextlib.suppress(Exception):
            cluster.kubectl("delete", KIND, f"--namespace={namespace}", "--all", "--wait=true", "--timeout=60s")
        cluster.kubectl("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")


def test_the_sample_is_three_pods_behind_tls_with_a_database(ledger: Ledger) -> None:
    """What `kubectl apply` of two objects gives; its volume is bound and its migration is done."""
    wait_until(lambda: ledger.backup_reason() == "BackedUp", "the first backup", seconds=120, explain=ledger.now)
    status = ledger.status()
    assert status["pods"] == {"wanted": 3, "ready": 3}
    assert status["endpoint"] == f"https://{ledger.name}.{ledger.namespace}.svc"
    assert {c["type"] for c in status["conditions"] if c["status"] == "True"} == {
        "Ready",
        "DatabaseReady",
        "SchemaCurrent",
        "BackupHealthy",
    }


def test_a_transfer_needs_the_key_from_the_secret(ledger: Ledger) -> None:
    """By TLS 1.3, with the authority from its Secret; without a known key nothing is done."""
    for account, allowed in (("world", True), ("bob", False)):
        body = {"id": str(uuid.uuid4()), "account": account, "asset": "USD", "allow_negative": allowed}
        assert ledger.ask("POST", "accounts", {**body, "account": f"{account}-usd"})[0] == 201
    transfer = {"debit": "world-usd", "credit": "bob-usd", "amount": "250"}
    assert ledger.ask("POST", "transfers", {"id": str(uuid.uuid4()), **transfer}, key="wrong")[0] == 401
    assert ledger.ask("POST", "transfers", {"id": str(uuid.uuid4()), **transfer})[0] == 201
    assert ledger.ask("GET", "accounts/bob-usd")[1]["balance"] == "250"


def test_a_superuser_who_tampers_is_found_out(ledger: Ledger) -> None:
    """The tour of `make demo-credits` on this ledger: its figures and proofs hold, and the changed entry is named."""
    tour = Tour(ledger, lambda _: None)
    tour.use()
    tour.prove()
    assert tour.tamper() == tour.refund_seq
    tour.undo()
    assert ledger.verify(ledger.status()["verifierKey"])[0] == 0


def test_no_request_fails_while_everything_is_replaced(
    cluster: Grounds, operators: list[Operator], ledger: Ledger
) -> None:
    """A new version with its migration, one more pod, and a new certificate, under steady load."""
    with ledger.load() as load:
        operators[-1].terminate()
        operators.append(ledgers.operator_of(cluster.access, [ledger.namespace], NEXT).start().wait_ready())
        ledger.wait_ready(NEXT)
        ledger.patch({"replicas": 4})
        assert ledger.wait_reason("Serving")["pods"] == {"wanted": 4, "ready": 4}
        before = ledger.status()["certificate"]
        cluster.kubectl("delete", "secret", f"{ledger.name}-tls", f"--namespace={ledger.namespace}")
        ledger.patch({"replicas": 3})
        wait_until(lambda: _renewed(ledger, before["notAfter"]), "a new certificate that is served", seconds=120)
        counts = load.counts()
    assert counts["failed"] == 0, counts
    assert counts["done"] > 100
    balance = int(ledger.ask("GET", "accounts/alice")[1]["balance"])
    assert balance >= counts["done"]


def test_ten_pods_and_back_cost_no_request(ledger: Ledger) -> None:
    """Pods that come serve once they are ready; pods that go finish what they have."""
    with ledger.load() as load:
        ledger.patch({"replicas": 10})
        assert ledger.wait_reason("Serving", seconds=180)["pods"] == {"wanted": 10, "ready": 10}
        ledger.patch({"replicas": 3})
        ledger.wait_reason("Serving", seconds=120)
        wait_until(lambda: ledger.count_pods() == 3, "seven pods to be gone", seconds=90)
        counts = load.counts()
    assert (counts["failed"], counts["refused"]) == (0, 0), counts
    assert counts["done"] > 100


def test_a_restart_of_the_database_refuses_for_a_while_and_fails_nothing(ledger: Ledger) -> None:
    """Clients get 503 with Retry-After until it is back; every transfer that was acknowledged is there."""
    before = int(ledger.ask("GET", "accounts/alice")[1]["balance"])
    with ledger.load() as load:
        ledger.kubectl("delete", "pod", f"{ledger.name}-postgres-0", f"--namespace={ledger.namespace}", seconds=90)
        wait_until(lambda: load.counts()["refused"] > 0, "a refusal", seconds=60)
        ledger.wait_reason("Serving", seconds=120)
        done = load.counts()["done"]
        wait_until(lambda: load.counts()["done"] > done + 50, "transfers to go on", seconds=60)
        counts = load.counts()
    assert counts["failed"] == 0, counts
    assert counts["secondsOfRefusals"] < 60, counts
    assert int(ledger.ask("GET", "accounts/alice")[1]["balance"]) >= before + counts["done"]


def _renewed(ledger: Ledger, before: str) -> bool:
    status = ledger.status()
    return ledger.reason() == "Serving" and status["certificate"].get("notAfter", before) != before


def test_a_reference_that_leads_nowhere_is_named(ledger: Ledger) -> None:
    """Stalled, with the field; what serves goes on, and repairing the spec is enough."""
    ledger.patch({"access": {"apiKeysSecretRef": {"name": "nowhere", "key": "keys"}}})
    status = ledger.wait_reason("SecretNotFound")
    assert "spec.access.apiKeysSecretRef: there is no Secret nowhere" in status["lastDecision"]["message"]
    assert ledger.ask("GET", "accounts/bob-usd")[0] == 200
    ledger.patch({"access": None})
    ledger.wait_reason("Serving")


def test_a_ledger_that_was_deleted_finds_its_data_again(ledger: Ledger) -> None:
    """The default keeps volume, password, signing key and API key; the client's key still works."""
    key = ledger.status()["verifierKey"]
    ledger.kubectl("delete", KIND, ledger.name, f"--namespace={ledger.namespace}", "--timeout=60s", seconds=70)
    wait_until(lambda: not _pods(ledger), "the pods to be gone", seconds=90)
    ledger.apply_sample()
    assert ledger.wait_ready(NEXT)["verifierKey"] == key
    ledger.start_client()
    assert ledger.ask("GET", "accounts/bob-usd")[1]["balance"] == "250"


def test_a_lost_password_is_set_again(ledger: Ledger) -> None:
    """The Secret is deleted: a new password is made, and the database, which knew another one, takes it."""
    ledger.kubectl("delete", "secret", f"{ledger.name}-postgres", f"--namespace={ledger.namespace}")
    wait_until(lambda: ledger.reason() not in {"", "Serving"}, "the loss to be noticed", seconds=60)
    ledger.wait_ready(NEXT)
    assert ledger.ask("GET", "accounts/bob-usd")[1]["balance"] == "250"


def test_a_restore_for_trial_tells_a_sound_history_from_a_changed_one(ledger: Ledger) -> None:
    """By the CronJob's own Job: first it verifies; then an entry is changed, and BackupHealthy says so."""
    assert _tried(ledger, "sound") == "BackedUp"
    assert ledger.status()["backup"]["lastVerifiedRestore"]
    change = "SET session_replication_role = replica; UPDATE entry SET amount = amount {} 1 WHERE seq = 3"
    ledger.as_superuser(change.format("+"))
    assert _tried(ledger, "changed") == "RestoreCheckFailed"
    ledger.as_superuser(change.format("-"))


def _tried(ledger: Ledger, name: str) -> str:
    """Restore for trial; what BackupHealthy says then."""
    here = f"--namespace={ledger.namespace}"
    ledger.kubectl("create", "job", name, here, f"--from=cronjob/{ledger.name}-restore-check")
    ledger.kubectl("annotate", KIND, ledger.name, here, f"look={name}", "--overwrite")  # it looks every few minutes
    wait_until(lambda: _ended(ledger, name), f"restore for trial {name}", seconds=180, explain=ledger.now)
    return ledger.backup_reason()


def _ended(ledger: Ledger, name: str) -> bool:
    job = ledger.kubectl.get("job", name, ledger.namespace) or {}
    reached = {c["type"]: c["lastTransitionTime"] for c in job.get("status", {}).get("conditions", ())}
    if "Failed" in reached:
        return ledger.backup_reason() == "RestoreCheckFailed"
    seen = ledger.status()["backup"].get("lastVerifiedRestore", "")
    return bool("Complete" in reached and seen >= reached["Complete"])


def _pods(ledger: Ledger) -> list[str]:
    mine = f"--selector=chaffinch.dev/ledger={ledger.name}"
    return ledger.kubectl("get", "pods", f"--namespace={ledger.namespace}", mine, "--output=name").split()
