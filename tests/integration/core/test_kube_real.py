"""The door to the API server, against a real one."""

import asyncio
from typing import Any

import pytest

from chaffinch_operator.errors import Conflict, InvalidObject, KindMissing, NotFound, Refused
from chaffinch_operator.kube import (
    CANARYROLLOUTS,
    DEPLOYMENTS,
    EVENTS,
    HTTPROUTES,
    LEASES,
    MUTATING_POLICIES,
    NAMESPACES,
    PODS,
    REPLICASETS,
    SERVICES,
    VALIDATING_POLICIES,
    Kube,
    Resource,
)
from cluster.apiserver import ApiServer
from integration.core.server import deployment, in_namespace, rollout, service

pytestmark = pytest.mark.apiserver


def config_map(name: str, namespace: str, **data: str) -> dict[str, Any]:
    """A small object."""
    return {"metadata": {"name": name, "namespace": namespace, "labels": {"a": "b"}}, "data": data}


CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap")


@pytest.mark.parametrize(
    "resource",
    [
        CANARYROLLOUTS,
        DEPLOYMENTS,
        EVENTS,
        LEASES,
        MUTATING_POLICIES,
        NAMESPACES,
        PODS,
        REPLICASETS,
        SERVICES,
        VALIDATING_POLICIES,
    ],
    ids=lambda resource: resource.plural,
)
async def test_an_object_that_is_not_there_is_none(kube: Kube, namespace: str, resource: Resource) -> None:
    """For every kind we speak to: the address is right, and absence is a value."""
    assert await kube.get(resource, "nobody", namespace) is None


@pytest.mark.parametrize(
    "resource", [HTTPROUTES, Resource("apps", "v1", "nothings", "Nothing")], ids=["no group", "no kind"]
)
async def test_a_kind_that_is_not_served_is_told_from_an_absent_object(
    kube: Kube, namespace: str, resource: Resource
) -> None:
    """In every verb."""
    obj = {"metadata": {"name": "a", "namespace": namespace}}
    for attempt in (
        kube.get(resource, "a", namespace),
        kube.list(resource, namespace),
        kube.apply(resource, obj),
        kube.create(resource, obj),
        kube.delete(resource, "a", namespace),
    ):
        with pytest.raises(KindMissing, match=resource.name):
            await attempt


@pytest.mark.parametrize(
    ("resource", "served"),
    [(CANARYROLLOUTS, True), (PODS, True), (HTTPROUTES, False), (Resource("apps", "v1", "nothings", "Nothing"), False)],
    ids=lambda value: getattr(value, "plural", str(value)),
)
async def test_discovery_says_what_is_served(kube: Kube, resource: Resource, served: bool) -> None:
    """Custom and built-in kinds; a missing group and a missing kind."""
    assert await kube.serves(resource) is served


async def test_writing_where_nothing_is_says_what_is_missing(kube: Kube, namespace: str) -> None:
    """The object, or its namespace."""
    with pytest.raises(NotFound, match="nobody"):
        await kube.patch(SERVICES, "nobody", namespace, {"metadata": {}})
    with pytest.raises(NotFound, match='namespaces "nowhere"'):
        await kube.apply(SERVICES, in_namespace(service(), "nowhere"))


async def test_applying_twice_is_one_change(kube: Kube, namespace: str) -> None:
    """A replayed step changes nothing."""
    first = await kube.apply(DEPLOYMENTS, in_namespace(deployment(), namespace))
    again = await kube.apply(DEPLOYMENTS, in_namespace(deployment(), namespace))
    assert first["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]


async def test_a_dry_run_changes_nothing(kube: Kube, namespace: str) -> None:
    """But answers as if."""
    answer = await kube.apply(DEPLOYMENTS, in_namespace(deployment(), namespace), dry_run=True)
    assert answer["metadata"]["name"] == "web"
    assert await kube.get(DEPLOYMENTS, "web", namespace) is None


async def test_fields_of_others_are_not_taken_without_force(kube: Kube, namespace: str) -> None:
    """The conflict names the other manager."""
    await kube.apply(SERVICES, in_namespace(service(), namespace), manager="argocd")
    with pytest.raises(Conflict, match="argocd"):
        await kube.apply(SERVICES, in_namespace(service(app="other"), namespace), force=False)


async def test_a_write_on_an_old_reading_is_a_conflict(kube: Kube, namespace: str) -> None:
    """Whoever wrote in between is not overwritten, on status neither."""
    old = await kube.apply(CANARYROLLOUTS, in_namespace(rollout(), namespace), manager="user")
    await kube.patch(CANARYROLLOUTS, "web", namespace, {"metadata": {"annotations": {"a": "b"}}})
    fence = {"metadata": {"name": "web", "namespace": namespace, "resourceVersion": old["metadata"]["resourceVersion"]}}
    with pytest.raises(Conflict):
        await kube.apply(CANARYROLLOUTS, {**fence, "status": {"phase": "Idle"}}, subresource="status")


async def test_a_write_to_an_object_made_anew_is_a_conflict(kube: Kube, namespace: str) -> None:
    """The uid fences, too: it never lands on a namesake."""
    obj = {"metadata": {"name": "a", "namespace": namespace, "uid": "00000000-0000-0000-0000-000000000000"}}
    await kube.create(CONFIGMAPS, config_map("a", namespace))
    with pytest.raises(Conflict):
        await kube.apply(CONFIGMAPS, obj)


async def test_a_json_patch_that_does_not_fit_is_a_conflict(kube: Kube, namespace: str) -> None:
    """A failed test, and a path that is not there."""
    await kube.apply(SERVICES, in_namespace(service(), namespace))
    for patch in (
        [{"op": "test", "path": "/spec/selector/app", "value": "other"}],
        [{"op": "remove", "path": "/spec/selector/nothing"}],
    ):
        with pytest.raises(Conflict):
            await kube.patch(SERVICES, "web", namespace, patch)


async def test_malformed_objects_are_named_as_such(kube: Kube, namespace: str) -> None:
    """A bad value, a field that is not in the schema, a CEL rule, a bad JSON patch."""
    bad = in_namespace(service(port=-1), namespace)
    unknown = in_namespace({**service(), "spec": {"foo": 1}}, namespace)
    both = in_namespace(rollout(), namespace)
    both["spec"]["trafficRouting"]["gatewayAPI"] = {"parentRefs": [{"name": "g"}]}
    for resource, obj in ((SERVICES, bad), (SERVICES, unknown), (CANARYROLLOUTS, both)):
        with pytest.raises(InvalidObject):
            await kube.apply(resource, obj)
    await kube.apply(SERVICES, in_namespace(service(), namespace))
    with pytest.raises(InvalidObject):
        await kube.patch(SERVICES, "web", namespace, [{"op": "replace", "path": "/spec/ports/0/port", "value": -1}])


async def test_a_user_without_rights_is_refused(api_with_crd: ApiServer, namespace: str) -> None:
    """With the user, the verb and the resource in the message."""
    async with Kube.connect(api_with_crd.kubeconfig_for("nobody")) as kube:
        with pytest.raises(Refused, match=r'"nobody" cannot get resource "deployments"'):
            await kube.get(DEPLOYMENTS, "web", namespace)


async def test_lists_come_whole_whatever_the_page(kube: Kube, namespace: str) -> None:
    """Seven objects in pages of three, and by label."""
    for number in range(7):
        await kube.create(CONFIGMAPS, config_map(f"c{number}", namespace))
    for limit in (3, 7, 500):
        names = [o["metadata"]["name"] for o in await kube.list(CONFIGMAPS, namespace, labels="a=b", limit=limit)]
        assert names == [f"c{number}" for number in range(7)]
    keys = [key for key in await kube.keys(CONFIGMAPS, namespace, limit=3) if key[1] != "kube-root-ca.crt"]
    assert keys == [(namespace, f"c{number}") for number in range(7)]
    assert await kube.list(CONFIGMAPS, namespace, labels="a=c") == []
    assert len(await kube.list(CONFIGMAPS, namespace, fields="metadata.name=c3")) == 1


async def test_creating_twice_is_told(kube: Kube, namespace: str) -> None:
    """The second time: None, and the first stays."""
    assert await kube.create(CONFIGMAPS, config_map("a", namespace, k="1")) is not None
    assert await kube.create(CONFIGMAPS, config_map("a", namespace, k="2")) is None
    found = await kube.get(CONFIGMAPS, "a", namespace)
    assert found is not None
    assert found["data"] == {"k": "1"}


async def test_deleting_is_bound_to_the_uid(kube: Kube, namespace: str) -> None:
    """A namesake stays; the one meant goes; a second time there is none."""
    created = await kube.create(CONFIGMAPS, config_map("a", namespace))
    assert created is not None
    assert await kube.delete(CONFIGMAPS, "a", namespace, uid="00000000-0000-0000-0000-000000000000") is False
    assert await kube.delete(CONFIGMAPS, "a", namespace, uid=created["metadata"]["uid"]) is True
    assert await kube.delete(CONFIGMAPS, "a", namespace) is False


async def test_a_watch_tells_what_is_and_what_becomes(kube: Kube, namespace: str) -> None:
    """First what there is, then every change, until the server ends it."""
    await kube.create(CONFIGMAPS, config_map("a", namespace))
    seen: list[str] = []

    async def look() -> None:
        async for kind, obj in kube.watch(CONFIGMAPS, namespace, fields="metadata.name=a", timeout=60):
            seen.append(f"{kind} {obj.get('data', {}).get('k', '')}".strip())
            if len(seen) == 1:
                await kube.apply(CONFIGMAPS, config_map("b", namespace))
                await kube.apply(CONFIGMAPS, config_map("a", namespace, k="1"))
            elif kind == "MODIFIED":
                await kube.delete(CONFIGMAPS, "a", namespace)
            elif kind == "DELETED":
                return

    async with asyncio.timeout(30):
        await look()
    assert seen == ["ADDED", "MODIFIED 1", "DELETED 1"]


async def test_a_watch_ends_when_its_time_is_over(kube: Kube, namespace: str) -> None:
    """Without an error: the caller watches again."""
    async with asyncio.timeout(30):
        assert [event async for event in kube.watch(CONFIGMAPS, namespace, timeout=1)] == []
