"""Whole operator processes against a real API server: leading, following, finalizers, kill -9."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaffinch_operator.kube import CANARYROLLOUTS, LEASES, Kube, Resource
from chaffinch_operator.resources import MUTATING_POLICIES
from cluster.apiserver import ApiServer
from integration.core.processes import REAL, ROOT, STUB, Process, start
from integration.core.server import OPERATOR, Kubectl, Object, deployment, in_namespace, rollout, service, until

pytestmark = pytest.mark.apiserver
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap")
FINALIZER = "chaffinch.dev/finalizer"
Start = Callable[..., Process]


@pytest.fixture
def operator(api_with_crd: ApiServer, namespace: str, tmp_path: Path) -> Iterator[Start]:
    """Start operators that look after this test's namespace only, with a Lease of their own."""
    started: list[Process] = []

    def one(identity: str, program: tuple[str, ...] = STUB, kubeconfig: Path | None = None, **settings: str) -> Process:
        process = start(
            program,
            identity,
            kubeconfig or api_with_crd.kubeconfig,
            tmp_path,
            {
                "POD_NAMESPACE": namespace,
                "CHAFFINCH_WATCH_NAMESPACES": namespace,
                "CHAFFINCH_USERNAME": OPERATOR,
                "CHAFFINCH_RESYNC_SECONDS": "0.5",
                **settings,
            },
        )
        started.append(process)
        return process

    yield one
    for process in started:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.wait(10)


async def ended(process: Process, seconds: float) -> int:
    """Exit status of a process that ends in that time."""

    async def look() -> list[int]:
        status = process.popen.poll()
        return [] if status is None else [status]

    return (await until(look, seconds))[0]


async def holder(kube: Kube, namespace: str) -> str:
    """Who holds the Lease."""
    lease = await kube.get(LEASES, "chaffinch-operator", namespace)
    return str((lease or {}).get("spec", {}).get("holderIdentity") or "")


async def read(kube: Kube, namespace: str) -> Object:
    """The CanaryRollout."""
    found = await kube.get(CANARYROLLOUTS, "web", namespace)
    assert found is not None
    return found


async def guarded(kube: Kube, namespace: str) -> Object:
    """The CanaryRollout once it has its finalizer."""

    async def look() -> Object:
        found = await read(kube, namespace)
        return found if found["metadata"].get("finalizers") == [FINALIZER] else {}

    return await until(look)


async def test_it_gets_ready_and_serves_its_metrics(operator: Start) -> None:
    """CRD there, hold installed, first look done."""
    process = operator("a")
    await until(process.ready_leader)
    assert process.get("/healthz") == (200, "leader: ok\n")
    page = process.get("/metrics")[1]
    assert "chaffinch_leader 1.0" in page
    assert "chaffinch_hold_installed 1.0" in page


async def test_kopf_writes_the_finalizer_and_nothing_else(
    kube: Kube, namespace: str, kubectl: Kubectl, operator: Start
) -> None:
    """Not at first sight, not at rest, however often it looks again."""
    kubectl.apply(rollout(), "--server-side")
    process = operator("a")
    first = await guarded(kube, namespace)
    await until(process.ready_leader)
    assert [entry["fieldsV1"] for entry in first["metadata"]["managedFields"] if entry["manager"] == "kopf"] == [
        {"f:metadata": {"f:finalizers": {".": {}, f'v:"{FINALIZER}"': {}}}}
    ]

    async def looked_ten_times() -> bool:
        lines = [
            line
            for line in process.get("/metrics")[1].splitlines()
            if line.startswith('chaffinch_reconcile_total{kind="CanaryRollout",result="ok"}')
        ]
        return bool(lines) and float(lines[0].split()[-1]) >= 10

    await until(looked_ten_times)
    assert await read(kube, namespace) == first


async def test_a_deletion_waits_for_the_cleanup_and_then_is_quick(
    kube: Kube, namespace: str, kubectl: Kubectl, operator: Start
) -> None:
    """The finalizer goes when the slice says that it has finished."""
    kubectl.apply(rollout())
    process = operator("a")
    await until(process.ready_leader)
    await guarded(kube, namespace)
    kubectl("delete", "canaryrollout", "web", "--wait=false")
    await kube.create(CONFIGMAPS, {"metadata": {"name": "unrelated", "namespace": namespace}})
    assert (await read(kube, namespace))["metadata"]["finalizers"] == [FINALIZER]
    await kube.create(CONFIGMAPS, {"metadata": {"name": "finish", "namespace": namespace}})

    async def gone() -> bool:
        return await kube.get(CANARYROLLOUTS, "web", namespace) is None

    await until(gone, 10)
    assert await kube.get(CONFIGMAPS, "cleaned-a", namespace) is not None


@pytest.mark.parametrize("how", ["SIGTERM", "kill -9"])
async def test_a_cleanup_that_was_interrupted_is_finished_by_the_next_process(
    kube: Kube, namespace: str, kubectl: Kubectl, operator: Start, how: str
) -> None:
    """The finalizer is never taken off by a process that exits, nor at first sight by the next one."""
    kubectl.apply(rollout())
    first = operator("a")
    await until(first.ready_leader)
    await guarded(kube, namespace)
    kubectl("delete", "canaryrollout", "web", "--wait=false")
    if how == "SIGTERM":
        first.popen.terminate()
        assert await ended(first, 15) == 0, first.log.read_text()
    else:
        first.popen.kill()
        await ended(first, 5)
    assert (await read(kube, namespace))["metadata"]["finalizers"] == [FINALIZER]
    await kube.create(CONFIGMAPS, {"metadata": {"name": "finish", "namespace": namespace}})
    second = operator("b")

    async def gone() -> bool:
        return await kube.get(CANARYROLLOUTS, "web", namespace) is None

    await until(gone)
    assert await kube.get(CONFIGMAPS, "cleaned-b", namespace) is not None
    await until(second.ready_leader)


async def test_a_rollout_that_comes_later_is_looked_after(
    kube: Kube, namespace: str, kubectl: Kubectl, operator: Start
) -> None:
    """And one that loses its finalizer by hand and is deleted leaves nothing behind."""
    process = operator("a")
    await until(process.ready_leader)
    kubectl.apply(rollout())
    await guarded(kube, namespace)
    kubectl("delete", "canaryrollout", "web", "--wait=false")
    kubectl("patch", "canaryrollout", "web", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')

    async def forgotten() -> bool:
        return 'chaffinch_objects{kind="CanaryRollout"} 0.0' in process.get("/metrics")[1]

    await until(forgotten)


async def test_a_leader_that_is_killed_is_followed_within_twenty_seconds(
    kube: Kube, namespace: str, operator: Start
) -> None:
    """By the one that stood by."""
    first = operator("a")
    await until(first.ready_leader)
    second = operator("b")
    await until(second.standing_by)
    first.popen.kill()
    killed = time.monotonic()
    await until(second.ready_leader, 30)
    assert time.monotonic() - killed < 20
    assert await holder(kube, namespace) == "b"


async def test_a_leader_that_is_stopped_hands_over_at_once(kube: Kube, namespace: str, operator: Start) -> None:
    """It gives the Lease back: the other need not wait for it to run out."""
    first = operator("a")
    await until(first.ready_leader)
    second = operator("b")
    await until(second.standing_by)
    first.popen.terminate()
    asked = time.monotonic()
    assert await ended(first, 15) == 0, first.log.read_text()
    await until(second.ready_leader, 15)
    assert time.monotonic() - asked < 10
    assert await holder(kube, namespace) == "b"


async def test_a_standby_that_is_stopped_leaves_the_lease_alone(kube: Kube, namespace: str, operator: Start) -> None:
    """And ends at once."""
    first = operator("a")
    await until(first.ready_leader)
    second = operator("b")
    await until(second.standing_by)
    second.popen.terminate()
    assert await ended(second, 5) == 0
    assert await holder(kube, namespace) == "a"


async def test_a_leader_that_lost_the_lease_ends_its_process(kube: Kube, namespace: str, operator: Start) -> None:
    """At its next renewal, with status 1, and without a word to the API server."""
    process = operator("a")
    await until(process.ready_leader)
    await kube.patch(LEASES, "chaffinch-operator", namespace, {"spec": {"holderIdentity": "thief"}})
    assert await ended(process, 10) == 1
    assert "lease_lost" in process.log.read_text()
    assert await holder(kube, namespace) == "thief"


async def test_a_policy_that_was_deleted_comes_back(kube: Kube, operator: Start) -> None:
    """When the next process starts, at the latest within a minute."""
    await kube.delete(MUTATING_POLICIES, "chaffinch-keep-stable-selector")
    await until(operator("a").ready_leader)
    assert await kube.get(MUTATING_POLICIES, "chaffinch-keep-stable-selector") is not None


async def test_with_exactly_its_rights_it_works(
    api_with_crd: ApiServer, kube: Kube, kubectl: Kubectl, namespace: str, operator: Start
) -> None:
    """The real process as the installed service account: ready, finalizer on, status written, deleted again."""
    system = Kubectl(kubectl.program, kubectl.kubeconfig, "chaffinch-system")
    answer = system("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "manifests/overlays/default"))
    assert answer.code == 0, answer.text
    groups = ["system:serviceaccounts", "system:serviceaccounts:chaffinch-system", "system:authenticated"]
    process = operator(
        "a",
        REAL,
        api_with_crd.kubeconfig_for(OPERATOR, groups),
        POD_NAMESPACE="chaffinch-system",
        CHAFFINCH_USERNAME="",
    )
    for obj in (deployment(), service(), rollout()):
        kubectl.apply(obj)
    await until(process.ready_leader)

    async def reported() -> bool:
        return bool((await read(kube, namespace)).get("status", {}).get("conditions"))

    await until(reported)
    await kube.apply(CANARYROLLOUTS, in_namespace(rollout(), namespace), manager="user")
    answer = kubectl("delete", "canaryrollout", "web", "--timeout=30s")
    assert answer.code == 0, answer.text + process.log.read_text()
    log = process.log.read_text()
    assert "forbidden" not in log.lower(), log


async def test_it_waits_for_the_crd_and_ends_when_that_goes(tmp_path: Path) -> None:
    """Before: alive, not ready, and it says why. After: status 1 and the Lease given back, so that a new one waits."""
    with ApiServer() as api:
        kubectl = Kubectl(api.kubectl, api.kubeconfig, "default")
        process = start(STUB, "a", api.kubeconfig, tmp_path, {"POD_NAMESPACE": "default"})

        async def waiting() -> bool:
            kinds = [f"{kind}.chaffinch.dev" for kind in ("canaryrollouts", "creditsledgers", "shadowevaluations")]
            missing = f"{kinds[0]}, {kinds[1]} and {kinds[2]} are not served"
            return missing in process.get("/readyz")[1]

        try:
            await until(waiting)
            assert process.get("/healthz")[0] == 200
            kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
            await until(process.ready_leader)
            kubectl("delete", "crd", "canaryrollouts.chaffinch.dev")
            assert await ended(process, 30) == 1
        finally:
            process.popen.kill()
            process.popen.wait(10)
        assert "watches_failed" in process.log.read_text()
        async with Kube.connect(api.kubeconfig) as kube:
            assert await holder(kube, "default") == ""
