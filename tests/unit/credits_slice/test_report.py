"""What users are told of a ledger."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chaffinch_operator.children.seen import JobState
from chaffinch_operator.credits import decide as decisions
from chaffinch_operator.credits.decide import decide
from chaffinch_operator.credits.report import happening, report, told
from chaffinch_operator.credits.snapshot import Snapshot, Validity
from chaffinch_operator.credits.status import CreditsLedgerStatus
from chaffinch_operator.schema import compact
from unit.credits_slice.builders import NOW, running, snapshot, spec

UP = snapshot(database=running(1), job=JobState.SUCCEEDED, service=running(3), verifier_key="k")
NEW = CreditsLedgerStatus()
LATER = NOW + timedelta(minutes=1)


def said(world: Snapshot = UP, before: CreditsLedgerStatus = NEW) -> CreditsLedgerStatus:
    """The status of a ledger without TLS."""
    return report(spec(), before, world, decide(spec(), world, NOW), LATER if before.conditions else NOW)


def conditions(status: CreditsLedgerStatus) -> dict[str, str]:
    """Status by type."""
    return {each.type: each.status for each in status.conditions}


@pytest.mark.parametrize(
    ("world", "trio"),
    [
        (UP, ("True", "False", "False")),
        (snapshot(), ("False", "True", "False")),
        (snapshot(rights_missing="no"), ("False", "False", "True")),
        (replace(UP, job=JobState.FAILED), ("False", "False", "True")),
    ],
)
def test_exactly_one_of_ready_reconciling_and_stalled_holds(world: Snapshot, trio: tuple[str, str, str]) -> None:
    """As kstatus, Flux and Argo CD read them."""
    found = conditions(said(world))
    assert (found["Ready"], found["Reconciling"], found["Stalled"]) == trio


def test_database_and_schema_have_conditions_of_their_own() -> None:
    """A database that is away does not make the schema unknown."""
    found = conditions(said(replace(UP, database=running(0))))
    assert (found["DatabaseReady"], found["SchemaCurrent"]) == ("False", "True")


def test_keys_are_current_when_all_are_wrapped_anew() -> None:
    """Only then may an older key-encryption key be removed; without encryption there is no such condition."""
    wanted = spec(encryption={"keySecretRef": {"name": "kek"}})
    for job, status in ((JobState.RUNNING, "False"), (JobState.SUCCEEDED, "True")):
        world = snapshot(job=job, database=running(1), secrets={"kek": frozenset({"1"})})
        after = report(wanted, CreditsLedgerStatus(), world, decide(wanted, world, NOW), NOW)
        assert {c.type: c.status for c in after.conditions}["KeysCurrent"] == status
    plain = report(spec(), CreditsLedgerStatus(), snapshot(), decide(spec(), snapshot(), NOW), NOW)
    assert "KeysCurrent" not in {c.type for c in plain.conditions}


def test_the_same_world_gives_the_same_status() -> None:
    """At rest nothing is written, however often it is looked."""
    once = said()
    assert said(before=once) == once


def test_what_could_not_be_looked_at_is_kept() -> None:
    """Without rights the verifier key is not forgotten, and the database is not called away."""
    before = said()
    after = said(snapshot(rights_missing="no"), before)
    assert after.verifier_key == "k"
    assert conditions(after)["DatabaseReady"] == "True"


def test_each_new_reason_is_one_event() -> None:
    """Named by the moment in the status, so that a replay tells it again as the same."""
    first = said(snapshot())
    news = happening(CreditsLedgerStatus(), first)
    assert news is not None
    assert (news.type, news.reason, news.at) == ("Normal", "DatabaseStarting", NOW)
    assert happening(first, said(snapshot(), first)) is None


def test_a_stall_is_a_warning() -> None:
    """People filter by it."""
    news = happening(said(), said(replace(UP, job=JobState.FAILED), said()))
    assert news is not None
    assert news.type == "Warning"


def test_a_spec_that_cannot_be_read_keeps_what_was_known() -> None:
    """Only the conditions say so."""
    before = said()
    after = told(before, decisions.unreadable("spec.assets: too short"), 2, LATER)
    assert after.endpoint == before.endpoint
    assert conditions(after)["Stalled"] == "True"


def test_the_status_says_how_to_reach_and_to_trust_the_service() -> None:
    """Address, authority, client's certificate, key, and the end of the certificate."""
    wanted = spec(tls={"mode": "Mutual"})
    valid = Validity(NOW, NOW + timedelta(days=90))
    world = replace(UP, certificate=valid, authority=valid)
    found = compact(report(wanted, CreditsLedgerStatus(), world, decide(wanted, world, NOW), NOW))
    assert found["endpoint"] == "https://api-credits.shop.svc"
    assert found["certificate"] == {
        "secretName": "api-credits-tls",
        "clientSecretName": "api-credits-client",
        "notAfter": "2026-04-01T00:00:00Z",
    }
    assert found["apiKey"] == {"name": "api-credits-keys", "key": "admin"}
