"""Passes over a CreditsLedger on a real API server, with exactly the operator's rights."""

from typing import Any

import pytest

from chaffinch_operator.credits.certificates import validity
from chaffinch_operator.errors import Terminal
from chaffinch_operator.kube import DEPLOYMENTS, EVENTS, SECRETS, SERVICES
from chaffinch_operator.resources import AUTOSCALERS, CREDITSLEDGERS, JOBS, NETWORK_POLICIES, STATEFULSETS, Resource
from cluster.apiserver import ApiServer
from integration.credits_slice.world import BINDINGS, NAME, World, world

pytestmark = pytest.mark.apiserver
QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
EXTERNAL = {"external": {"dsnSecretRef": {"name": "pg", "key": "dsn"}}}


async def test_a_ledger_comes_up_step_by_step(here: World) -> None:
    """Database, migration, pods; then it is at rest, and nothing is written any more."""
    await here.bind()
    await here.apply()
    assert await here.steps(3) == "DatabaseStarting"
    await here.database_runs()
    assert await here.steps(2) == "Migrating"
    assert await here.admin.get(DEPLOYMENTS, NAME, here.namespace) is None
    await here.migrated()
    assert await here.steps(2) == "RollingOut"
    await here.pods_run()
    await here.migrated()
    assert await here.steps(2) == "Serving"
    written = here.operator.writes.total()
    outcome = await here.step()
    assert outcome.requeue_after is None
    assert here.operator.writes.total() == written


async def test_without_its_rights_it_says_which_command_gives_them(here: World) -> None:
    """And touches nothing; once they are bound it goes on by itself."""
    await here.apply()
    outcome = await here.step()
    status = await here.status()
    assert status["lastDecision"]["reason"] == "RightsMissing"
    command = (
        f"kubectl create rolebinding chaffinch-credits -n {here.namespace} --clusterrole=chaffinch-credits "
        "--serviceaccount=chaffinch-system:chaffinch-operator"
    )
    assert command in status["lastDecision"]["message"]
    assert outcome.requeue_after is not None
    await here.bind()
    assert await here.steps(2) == "DatabaseStarting"


async def test_what_was_made_once_is_never_overwritten(here: World) -> None:
    """Password, signing key and API key are the same after every change."""
    await here.up()
    names = [f"{NAME}-{each}" for each in ("postgres", "audit", "keys")]
    before = [await here.secret(name) for name in names]
    here.image = "chaffinch:2"
    await here.apply(replicas=5, access={"allowFrom": [{"namespace": "api"}]})
    await here.steps(3)
    assert [await here.secret(name) for name in names] == before


async def test_a_new_version_migrates_before_its_pods_start(here: World) -> None:
    """The Deployment keeps the image before until then; the Job of the version before goes at the end."""
    await here.up()
    here.image = "chaffinch:2"
    assert await here.steps(2) == "Migrating"
    assert await _image(here) == "chaffinch:1"
    await here.migrated()
    await here.steps(2)
    assert await _image(here) == "chaffinch:2"
    await here.pods_run()
    assert await here.steps(2) == "Serving"
    jobs = [job["metadata"]["name"] for job in await here.admin.list(JOBS, here.namespace)]
    assert len([name for name in jobs if "-migrate-" in name]) == 1


async def test_certificates_are_renewed_and_pods_follow(here: World) -> None:
    """After two thirds of their life, by the same authority; pods are replaced once."""
    await here.up()
    first = await here.secret(f"{NAME}-tls")
    generation = (await here.get(DEPLOYMENTS, NAME))["metadata"]["generation"]
    here.later(days=59)
    await here.steps(2)
    assert await here.secret(f"{NAME}-tls") == first
    here.later(days=2)
    await here.steps(3)
    second = await here.secret(f"{NAME}-tls")
    assert second["ca.crt"] == first["ca.crt"]
    assert validity(second["tls.crt"])[1] > validity(first["tls.crt"])[1]
    assert (await here.get(DEPLOYMENTS, NAME))["metadata"]["generation"] == generation + 1


async def test_a_foreign_object_of_our_name_stays_as_it_is(here: World) -> None:
    """Somebody else's Service is not taken over."""
    await here.bind()
    port = {"port": 5432, "protocol": "TCP", "targetPort": 5432}
    foreign = {"metadata": {"name": f"{NAME}-postgres", "namespace": here.namespace}, "spec": {"ports": [port]}}
    made = await here.admin.create(SERVICES, foreign)
    await here.apply()
    assert await here.steps(2) == "NameTaken"
    assert f"Service {NAME}-postgres exists" in (await here.status())["lastDecision"]["message"]
    assert await here.admin.get(SERVICES, f"{NAME}-postgres", here.namespace) == made


async def test_a_missing_secret_is_named_and_its_coming_is_noticed(here: World) -> None:
    """With the path in the spec; the port of the external database is the only one opened."""
    await here.bind()
    await here.apply(database=EXTERNAL)
    assert await here.steps(1) == "SecretNotFound"
    assert "spec.database.external.dsnSecretRef" in (await here.status())["lastDecision"]["message"]
    meta = {"name": "pg", "namespace": here.namespace}
    await here.admin.create(SECRETS, {"metadata": meta, "stringData": {"dsn": "postgresql://u:p@db:6432/x"}})
    assert await here.steps(2) == "Migrating"
    egress = (await here.get(NETWORK_POLICIES, f"{NAME}-migration-out"))["spec"]["egress"]
    assert {port["port"] for rule in egress for port in rule["ports"]} == {53, 6432}
    assert await here.admin.get(STATEFULSETS, f"{NAME}-postgres", here.namespace) is None


async def test_a_failed_migration_waits_for_a_person(here: World) -> None:
    """No pod of that version starts; deleting the Job tries again."""
    await here.up()
    here.image = "chaffinch:2"
    await here.steps(2)
    await here.migrated(well=False)
    assert await here.steps(1) == "MigrationFailed"
    assert await _image(here) == "chaffinch:1"
    for job in await here.admin.list(JOBS, here.namespace):
        if job["metadata"]["name"] in (await here.status())["lastDecision"]["message"]:
            await here.admin.delete(JOBS, job["metadata"]["name"], here.namespace)
    assert await here.steps(2) == "Migrating"


async def test_a_refused_write_is_said_until_it_goes_through(here: World) -> None:
    """A quota, here; the condition holds between the attempts."""
    await here.bind()
    hard, name = {"count/statefulsets.apps": "0"}, {"name": "none", "namespace": here.namespace}
    await here.admin.apply(QUOTAS, {"metadata": name, "spec": {"hard": hard}})
    counted = {"status": {"hard": hard, "used": hard}}
    await here.admin.patch(QUOTAS, "none", here.namespace, counted, subresource="status")
    await here.apply()
    for _ in range(2):
        with pytest.raises(Terminal):
            await here.steps(3)
        status = await here.status()
        assert (status["lastDecision"]["reason"], _holds(status, "Stalled")) == ("Refused", "True")
    await here.admin.delete(QUOTAS, "none", here.namespace)
    assert await here.steps(3) == "DatabaseStarting"


async def test_autoscaling_comes_and_goes(here: World) -> None:
    """With it the Deployment's replicas belong to the autoscaler; without, it is removed."""
    await here.up()
    await here.apply(replicas=None, autoscaling={})
    await here.steps(2)
    scaler = (await here.get(AUTOSCALERS, NAME))["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 10)
    assert (await here.get(DEPLOYMENTS, NAME))["spec"]["replicas"] == 3
    await here.apply(replicas=4)
    await here.steps(2)
    assert (await here.get(DEPLOYMENTS, NAME))["spec"]["replicas"] == 4
    await here.pods_run()
    await here.steps(2)
    assert await here.admin.get(AUTOSCALERS, NAME, here.namespace) is None


@pytest.mark.parametrize(("policy", "kept"), [("Retain", True), ("Delete", False)])
async def test_deletion_keeps_what_the_spec_says(installed: ApiServer, policy: str, kept: bool) -> None:
    """Without an owner nothing takes the Secrets away; with Delete the pass does, before the object goes."""
    async with world(installed, f"deletion-{policy.lower()}") as here:
        await here.bind()
        await here.apply(deletionPolicy=policy)
        await here.steps(2)
        finalizers = {"metadata": {"finalizers": ["chaffinch.dev/finalizer"]}}
        await here.admin.patch(CREDITSLEDGERS, NAME, here.namespace, finalizers)
        await here.admin.delete(CREDITSLEDGERS, NAME, here.namespace)
        outcomes = [await here.step() for _ in range(2)]
        assert outcomes[-1].finished
        assert (await here.admin.get(SECRETS, f"{NAME}-postgres", here.namespace) is not None) is kept
        stateful = await here.get(STATEFULSETS, f"{NAME}-postgres")
        assert stateful["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == policy
        assert stateful["metadata"]["ownerReferences"][0]["kind"] == "CreditsLedger"


async def test_rights_that_are_taken_away_stop_nothing_that_runs(here: World) -> None:
    """The ledger says so; verifier key and endpoint stay in the status, and a deletion is not held up."""
    await here.up()
    before = await here.status()
    await here.admin.delete(BINDINGS, "chaffinch-credits", here.namespace)
    assert await here.steps(1) == "RightsMissing"
    assert (await here.status())["verifierKey"] == before["verifierKey"]
    events = await here.admin.list(EVENTS, here.namespace)
    assert {event["type"] for event in events if event["reason"] == "RightsMissing"} == {"Warning"}


def _holds(status: dict[str, Any], kind: str) -> str:
    return next(str(each["status"]) for each in status["conditions"] if each["type"] == kind)


async def _image(here: World) -> str:
    found = await here.get(DEPLOYMENTS, NAME)
    return str(found["spec"]["template"]["spec"]["containers"][0]["image"])
