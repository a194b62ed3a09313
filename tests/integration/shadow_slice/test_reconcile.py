"""Passes over a ShadowEvaluation on a real API server, with exactly the operator's rights."""

import json
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chaffinch_operator.errors import Conflict
from chaffinch_operator.kube import CANARYROLLOUTS, DEPLOYMENTS, EVENTS, HTTPROUTES, SERVICES
from chaffinch_operator.resources import CONFIGMAPS, CRONJOBS, JOBS, SHADOWEVALUATIONS, STATEFULSETS
from cluster.apiserver import ApiServer
from integration.shadow_slice.world import BINDINGS, NAME, ROOT, World, deployment, world
from support.gateway_crd import HTTPROUTE_CRD

pytestmark = pytest.mark.apiserver
START = {"onPromote": "StartCanary", "canaryRolloutRef": {"name": "waf"}}
REPLAY = {"replay": {"source": {"configMap": {"name": "recorded"}}, "shards": 3}}


@pytest.fixture(scope="module")
def installed(api_with_crd: ApiServer) -> ApiServer:
    """CRDs, also a stand-in for that of HTTPRoute, and Roles."""
    kubectl = [str(api_with_crd.kubectl), f"--kubeconfig={api_with_crd.kubeconfig}"]
    files = [f"--filename={ROOT / 'manifests/base' / name}" for name in ("namespace.yaml", "rbac.yaml")]
    subprocess.run([*kubectl, "apply", "--server-side", *files], check=True, capture_output=True, timeout=60)
    apply = [*kubectl, "apply", "--server-side", "--filename=-"]
    subprocess.run(apply, input=json.dumps(HTTPROUTE_CRD), check=True, capture_output=True, text=True, timeout=60)
    wait = [*kubectl, "wait", "--for=condition=Established", "crd/httproutes.gateway.networking.k8s.io"]
    subprocess.run(wait, check=True, capture_output=True, timeout=60)
    return api_with_crd


@pytest.fixture
async def here(installed: ApiServer, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A namespace named after the test."""
    name = request.node.originalname.removeprefix("test_").replace("_", "-")[:50].strip("-")
    async with world(installed, name) as made:
        yield made


async def test_an_evaluation_comes_up_step_by_step(here: World) -> None:
    """Database, schema, service, requests; while it collects, a pass that finds the same writes nothing."""
    await here.open()
    await here.apply()
    assert await here.steps(3) == "DatabaseStarting"
    await here.database_runs()
    assert await here.steps(2) == "Migrating"
    assert await here.admin.get(DEPLOYMENTS, f"{NAME}-shadow", here.namespace) is None
    await here.migrated()
    assert await here.steps(2) == "RollingOut"
    assert await here.filters() == [["RequestHeaderModifier"], []]
    await here.pod_runs()
    await here.says()
    assert await here.steps(3) == "Collecting"
    assert await here.filters() == [["RequestHeaderModifier", "RequestMirror"], ["RequestMirror"]]
    written = here.operator.writes.total()
    outcome = await here.step()
    assert outcome.requeue_after == 5.0
    assert here.operator.writes.total() == written


async def test_the_status_tells_what_the_service_says(here: World) -> None:
    """Counts, coverage, metrics, and its verdict; asked by the Service's address, with the token that was made."""
    await here.up()
    await here.says("Hold")
    await here.steps(1)
    status = await here.status()
    assert (status["verdict"], status["cells"][7], status["discordant"]["lost"]) == ("Hold", 34103, 3)
    assert status["coverage"] == {"received": 40000, "pairs": 37075, "share": "0.9991"}
    address, token = here.service.asked[-1]
    service = await here.get(SERVICES, f"{NAME}-mirror")
    assert address == f"http://{service['spec']['clusterIP']}:8080"
    assert token.encode() == (await here.secret(f"{NAME}-token"))["token"]


async def test_a_service_that_is_silent_keeps_the_last_counts(here: World) -> None:
    """The condition says what is wrong; nothing else changes."""
    await here.up()
    await here.says("Hold")
    await here.steps(1)
    here.service.said = None
    assert await here.steps(1) == "Collecting"
    status = await here.status()
    assert status["cells"][7] == 34103
    analysis = condition(status, "Analysis")
    assert (analysis["status"], analysis["reason"]) == ("False", "AnalysisUnavailable")
    assert "did not answer" in analysis["message"]


async def test_without_its_rights_it_says_which_command_gives_them(here: World) -> None:
    """And touches nothing; once they are bound it goes on by itself."""
    await here.open()
    await here.admin.delete(BINDINGS, "chaffinch-shadow", here.namespace)
    await here.apply()
    assert await here.steps(1) == "RightsMissing"
    command = (
        f"kubectl create rolebinding chaffinch-shadow -n {here.namespace} --clusterrole=chaffinch-shadow "
        "--serviceaccount=chaffinch-system:chaffinch-operator"
    )
    assert command in (await here.status())["lastDecision"]["message"]
    await here.open()
    assert await here.steps(2) == "DatabaseStarting"


async def test_a_promote_ends_the_evaluation_and_frees_the_route(here: World) -> None:
    """The route is what it was, the service was told, and the verdict is final: an Event says so once."""
    await here.up()
    before = (await here.get(HTTPROUTES, "waf"))["spec"]
    await here.says("Promote")
    assert await here.steps(1) == "Concluded"
    assert await here.filters() == [["RequestHeaderModifier"], []]
    assert "filters" not in (await here.get(HTTPROUTES, "waf"))["spec"]["rules"][1]
    assert before != (await here.get(HTTPROUTES, "waf"))["spec"]
    await here.says("Reject")
    await here.steps(2)
    status = await here.status()
    concluded = condition(status, "Concluded")
    assert (status["verdict"], concluded["reason"], status["run"]["cause"]) == ("Promote", "Promote", "VerdictReached")
    assert here.service.concluded >= 1
    events = await here.admin.list(EVENTS, here.namespace)
    assert len([event for event in events if event["reason"] == "Concluded"]) == 1


async def test_a_change_of_the_spec_counts_anew_in_another_file(here: World) -> None:
    """The pod is replaced; the file of the spec before goes once no pod reads it."""
    await here.up()
    await here.says("Hold")
    await here.steps(1)
    await here.apply(activeDeadline="48h")
    assert await here.steps(2) == "RollingOut"
    assert len(await files(here)) == 2
    assert "cells" not in await here.status()
    await here.pod_runs()
    await here.says("Inconclusive")
    assert await here.steps(3) == "Collecting"
    assert len(await files(here)) == 1
    assert (await here.status())["run"]["generation"] == 2


async def test_another_writer_of_the_route_is_never_overwritten(here: World) -> None:
    """Between the look and the write the user changes the route: the write fails, and the next pass sees it all."""
    await here.up()
    await here.says("Promote")
    route = await here.get(HTTPROUTES, "waf")
    asked = here.service.evaluation

    async def meanwhile(address: str, token: str) -> Any:
        route["spec"]["rules"][1]["matches"] = [{"path": {"type": "PathPrefix", "value": "/new"}}]
        await here.admin.update(HTTPROUTES, route)
        return await asked(address, token)

    here.service.evaluation = meanwhile  # type: ignore[method-assign]
    with pytest.raises(Conflict):
        await here.step()
    here.service.evaluation = asked  # type: ignore[method-assign]
    await here.steps(1)
    rules = (await here.get(HTTPROUTES, "waf"))["spec"]["rules"]
    assert rules[1]["matches"] == [{"path": {"type": "PathPrefix", "value": "/new"}}]
    assert await here.filters() == [["RequestHeaderModifier"], []]


async def test_a_deletion_leaves_the_route_as_it_was_and_owns_all_else(here: World) -> None:
    """What is left has an owner reference, so that it goes with the evaluation."""
    await here.up()
    finalizers = {"metadata": {"finalizers": ["chaffinch.dev/finalizer"]}}
    await here.admin.patch(SHADOWEVALUATIONS, NAME, here.namespace, finalizers)
    await here.admin.delete(SHADOWEVALUATIONS, NAME, here.namespace)
    assert (await here.step()).finished is False
    assert (await here.step()).finished is True
    assert await here.filters() == [["RequestHeaderModifier"], []]
    for resource in (DEPLOYMENTS, STATEFULSETS, CRONJOBS, CONFIGMAPS, JOBS, SERVICES):
        ours = await here.admin.list(resource, here.namespace, labels=f"chaffinch.dev/evaluation={NAME}")
        assert ours
        assert all(o["metadata"]["ownerReferences"][0]["kind"] == "ShadowEvaluation" for o in ours)


async def test_a_replay_is_one_indexed_job_and_ends_with_it(here: World) -> None:
    """Its shards are told; the last look is after the last of them."""
    await here.up(traffic=REPLAY, hypothesis={"design": "FixedN"})
    await here.says("Hold")
    assert await here.steps(2) == "Collecting"
    job = await here.get(JOBS, f"{NAME}-replay-1")
    assert (job["spec"]["completionMode"], job["spec"]["completions"]) == ("Indexed", 3)
    assert "verdict" not in await here.status()
    await here.ended("replay")
    assert await here.steps(1) == "Finishing"
    here.later(seconds=10)
    assert await here.steps(1) == "Concluded"
    status = await here.status()
    assert (status["verdict"], status["shards"]) == ("Hold", {"total": 3, "done": 3})


async def test_a_canary_starts_once_its_target_has_the_candidate(here: World) -> None:
    """Not for another template; its suspension is lifted once, and stays a person's to set again."""
    await here.up(actions=START)
    await here.rollout()
    await here.says("Promote")
    assert await here.steps(2) == "Concluded"
    assert "does not have the candidate's template" in condition(await here.status(), "CanaryStarted")["message"]
    assert (await here.get(CANARYROLLOUTS, "waf"))["spec"]["suspend"] is True
    await here.admin.apply(DEPLOYMENTS, here.here(deployment("waf", "waf-next:1", held=True)))
    await here.steps(2)
    assert (await here.get(CANARYROLLOUTS, "waf"))["spec"]["suspend"] is False
    assert condition(await here.status(), "CanaryStarted")["status"] == "True"
    await here.rollout()
    await here.steps(2)
    assert (await here.get(CANARYROLLOUTS, "waf"))["spec"]["suspend"] is True


async def files(here: World) -> list[Any]:
    """ConfigMaps of the evaluation."""
    return await here.admin.list(CONFIGMAPS, here.namespace, labels=f"chaffinch.dev/evaluation={NAME}")


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    """A condition by its type."""
    return next(dict(each) for each in status["conditions"] if each["type"] == kind)
