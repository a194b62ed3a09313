"""Isolation by policy: the selector is narrowed and widened while it stays the user's own field."""

import pytest

from chaffinch_operator.kube import CANARYROLLOUTS, SERVICES, Kube
from chaffinch_operator.names import ANNOTATION_ISOLATED
from integration.core.server import Kubectl, Object, deployment, in_namespace, rollout, service, until

pytestmark = pytest.mark.apiserver
NARROW = {"app": "web", "pod-template-hash": "h1"}
WIDE = {"app": "web"}
SSA = ("--server-side",)


async def touch(kube: Kube, namespace: str, annotation: str | None) -> Object:
    """What the operator writes: an annotation and nothing else."""
    notes = {"annotations": {ANNOTATION_ISOLATED: annotation}} if annotation else {}
    return await kube.apply(SERVICES, {"metadata": {"name": "web", "namespace": namespace, **notes}})


async def set_hash(kube: Kube, namespace: str, value: str) -> None:
    """What the operator records first."""
    await kube.patch(CANARYROLLOUTS, "web", namespace, {"status": {"isolatedHash": value}}, subresource="status")


async def isolate(kube: Kube, namespace: str, value: str = "h1") -> None:
    """Record, then touch until the policy has seen the record."""
    await set_hash(kube, namespace, value)

    async def narrowed() -> bool:
        answer = await touch(kube, namespace, "web")
        return bool(answer["spec"]["selector"].get("pod-template-hash") == value)

    await until(narrowed)


async def release(kube: Kube, namespace: str) -> None:
    """Clear the record, then drop the annotation until the policy has seen that."""
    await set_hash(kube, namespace, "")

    async def widened() -> bool:
        if "pod-template-hash" not in (await touch(kube, namespace, None))["spec"]["selector"]:
            return True
        await touch(kube, namespace, "web")
        return False

    await until(widened)


def owners(obj: Object) -> list[str]:
    """Field managers of the selector."""
    return sorted(
        entry["manager"]
        for entry in obj["metadata"]["managedFields"]
        if "f:selector" in entry["fieldsV1"].get("f:spec", {})
    )


async def selector(kube: Kube, namespace: str) -> dict[str, str]:
    """The selector as it is."""
    found = await kube.get(SERVICES, "web", namespace)
    assert found is not None
    labels: dict[str, str] = found["spec"]["selector"]
    return labels


@pytest.fixture(params=[SSA, ()], ids=["server-side", "client-side"])
def flags(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """How the user applies."""
    given: tuple[str, ...] = request.param
    return given


@pytest.fixture
async def shop(kube: Kube, kubectl: Kubectl, held: str, flags: tuple[str, ...]) -> str:
    """A held namespace with Deployment, Service and CanaryRollout, applied by the user."""
    for obj in (deployment(), service(), rollout()):
        answer = kubectl.apply(obj, *flags)
        assert answer.code == 0, answer.text
    return held


async def test_touching_an_annotation_narrows_the_selector(kube: Kube, shop: str) -> None:
    """In that very write; the selector's owner stays the user, and only the user."""
    await isolate(kube, shop)
    found = await kube.get(SERVICES, "web", shop)
    assert found is not None
    assert found["spec"]["selector"] == NARROW
    assert len(owners(found)) == 1
    assert owners(found)[0].startswith("kubectl")


async def test_the_user_meets_no_conflict_while_isolated(
    kube: Kube, kubectl: Kubectl, shop: str, flags: tuple[str, ...]
) -> None:
    """Applying the same, or another port: taken, and the selector stays narrow."""
    await isolate(kube, shop)
    for port in (8080, 9090):
        answer = kubectl.apply(service(port=port), *flags)
        assert answer.code == 0, answer.text
        assert await selector(kube, shop) == NARROW


async def test_the_user_sees_no_difference_while_isolated(
    kube: Kube, kubectl: Kubectl, shop: str, flags: tuple[str, ...]
) -> None:
    """Kubectl diff is empty, as Git shows no drift."""
    await isolate(kube, shop)
    answer = kubectl.diff(service(), *flags)
    assert answer.code == 0, answer.text


async def test_who_applies_server_side_may_compare_either_way(kube: Kube, kubectl: Kubectl, held: str) -> None:
    """Both modes of kubectl diff are empty."""
    for obj in (service(), rollout()):
        kubectl.apply(obj, *SSA)
    await isolate(kube, held)
    for flags in ((), SSA):
        answer = kubectl.diff(service(), *flags)
        assert answer.code == 0, answer.text


async def test_a_new_stable_hash_replaces_the_old_one(kube: Kube, shop: str) -> None:
    """By the same touch."""
    await isolate(kube, shop)
    await isolate(kube, shop, "h2")
    assert await selector(kube, shop) == {"app": "web", "pod-template-hash": "h2"}


async def test_dropping_the_annotation_widens_the_selector(kube: Kube, shop: str) -> None:
    """And leaves nothing of ours: no field, no annotation."""
    await isolate(kube, shop)
    await release(kube, shop)
    found = await kube.get(SERVICES, "web", shop)
    assert found is not None
    assert found["spec"]["selector"] == WIDE
    assert ANNOTATION_ISOLATED not in (found["metadata"].get("annotations") or {})
    assert "chaffinch-canary" not in {entry["manager"] for entry in found["metadata"]["managedFields"]}


async def test_after_the_release_the_user_may_change_the_selector(
    kube: Kube, kubectl: Kubectl, shop: str, flags: tuple[str, ...]
) -> None:
    """Without force: nobody else owns it."""
    await isolate(kube, shop)
    await release(kube, shop)
    answer = kubectl.diff(service(), *flags)
    assert answer.code == 0, answer.text
    answer = kubectl.apply(service(app="shop"), *flags)
    assert answer.code == 0, answer.text
    assert await selector(kube, shop) == {"app": "shop"}


async def test_a_patch_of_ours_would_take_the_selector_over(kube: Kube, kubectl: Kubectl, held: str) -> None:
    """Why the policy widens it: after a removal by patch, the user's next change of the selector is a conflict."""
    for obj in (service(), rollout()):
        kubectl.apply(obj, *SSA)
    await isolate(kube, held)
    await set_hash(kube, held, "")

    async def removed() -> bool:
        answer = await kube.patch(SERVICES, "web", held, {"spec": {"selector": {"pod-template-hash": None}}})
        return "pod-template-hash" not in answer["spec"]["selector"]

    await until(removed)
    answer = kubectl.apply(service(app="shop"), *SSA)
    assert answer.code != 0
    assert "chaffinch-canary" in answer.text


async def test_a_service_made_anew_while_isolated_is_narrow_at_once(kube: Kube, kubectl: Kubectl, shop: str) -> None:
    """Somebody deleted and applied it: no request reaches a canary by accident."""
    await isolate(kube, shop)
    assert kubectl("delete", "service", "web").code == 0
    assert kubectl.apply(service()).code == 0
    assert await selector(kube, shop) == NARROW


async def test_other_services_are_not_narrowed(kube: Kube, kubectl: Kubectl, shop: str) -> None:
    """Only the rollout's own."""
    await isolate(kube, shop)
    assert kubectl.apply(service("other")).code == 0
    found = await kube.get(SERVICES, "other", shop)
    assert found is not None
    assert found["spec"]["selector"] == WIDE


async def test_a_key_of_that_name_which_is_the_users_own_stays(kube: Kube, kubectl: Kubectl, held: str) -> None:
    """Only what carries our annotation is widened."""
    own = service()
    own["spec"]["selector"] = {"app": "web", "pod-template-hash": "mine"}
    for obj in (rollout(), own):
        assert kubectl.apply(obj).code == 0
    assert kubectl("label", "service", "web", "a=b").code == 0
    assert await selector(kube, held) == own["spec"]["selector"]


async def test_a_service_without_selector_is_not_refused(kube: Kube, kubectl: Kubectl, held: str) -> None:
    """Nothing to narrow is no error."""
    bare = in_namespace(service(), held)
    del bare["spec"]["selector"]
    for obj in (rollout(), bare):
        assert kubectl.apply(obj).code == 0
    await set_hash(kube, held, "h1")
    for number in range(5):
        assert kubectl("label", "--overwrite", "service", "web", f"n={number}").code == 0
