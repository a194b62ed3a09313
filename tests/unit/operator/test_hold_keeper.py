"""The keeper installs, repairs, and otherwise leaves alone."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from chaffinch_operator.canary import hold
from chaffinch_operator.canary.hold_keeper import RECHECK_SECONDS, RETRY_SECONDS, HoldKeeper, HoldState
from chaffinch_operator.errors import Conflict, KindMissing, Refused, Unavailable
from chaffinch_operator.resources import CANARYROLLOUTS, CRDS, MUTATING_POLICIES, NAMESPACES, Resource
from chaffinch_operator.settings import Settings


class Cluster:
    """Objects by resource and name; fills in defaults as the API server does, and counts writes."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.rollouts: list[dict[str, Any]] = []
        self.errors: dict[str, Exception] = {}
        self.writes: list[str] = []
        self.put(
            CRDS,
            {
                "metadata": {"name": hold.CRD_NAME, "uid": "crd"},
                "status": {"conditions": [{"type": "Established", "status": "True"}]},
            },
        )
        self.put(NAMESPACES, {"metadata": {"name": "shop", "labels": {"team": "a"}}})

    def put(self, resource: Resource, obj: dict[str, Any]) -> None:
        """Store an object."""
        stored = copy.deepcopy(obj)
        stored["metadata"].setdefault("resourceVersion", "1")
        if "matchConstraints" in stored.get("spec", {}):
            stored["spec"]["defaulted"] = True
        self.objects[resource.plural, obj["metadata"]["name"]] = stored

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """Read one."""
        self._fail(resource)
        return copy.deepcopy(self.objects.get((resource.plural, name)))

    async def list(self, resource: Resource, namespace: str | None = None) -> list[dict[str, Any]]:
        """Read the rollouts."""
        assert (resource, namespace) == (CANARYROLLOUTS, "shop")
        return self.rollouts

    async def create(self, resource: Resource, obj: dict[str, Any], *, manager: str) -> dict[str, Any] | None:
        """Create one."""
        self._write(resource, manager, f"create {obj['metadata']['name']}")
        self.put(resource, obj)
        return obj

    async def patch(
        self,
        resource: Resource,
        name: str,
        namespace: str | None,
        patch: Any,
        *,
        manager: str,
    ) -> dict[str, Any]:
        """Patch one: the label of a namespace, or the whole of a policy."""
        self._write(resource, manager, f"patch {name}")
        obj = self.objects[resource.plural, name]
        if isinstance(patch, dict):
            obj["metadata"]["labels"] |= patch["metadata"]["labels"]
            obj["metadata"]["labels"] = {k: v for k, v in obj["metadata"]["labels"].items() if v is not None}
            return obj
        assert patch[0] == {"op": "test", "path": "/metadata/resourceVersion", "value": "1"}
        obj["spec"] = patch[-1]["value"]
        return obj

    def _fail(self, resource: Resource) -> None:
        if resource.plural in self.errors:
            raise self.errors[resource.plural]

    def _write(self, resource: Resource, manager: str, what: str) -> None:
        assert manager == "chaffinch-core"
        self._fail(resource)
        self.writes.append(what)


@pytest.fixture
def cluster() -> Cluster:
    """A cluster with our CRD and one namespace."""
    return Cluster()


@pytest.fixture
def keeper(cluster: Cluster) -> HoldKeeper:
    """The keeper under test."""
    return HoldKeeper(cluster, Settings())


async def test_everything_is_installed_once(cluster: Cluster, keeper: HoldKeeper) -> None:
    """The second check writes nothing, whatever the server filled in."""
    state = await keeper.ensure()
    assert (state.installed, state.reason) == (True, "HoldInstalled")
    assert len(cluster.writes) == 6
    await keeper.ensure()
    assert len(cluster.writes) == 6


async def test_policies_come_before_their_bindings(cluster: Cluster, keeper: HoldKeeper) -> None:
    """A binding without its policy would be noise."""
    await keeper.ensure()
    assert [key[0].endswith("bindings") for key in list(cluster.objects)[2:]] == [False] * 3 + [True] * 3


async def test_a_weakened_policy_is_repaired_alone(cluster: Cluster, keeper: HoldKeeper) -> None:
    """Only what differs is written."""
    await keeper.ensure()
    cluster.writes.clear()
    policy = cluster.objects[MUTATING_POLICIES.plural, hold.HOLD_TEMPLATES]
    policy["spec"]["failurePolicy"] = "Ignore"
    assert (await keeper.ensure()).installed
    assert cluster.writes == [f"patch {hold.HOLD_TEMPLATES}"]
    await keeper.ensure()
    assert len(cluster.writes) == 1


async def test_an_old_kubernetes_is_named_as_the_reason(cluster: Cluster, keeper: HoldKeeper) -> None:
    """The condition says which version is needed."""
    cluster.errors[MUTATING_POLICIES.plural] = KindMissing(MUTATING_POLICIES.name)
    state = await keeper.ensure()
    assert (state.installed, state.reason) == (False, "HoldNotInstalled")
    assert "1.36" in state.message


async def test_a_missing_crd_is_named_as_the_reason(cluster: Cluster, keeper: HoldKeeper) -> None:
    """Policies that name an unknown kind would refuse every update."""
    del cluster.objects[CRDS.plural, hold.CRD_NAME]
    state = await keeper.ensure()
    assert not state.installed
    assert "kubectl apply" in state.message
    assert cluster.writes == []


async def test_a_refusal_is_a_state_not_a_crash(cluster: Cluster, keeper: HoldKeeper) -> None:
    """RBAC is missing, say: rollouts do not start, and say why."""
    cluster.errors[MUTATING_POLICIES.plural] = Refused(403, "Forbidden", "cannot get mutatingadmissionpolicies")
    state = await keeper.ensure()
    assert not state.installed
    assert "cannot get mutatingadmissionpolicies" in state.message


@pytest.mark.parametrize("error", [Unavailable("down"), Conflict("changed")])
async def test_an_outage_changes_nothing(cluster: Cluster, keeper: HoldKeeper, error: Exception) -> None:
    """The API server that does not answer still holds."""
    await keeper.ensure()
    cluster.errors[CRDS.plural] = error
    assert (await keeper.ensure()).installed
    assert keeper.state.installed


def test_before_the_first_check_nothing_is_installed(keeper: HoldKeeper) -> None:
    """Unknown counts as not."""
    assert not keeper.state.installed


def test_it_looks_again_and_again(cluster: Cluster, virtually: Callable[[Any], Any]) -> None:
    """Every minute; every few seconds while something is missing."""
    found: list[HoldState] = []
    crd = cluster.objects.pop((CRDS.plural, hold.CRD_NAME))

    def note(state: HoldState) -> None:
        found.append(state)
        if len(found) == 3:
            cluster.objects[CRDS.plural, hold.CRD_NAME] = crd
        if len(found) == 6:
            raise StopAsyncIteration

    async def scenario() -> float:
        import asyncio

        with pytest.raises(StopAsyncIteration):
            await HoldKeeper(cluster, Settings()).run(note)
        return asyncio.get_running_loop().time()

    assert virtually(scenario()) == 3 * RETRY_SECONDS + 2 * RECHECK_SECONDS


async def test_a_namespace_is_labelled_once(cluster: Cluster, keeper: HoldKeeper) -> None:
    """And keeps its other labels."""
    await keeper.label_namespace("shop")
    await keeper.label_namespace("shop")
    assert cluster.writes == ["patch shop"]
    assert cluster.objects[NAMESPACES.plural, "shop"]["metadata"]["labels"] == {
        "team": "a",
        "chaffinch.dev/hold": "enabled",
    }


async def test_the_label_goes_with_the_last_rollout(cluster: Cluster, keeper: HoldKeeper) -> None:
    """Rollouts that are being deleted no longer count."""
    await keeper.label_namespace("shop")
    cluster.rollouts = [{"metadata": {"name": "a", "deletionTimestamp": "t"}}, {"metadata": {"name": "b"}}]
    await keeper.unlabel_if_last("shop")
    assert len(cluster.writes) == 1
    cluster.rollouts.pop()
    await keeper.unlabel_if_last("shop")
    await keeper.unlabel_if_last("shop")
    assert len(cluster.writes) == 2
    assert cluster.objects[NAMESPACES.plural, "shop"]["metadata"]["labels"] == {"team": "a"}
