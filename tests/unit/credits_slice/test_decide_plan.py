"""What is done for a ledger in every state: order, safety, quiet at rest."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_operator.children.seen import Found, JobState, Pods
from chaffinch_operator.children.writes import Apply, Delete
from chaffinch_operator.credits.decide import Decision, Stage, decide, pending, renewal_due
from chaffinch_operator.credits.model import CreditsLedgerSpec
from chaffinch_operator.credits.objects import deployment, migration_name
from chaffinch_operator.credits.plan import MakeCertificates, MakeSecret, Operation, Secret, plan
from chaffinch_operator.credits.reasons import STALLED, Reason
from chaffinch_operator.credits.snapshot import Snapshot, Validity
from unit.credits_slice.builders import NOW, carried_out, running, snapshot, spec

EXTERNAL = {"external": {"dsnSecretRef": {"name": "pg", "key": "dsn"}}}
DATABASE = Decision(Stage.DATABASE, Reason.DATABASE_STARTING, "")
PODS = st.builds(Pods, st.integers(0, 5), st.integers(0, 5), st.booleans())
WORLDS = st.builds(
    snapshot,
    deleting=st.booleans(),
    secrets=st.dictionaries(st.sampled_from(["pg", "keys"]), st.frozensets(st.sampled_from(["dsn", "k"]))),
    job=st.sampled_from(JobState),
    database=PODS,
    service=PODS,
)
SPECS = st.builds(
    lambda database, more: spec(database=database, **more),
    st.sampled_from([EXTERNAL, {"managed": {}}, {"managed": {"backup": {"repository": {"volume": "1Gi"}}}}]),
    st.sampled_from(
        [
            {},
            {"replicas": 3},
            {"autoscaling": {}},
            {"tls": {"mode": "Mutual"}},
            {"deletionPolicy": "Delete"},
            {"access": {"apiKeysSecretRef": {"name": "keys", "key": "k"}}},
        ]
    ),
)


def planned(wanted: CreditsLedgerSpec, world: Snapshot) -> list[Operation]:
    """What a pass writes."""
    return plan(wanted, world, decide(wanted, world, NOW), NOW)


def bodies(operations: list[Operation], kind: str) -> list[dict[str, Any]]:
    """Objects of a kind that are applied."""
    return [o.body for o in operations if isinstance(o, Apply) and o.kind == kind]


def serving(**more: Any) -> Snapshot:
    """All Secrets are made and the migration is done."""
    made = carried_out(spec(), snapshot(), DATABASE)
    return replace(made, database=running(1), job=JobState.SUCCEEDED, **more)


def kinds(operations: object) -> list[str]:
    """Kinds that are applied."""
    assert isinstance(operations, list)
    return [o.kind for o in operations if isinstance(o, Apply)]


@given(SPECS, WORLDS)
def test_no_version_serves_before_its_migration_succeeded(wanted: CreditsLedgerSpec, world: Snapshot) -> None:
    """Whatever else is the case."""
    if world.job is not JobState.SUCCEEDED:
        assert "Deployment" not in kinds(planned(wanted, world))


@given(SPECS, WORLDS)
def test_a_pass_that_was_carried_out_leaves_nothing_to_write(wanted: CreditsLedgerSpec, world: Snapshot) -> None:
    """At rest nothing is written: after Secrets, and then pods, the same decision plans nothing again."""
    decision = replace(decide(wanted, world, NOW), renew=False)
    once = carried_out(wanted, world, decision)
    assert plan(wanted, carried_out(wanted, once, decision), decision, NOW) == []


def test_pods_wait_for_the_secrets_that_they_read() -> None:
    """Else they would be replaced twice: for the Secret's absence, and for its content."""
    world = snapshot(database=running(1), job=JobState.SUCCEEDED)
    assert "Deployment" not in kinds(planned(spec(tls={}), world))
    ready = certified(timedelta(days=90), timedelta(days=3650))
    made = carried_out(spec(tls={}), replace(world, certificate=ready.certificate, authority=ready.authority), DATABASE)
    assert "Deployment" in kinds(planned(spec(tls={}), made))


@given(SPECS, WORLDS)
def test_a_stalled_ledger_is_left_as_it_is(wanted: CreditsLedgerSpec, world: Snapshot) -> None:
    """What runs keeps running while a person repairs a reference."""
    decision = decide(wanted, world, NOW)
    if decision.reason in STALLED and decision.reason is not Reason.ROLLOUT_STUCK:
        assert decision.stage is Stage.NOTHING
        assert plan(wanted, world, decision, NOW) == []


@given(SPECS, WORLDS)
def test_retained_data_is_never_deleted(wanted: CreditsLedgerSpec, world: Snapshot) -> None:
    """No Secret, StatefulSet or claim goes unless the spec says Delete and the ledger is being deleted."""
    doomed = {o.kind for o in planned(wanted, world) if isinstance(o, Delete)}
    if wanted.deletion_policy == "Retain" or not world.deleting:
        assert not doomed & {"Secret", "StatefulSet", "PersistentVolumeClaim"}


def test_a_missing_secret_is_named_with_its_field() -> None:
    """The message says which reference, which Secret and where."""
    decision = decide(spec(database=EXTERNAL), snapshot(), NOW)
    assert decision.reason is Reason.SECRET_NOT_FOUND
    assert "spec.database.external.dsnSecretRef: there is no Secret pg in namespace shop" in decision.message


def test_a_missing_key_is_named_with_those_that_there_are() -> None:
    """So that a typing error is seen at once."""
    decision = decide(spec(database=EXTERNAL), snapshot(secrets={"pg": frozenset({"url"})}), NOW)
    assert decision.reason is Reason.SECRET_KEY_NOT_FOUND
    assert "has no key dsn (it has: url)" in decision.message


ENCRYPTED = {"keySecretRef": {"name": "kek"}, "rotationPeriod": "720h"}


@pytest.mark.parametrize(
    ("secrets", "reason"),
    [({}, Reason.SECRET_NOT_FOUND), ({"kek": frozenset[str]()}, Reason.SECRET_KEY_NOT_FOUND)],
)
def test_encryption_needs_a_key(secrets: dict[str, frozenset[str]], reason: Reason) -> None:
    """The message has the command that makes one."""
    decision = decide(spec(encryption=ENCRYPTED), snapshot(secrets=secrets), NOW)
    assert decision.reason is reason
    assert "kubectl create secret generic kek" in decision.message


def test_a_new_key_encryption_key_is_another_migration_and_no_other_pod() -> None:
    """Data keys are wrapped anew by a Job; running pods get the key by their volume."""
    wanted = spec(encryption=ENCRYPTED)
    before, after = (snapshot(secrets={"kek": frozenset(names)}) for names in ({"1"}, {"1", "2"}))
    assert migration_name(wanted, before) != migration_name(wanted, after)
    assert deployment(wanted, before) == deployment(wanted, after)
    pod = deployment(wanted, after)["spec"]["template"]["spec"]
    assert {"name": "keks", "secret": {"secretName": "kek", "defaultMode": 0o440}} in pod["volumes"]
    env = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
    assert env["CHAFFINCH_CREDITS_KEK_DIR"] == "/etc/chaffinch-credits/keks"
    assert env["CHAFFINCH_CREDITS_KEY_ROTATION_SECONDS"] == "2592000.0"


def test_a_foreign_object_of_our_name_is_not_touched() -> None:
    """Somebody else's Deployment stays theirs."""
    decision = decide(spec(), snapshot(objects={("Deployment", "api-credits"): Found(ours=False)}), NOW)
    assert (decision.stage, decision.reason) == (Stage.NOTHING, Reason.NAME_TAKEN)


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        (snapshot(), Reason.DATABASE_STARTING),
        (snapshot(database=running(1)), Reason.MIGRATING),
        (snapshot(database=running(1), job=JobState.FAILED), Reason.MIGRATION_FAILED),
        (snapshot(database=running(1), job=JobState.SUCCEEDED), Reason.ROLLING_OUT),
        (snapshot(database=running(1), job=JobState.SUCCEEDED, service=running()), Reason.SERVING),
        (snapshot(job=JobState.SUCCEEDED, service=running()), Reason.DATABASE_STARTING),
        (snapshot(database=running(1), job=JobState.SUCCEEDED, service=Pods(2, 2)), Reason.ROLLING_OUT),
    ],
)
def test_a_ledger_comes_up_in_order(world: Snapshot, reason: Reason) -> None:
    """Database, migration, pods; each state has its own reason."""
    assert decide(spec(), world, NOW).reason is reason


def test_a_new_version_keeps_the_old_pods_until_its_migration_is_done() -> None:
    """The Deployment of the version before is neither changed nor deleted meanwhile."""
    up = snapshot(database=running(1), job=JobState.SUCCEEDED, service=running())
    decision = decide(spec(), up, NOW)
    old = carried_out(spec(), carried_out(spec(), up, decision), decision)
    new = replace(old, image="chaffinch:2", job=JobState.ABSENT)
    assert kinds(planned(spec(), new)) == ["Job"]


def test_password_and_signing_key_are_made_once() -> None:
    """The volume knows the one, auditors the other."""
    first = [o for o in planned(spec(), snapshot()) if isinstance(o, MakeSecret)]
    assert [o.what for o in first] == [Secret.PASSWORD, Secret.SIGNING_KEY, Secret.API_KEY]
    after = carried_out(spec(), snapshot(), decide(spec(), snapshot(), NOW))
    assert [o for o in planned(spec(), after) if not isinstance(o, Apply)] == []


@given(st.integers(0, 100))
def test_a_certificate_is_renewed_in_the_last_third_of_its_life(day: int) -> None:
    """Not before, and always while it is still valid; its authority's is left alone."""
    world = certified(timedelta(days=90), timedelta(days=3650))
    now = NOW + timedelta(days=day)
    assert renewal_due(spec(tls={}), world, now) is (day >= 60)
    made = [
        o for o in plan(spec(tls={}), world, decide(spec(tls={}), world, now), now) if isinstance(o, MakeCertificates)
    ]
    assert made == ([MakeCertificates(renew_authority=False)] if day >= 60 else [])


def test_an_authority_is_renewed_in_the_last_third_of_its_life() -> None:
    """So that no ledger stands without certificates after ten years."""
    world = certified(timedelta(days=3650), timedelta(days=90))
    now = NOW + timedelta(days=61)
    operations = plan(spec(tls={}), world, decide(spec(tls={}), world, now), now)
    assert MakeCertificates(renew_authority=True) in operations


def certified(life: timedelta, authority: timedelta) -> Snapshot:
    """A certificate and an authority that were made at NOW."""
    return snapshot(certificate=Validity(NOW, NOW + life), authority=Validity(NOW, NOW + authority))


@pytest.mark.parametrize("reason", [Reason.RIGHTS_MISSING, Reason.BAD_KEY])
def test_a_stall_says_the_way_out(reason: Reason) -> None:
    """A command that can be copied."""
    worlds = {
        Reason.RIGHTS_MISSING: (snapshot(rights_missing="secrets is forbidden"), "kubectl create rolebinding"),
        Reason.BAD_KEY: (snapshot(verifier_key=None), "chaffinch-credits keygen"),
    }
    world, way_out = worlds[reason]
    decision = decide(spec(), world, NOW)
    assert (decision.stage, decision.reason) == (Stage.NOTHING, reason)
    assert way_out in decision.message


def test_a_stuck_rollout_is_stalled_and_still_follows_the_spec() -> None:
    """A repaired image must get through."""
    world = serving(service=Pods(3, 3, stuck="timed out"))
    decision = decide(spec(), world, NOW)
    assert decision.reason is Reason.ROLLOUT_STUCK
    assert "Deployment" in kinds(planned(spec(), world))


def test_nothing_is_ready_while_writes_are_outstanding() -> None:
    """The Deployment that was observed is not the one that is about to be wanted."""
    world = snapshot(database=running(1), job=JobState.SUCCEEDED, service=running())
    decision = decide(spec(), world, NOW)
    assert decision.reason is Reason.SERVING
    assert pending(decision).reason is Reason.ROLLING_OUT


@pytest.mark.parametrize(("more", "port"), [({}, 80), ({"tls": {}}, 443)])
def test_the_port_says_whether_it_is_https(more: dict[str, object], port: int) -> None:
    """As everybody expects of the two."""
    world = snapshot(database=running(1), job=JobState.SUCCEEDED)
    services = {body["metadata"]["name"]: body for body in bodies(planned(spec(**more), world), "Service")}
    assert [p["port"] for p in services["api-credits"]["spec"]["ports"]] == [port]


def test_an_external_database_opens_its_ports_only() -> None:
    """Policies know no host names; the ports come from the address."""
    world = snapshot(secrets={"pg": frozenset({"dsn"})}, database_ports=(6432,))
    policies = bodies(planned(spec(database=EXTERNAL), world), "NetworkPolicy")
    assert {p["port"] for body in policies for rule in body["spec"]["egress"] for p in rule["ports"]} == {53, 6432}
    assert all(rule.get("ports") for body in policies for rule in body["spec"]["egress"])


@pytest.mark.parametrize(("set_by_it", "applied"), [(0, 3), (7, 7), (50, 10)])
def test_an_autoscaled_deployment_keeps_what_the_autoscaler_set(set_by_it: int, applied: int) -> None:
    """Within its bounds; a count that it changes later is no difference that has to be written."""
    wanted = spec(autoscaling={})
    world = serving(service=Pods(set_by_it, set_by_it, current=True))
    (deployment,) = bodies(planned(wanted, world), "Deployment")
    assert deployment["spec"]["replicas"] == applied
    after = carried_out(wanted, world, decide(wanted, world, NOW))
    assert planned(wanted, replace(after, service=running(5))) == []


def test_no_autoscaler_outlives_its_wish() -> None:
    """Back to a fixed number of pods."""
    world = snapshot(database=running(1), job=JobState.SUCCEEDED)
    scaled = carried_out(spec(autoscaling={}), world, decide(spec(autoscaling={}), world, NOW))
    operations = planned(spec(replicas=3), scaled)
    assert Delete("HorizontalPodAutoscaler", "api-credits") in operations
