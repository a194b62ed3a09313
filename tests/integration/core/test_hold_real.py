"""The hold on a real API server: what it holds, what it leaves alone, who may release."""

import copy
import json

import pytest

from chaffinch_operator.canary import hold
from chaffinch_operator.canary.hold_keeper import HoldKeeper, HoldState
from chaffinch_operator.kube import CANARYROLLOUTS, DEPLOYMENTS, MUTATING_POLICIES, Kube
from chaffinch_operator.settings import Settings
from integration.core.server import Kubectl, Object, deployment, in_namespace, rollout, until

pytestmark = pytest.mark.apiserver


@pytest.fixture
async def shop(kube: Kube, held: str) -> str:
    """A held namespace with a released Deployment `web`, its CanaryRollout, and a Deployment `other` that has none."""
    for name in ("web", "other"):
        await kube.apply(DEPLOYMENTS, in_namespace(deployment(name), held), manager="setup")
    await kube.apply(CANARYROLLOUTS, in_namespace(rollout(), held), manager="user")

    async def in_force() -> bool:
        answer = await kube.apply(DEPLOYMENTS, in_namespace(deployment(version="probe"), held), dry_run=True)
        return bool(answer["spec"].get("paused"))

    await until(in_force)
    return held


async def read(kube: Kube, namespace: str, name: str = "web") -> Object:
    """The spec of a Deployment."""
    found = await kube.get(DEPLOYMENTS, name, namespace)
    assert found is not None
    spec: Object = found["spec"]
    return spec


def version(spec: Object) -> str:
    """The version in the template."""
    return str(spec["template"]["spec"]["containers"][0]["env"][0]["value"])


NEW = {"spec": {"template": {"spec": {"containers": [{"name": "c", "env": [{"name": "V", "value": "2"}]}]}}}}


@pytest.mark.parametrize(
    "how", ["client-side apply", "server-side apply", "patch", "patch that un-pauses", "set image", "rollout restart"]
)
async def test_a_new_template_is_paused_in_the_write_that_brings_it(
    kube: Kube, kubectl: Kubectl, shop: str, how: str
) -> None:
    """However it comes; at no moment is the new template unpaused."""
    before = (await read(kube, shop))["template"]
    unpausing = {"spec": {**NEW["spec"], "paused": False}}
    answer = {
        "client-side apply": lambda: kubectl.apply(deployment(version="2")),
        "server-side apply": lambda: kubectl.apply(deployment(version="2"), "--server-side", "--force-conflicts"),
        "patch": lambda: kubectl("patch", "deployment", "web", "-p", json.dumps(NEW)),
        "patch that un-pauses": lambda: kubectl("patch", "deployment", "web", "-p", json.dumps(unpausing)),
        "set image": lambda: kubectl("set", "image", "deployment/web", "c=app:2"),
        "rollout restart": lambda: kubectl("rollout", "restart", "deployment/web"),
    }[how]()
    assert answer.code == 0, answer.text
    spec = await read(kube, shop)
    assert spec["template"] != before
    assert spec["paused"] is True


async def test_git_shows_no_drift(kubectl: Kubectl, shop: str) -> None:
    """The manifest that was applied and held is equal to what is live, in both ways of comparing."""
    new = deployment(version="2")
    assert kubectl.apply(new, "--server-side", "--force-conflicts").code == 0
    for flags in ((), ("--server-side",)):
        answer = kubectl.diff(new, *flags)
        assert answer.code == 0, answer.text


@pytest.mark.parametrize(
    "change", [{"metadata": {"labels": {"a": "b"}}}, {"spec": {"replicas": 5}}], ids=["labels", "replicas"]
)
async def test_other_changes_of_the_target_are_not_held(
    kube: Kube, kubectl: Kubectl, shop: str, change: Object
) -> None:
    """Only the template is unproven."""
    assert kubectl("patch", "deployment", "web", "-p", json.dumps(change)).code == 0
    assert "paused" not in await read(kube, shop)


async def test_scaling_goes_on_while_held(kube: Kube, kubectl: Kubectl, shop: str) -> None:
    """Autoscalers write to the scale subresource, which no policy matches."""
    kubectl("patch", "deployment", "web", "-p", json.dumps(NEW))
    answer = kubectl("scale", "deployment", "web", "--replicas=7")
    assert answer.code == 0, answer.text
    spec = await read(kube, shop)
    assert (spec["replicas"], spec["paused"]) == (7, True)


async def test_the_deployment_controllers_status_is_not_touched(kube: Kube, kubectl: Kubectl, shop: str) -> None:
    """Nor refused."""
    kubectl("patch", "deployment", "web", "-p", json.dumps(NEW))
    await kube.patch(DEPLOYMENTS, "web", shop, {"status": {"replicas": 2, "readyReplicas": 2}}, subresource="status")
    found = await kube.get(DEPLOYMENTS, "web", shop)
    assert found is not None
    assert found["status"]["readyReplicas"] == 2


async def test_a_deployment_without_a_rollout_is_left_alone(kube: Kube, kubectl: Kubectl, shop: str) -> None:
    """In the same namespace."""
    assert kubectl.apply(deployment("other", version="2"), "--server-side", "--force-conflicts").code == 0
    assert "paused" not in await read(kube, shop, "other")


async def test_a_namespace_without_the_label_is_left_alone(
    kube: Kube, kubectl: Kubectl, namespace: str, hold_installed: HoldState
) -> None:
    """Even with a rollout in it: the operator labels the namespace first."""
    assert hold_installed.installed
    for obj in (deployment(), rollout(), deployment(version="2")):
        assert kubectl.apply(obj, "--server-side").code == 0
    assert "paused" not in await read(kube, namespace)


async def test_a_labelled_namespace_without_rollouts_is_left_alone(kube: Kube, kubectl: Kubectl, held: str) -> None:
    """The label alone holds nothing."""
    for obj in (deployment(), deployment(version="2")):
        assert kubectl.apply(obj, "--server-side").code == 0
    assert "paused" not in await read(kube, held)


@pytest.mark.parametrize(
    "how",
    [
        ("rollout", "resume", "deployment/web"),
        ("patch", "deployment", "web", "-p", '{"spec": {"paused": null}}'),
        ("patch", "deployment", "web", "-p", '{"spec": {"paused": false}}'),
    ],
)
async def test_a_held_target_is_not_released_by_hand(
    kube: Kube, kubectl: Kubectl, shop: str, how: tuple[str, ...]
) -> None:
    """The refusal names the rollout and the way out, ready to be pasted."""
    kubectl("patch", "deployment", "web", "-p", json.dumps(NEW))
    answer = kubectl(*how)
    assert answer.code != 0
    assert f"kubectl chaffinch promote web --force -n {shop}" in answer.text
    assert (await read(kube, shop))["paused"] is True


async def test_the_operator_releases_it(kube: Kube, kubectl: Kubectl, as_operator: Kubectl, shop: str) -> None:
    """By its account and no other."""
    kubectl("patch", "deployment", "web", "-p", json.dumps(NEW))
    answer = as_operator("rollout", "resume", "deployment/web")
    assert answer.code == 0, answer.text
    spec = await read(kube, shop)
    assert (version(spec), "paused" in spec) == ("2", False)


async def test_a_deployment_that_a_person_paused_can_be_resumed_without_a_rollout(kubectl: Kubectl, shop: str) -> None:
    """Only targets are guarded."""
    assert kubectl("rollout", "pause", "deployment/other").code == 0
    assert kubectl("rollout", "resume", "deployment/other").code == 0


async def test_without_its_rollout_a_deployment_is_free(kube: Kube, kubectl: Kubectl, shop: str) -> None:
    """Removing Chaffinch leaves a plain Deployment, which anybody may resume."""
    kubectl("patch", "deployment", "web", "-p", json.dumps(NEW))
    await kube.delete(CANARYROLLOUTS, "web", shop)

    async def resumed() -> bool:
        return kubectl("rollout", "resume", "deployment/web").code == 0

    assert await until(resumed)


async def test_the_keeper_finds_nothing_to_do_when_all_is_well(kube: Kube, hold_installed: HoldState) -> None:
    """What the API server filled in is no difference: no write."""
    assert hold_installed.installed
    assert (await HoldKeeper(kube, Settings()).ensure()).installed
    assert not kube.writes


async def test_the_keeper_repairs_a_policy_that_was_weakened(kube: Kube, hold_installed: HoldState) -> None:
    """Also when something was only added; and writes that one object only."""
    assert hold_installed.installed
    live = await kube.get(MUTATING_POLICIES, hold.KEEP_SELECTOR)
    assert live is not None
    original = copy.deepcopy(live["spec"])
    conditions = [*original["matchConditions"], {"name": "never", "expression": "false"}]
    await kube.patch(MUTATING_POLICIES, hold.KEEP_SELECTOR, None, {"spec": {"matchConditions": conditions}})
    kube.writes.clear()
    assert (await HoldKeeper(kube, Settings()).ensure()).installed
    assert kube.writes == {("patch", MUTATING_POLICIES.name): 1}
    repaired = await kube.get(MUTATING_POLICIES, hold.KEEP_SELECTOR)
    assert repaired is not None
    assert repaired["spec"] == original


async def test_the_label_of_a_namespace_comes_and_goes(kube: Kube, namespace: str, kubectl: Kubectl) -> None:
    """With the first rollout and the last; nothing is written twice."""
    keeper = HoldKeeper(kube, Settings())
    kubectl.apply(rollout())
    kube.writes.clear()
    for _ in range(2):
        await keeper.label_namespace(namespace)
        await keeper.unlabel_if_last(namespace)
    assert kube.writes == {("patch", "namespaces"): 1}
    await kube.delete(CANARYROLLOUTS, "web", namespace)
    for _ in range(2):
        await keeper.unlabel_if_last(namespace)
    assert kube.writes["patch", "namespaces"] == 2
