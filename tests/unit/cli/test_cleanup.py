"""`cleanup`: what is left of a rollout whose operator was uninstalled first."""

import json
from typing import Any

import pytest

from chaffinch_operator.cli.cleanup import without_backends
from chaffinch_operator.errors import KindMissing, Refused
from chaffinch_operator.resources import (
    CANARYROLLOUTS,
    DEPLOYMENTS,
    HTTPROUTES,
    LEASES,
    NAMESPACES,
    PODS,
    SERVICES,
)
from unit.cli.builders import ago, rollout, status
from unit.cli.conftest import Run
from unit.cli.fakes import FakeCluster

FINALIZER = "chaffinch.dev/finalizer"
HASH = "6c5d4f7b9"
CHILD = {"chaffinch.dev/rollout": "checkout"}


def _named(name: str, labels: dict[str, str] | None = None, **meta: Any) -> dict[str, Any]:
    return {"name": name, "namespace": "shop", "labels": labels or {}, **meta}


def _route() -> dict[str, Any]:
    backends = [{"name": "checkout", "weight": 75}, {"name": "checkout-canary", "weight": 25}]
    return {"metadata": _named("checkout", CHILD), "spec": {"rules": [{"backendRefs": backends}]}}


def _abandoned(**meta: Any) -> FakeCluster:
    """A cluster in the middle of a canary, without its operator."""
    finalizers = ["other/finalizer", FINALIZER]
    cluster = FakeCluster(rollout(status=status(isolatedHash=HASH), finalizers=finalizers, **meta))
    cluster.put(NAMESPACES, {"metadata": {"name": "shop", "labels": {"chaffinch.dev/hold": "enabled", "team": "a"}}})
    cluster.put(DEPLOYMENTS, {"metadata": _named("checkout"), "spec": {"paused": True}})
    cluster.put(
        DEPLOYMENTS,
        {
            "metadata": _named("checkout-canary", CHILD),
            "spec": {"selector": {"matchLabels": {"chaffinch.dev/track": "canary", "app": "checkout"}}},
        },
    )
    cluster.put(
        SERVICES,
        {
            "metadata": _named("checkout", annotations={"chaffinch.dev/isolated": "checkout"}),
            "spec": {"selector": {"app": "checkout", "pod-template-hash": HASH}},
        },
    )
    cluster.put(SERVICES, {"metadata": _named("checkout-canary", CHILD), "spec": {"selector": {"app": "checkout"}}})
    cluster.put(HTTPROUTES, _route())
    return cluster


def test_everything_is_undone_in_the_order_of_a_rollback(run: Run) -> None:
    """Traffic off the canary, canary away, Service back, finalizer off, label off."""
    cluster = _abandoned()
    result = run(cluster, "cleanup", "checkout", "--yes")
    assert result.exit_code == 0
    assert [(verb, key) for verb, key, _ in cluster.writes] == [
        ("patch", "HTTPRoute shop/checkout"),
        ("delete", "Deployment shop/checkout-canary"),
        ("delete", "Service shop/checkout-canary"),
        ("patch", "CanaryRollout shop/checkout"),
        ("patch", "Service shop/checkout"),
        ("patch", "Service shop/checkout"),
        ("patch", "CanaryRollout shop/checkout"),
        ("patch", "Namespace shop"),
    ]


def test_the_state_afterwards_is_as_if_chaffinch_had_never_been(run: Run) -> None:
    """Only our own marks are gone; what belongs to others stays."""
    cluster = _abandoned()
    run(cluster, "cleanup", "checkout", "--yes")
    assert cluster.read(SERVICES, "checkout")["spec"]["selector"] == {"app": "checkout"}
    assert cluster.read(SERVICES, "checkout")["metadata"]["annotations"] == {}
    assert cluster.read(CANARYROLLOUTS, "checkout")["metadata"]["finalizers"] == ["other/finalizer"]
    assert cluster.read(NAMESPACES, "shop")["metadata"]["labels"] == {"team": "a"}
    [rule] = cluster.read(HTTPROUTES, "checkout")["spec"]["rules"]
    assert rule == {"backendRefs": [{"name": "checkout", "weight": 75}]}


def test_a_held_deployment_is_never_released_but_told(run: Run) -> None:
    """Its template is unproven; a person decides."""
    cluster = _abandoned()
    result = run(cluster, "cleanup", "checkout", "--yes")
    assert cluster.read(DEPLOYMENTS, "checkout")["spec"]["paused"] is True
    assert (
        "kubectl delete canaryrollout checkout -n shop && kubectl rollout resume deployment/checkout -n shop"
        in result.stdout
    )


def test_of_a_rollout_being_deleted_only_the_resume_is_left(run: Run) -> None:
    """It is gone with its finalizer."""
    result = run(_abandoned(deletionTimestamp=ago(minutes=5)), "cleanup", "checkout", "--yes")
    assert "finalizer removed, gone now" in result.stdout
    assert "kubectl delete" not in result.stdout
    assert "kubectl rollout resume deployment/checkout -n shop" in result.stdout


def test_the_status_is_cleared_before_the_selector(run: Run) -> None:
    """While isolatedHash is set, the API server's policy would put the hash back."""
    cluster = _abandoned()
    seen: list[str] = []

    def remember(obj: dict[str, Any], _patch: object) -> None:
        if obj["metadata"]["name"] == "checkout" and "selector" in obj.get("spec", {}):
            seen.append(cluster.read(CANARYROLLOUTS, "checkout")["status"]["isolatedHash"])

    cluster.after_patch = remember
    run(cluster, "cleanup", "checkout", "--yes")
    assert seen == ["", ""]


def test_where_the_policy_widens_the_selector_it_is_left_to_it(run: Run) -> None:
    """Then the selector stays owned by the user's field manager."""
    cluster = _abandoned()

    def policy(obj: dict[str, Any], patch: Any) -> None:
        if "annotations" in patch.get("metadata", {}) and "selector" in obj["spec"]:
            obj["spec"]["selector"].pop("pod-template-hash", None)

    cluster.after_patch = lambda obj, patch: policy(obj, patch) if isinstance(patch, dict) else None
    run(cluster, "cleanup", "checkout", "--yes")
    [patch] = [p for _, key, p in cluster.writes if key == "Service shop/checkout"]
    assert "spec" not in patch


def test_a_selector_of_somebody_elses_making_is_left_alone(run: Run) -> None:
    """Only the hash that the status names is ours."""
    cluster = _abandoned()
    cluster.read(SERVICES, "checkout")["spec"]["selector"]["pod-template-hash"] = "mine"
    run(cluster, "cleanup", "checkout", "--yes")
    assert cluster.read(SERVICES, "checkout")["spec"]["selector"]["pod-template-hash"] == "mine"


def test_a_hash_that_keeps_coming_back_fails(run: Run) -> None:
    """Somebody is still at work; the finalizer is not touched."""
    cluster = _abandoned()

    def put_back(obj: dict[str, Any], _patch: object) -> None:
        if "app" in obj.get("spec", {}).get("selector", {}):
            obj["spec"]["selector"]["pod-template-hash"] = HASH

    cluster.after_patch = put_back
    result = run(cluster, "cleanup", "checkout", "--yes")
    assert result.exit_code == 1
    assert "comes back into the selector" in result.stderr
    assert FINALIZER in cluster.read(CANARYROLLOUTS, "checkout")["metadata"]["finalizers"]


def test_the_service_waits_for_the_canarys_pods(run: Run) -> None:
    """In-cluster clients must not reach a canary by way of the Service."""
    cluster = _abandoned()
    cluster.put(PODS, {"metadata": _named("p", {"chaffinch.dev/track": "canary", "app": "checkout"})})
    cluster.at.append((4, lambda: cluster.read(PODS, "p")["metadata"].update(deletionTimestamp=ago())))
    run(cluster, "cleanup", "checkout", "--yes")
    assert (cluster.now - FakeCluster().now).total_seconds() >= 4


def test_the_label_stays_while_another_rollout_is_in_care(run: Run) -> None:
    """The hold goes on for the others."""
    cluster = _abandoned()
    cluster.put(CANARYROLLOUTS, rollout("cart", finalizers=[FINALIZER]))
    run(cluster, "cleanup", "checkout", "--yes")
    assert cluster.read(NAMESPACES, "shop")["metadata"]["labels"]["chaffinch.dev/hold"] == "enabled"


def test_all_of_a_namespace(run: Run) -> None:
    """Then the label goes; other namespaces are not touched."""
    cluster = _abandoned()
    cluster.put(CANARYROLLOUTS, rollout("cart", finalizers=[FINALIZER]))
    cluster.put(CANARYROLLOUTS, rollout("search", "find", finalizers=[FINALIZER]))
    run(cluster, "cleanup", "--all", "--yes")
    assert cluster.read(CANARYROLLOUTS, "cart")["metadata"]["finalizers"] == []
    assert cluster.read(CANARYROLLOUTS, "search", "find")["metadata"]["finalizers"] == [FINALIZER]
    assert "chaffinch.dev/hold" not in cluster.read(NAMESPACES, "shop")["metadata"]["labels"]


def test_all_of_all_namespaces(run: Run) -> None:
    """With -A."""
    cluster = _abandoned()
    cluster.put(CANARYROLLOUTS, rollout("search", "find", finalizers=[FINALIZER]))
    run(cluster, "cleanup", "--all", "-A", "--yes")
    assert cluster.read(CANARYROLLOUTS, "search", "find")["metadata"]["finalizers"] == []


@pytest.mark.parametrize(("answer", "code", "writes"), [("n\n", 1, False), ("", 1, False), ("y\n", 0, True)])
def test_it_asks_before_it_changes_anything(run: Run, answer: str, code: int, writes: bool) -> None:
    """No answer is no."""
    cluster = _abandoned()
    result = run(cluster, "cleanup", "checkout", stdin=answer)
    assert (result.exit_code, bool(cluster.writes)) == (code, writes)


def _lease(renewed: str, holder: str = "pod-1") -> dict[str, Any]:
    return {
        "metadata": {"name": "chaffinch-operator", "namespace": "chaffinch-system"},
        "spec": {"renewTime": renewed, "holderIdentity": holder},
    }


def test_beside_a_running_operator_it_refuses(run: Run) -> None:
    """It would put everything back; the message says what to do instead."""
    cluster = _abandoned()
    cluster.put(LEASES, _lease(ago(seconds=3)))
    result = run(cluster, "cleanup", "checkout", "--yes")
    assert (result.exit_code, cluster.writes) == (1, [])
    assert "an operator is running (pod-1, in chaffinch-system)" in result.stderr


@pytest.mark.parametrize(
    ("lease", "args"),
    [(_lease(ago(minutes=5)), ()), (_lease(ago(seconds=3), ""), ()), (_lease(ago(seconds=3)), ("--force",))],
)
def test_an_old_or_released_lease_does_not_stop_it(run: Run, lease: dict[str, Any], args: tuple[str, ...]) -> None:
    """Nor does a fresh one, if one insists."""
    cluster = _abandoned()
    cluster.put(LEASES, lease)
    assert run(cluster, "cleanup", "checkout", "--yes", *args).exit_code == 0


def test_without_the_gateway_api_or_the_right_to_read_leases_it_works(run: Run) -> None:
    """Neither is needed."""
    cluster = _abandoned()
    cluster.raises["list", "httproutes"] = KindMissing("httproutes.gateway.networking.k8s.io")
    cluster.raises["list", "leases"] = Refused(403, "Forbidden", "no")
    assert run(cluster, "cleanup", "checkout", "--yes").exit_code == 0


def test_a_refused_step_is_told_and_the_finalizer_stays(run: Run) -> None:
    """What could not be undone is not hidden."""
    cluster = _abandoned()
    cluster.raises["delete", "deployments"] = Refused(403, "Forbidden", "cannot delete deployments")
    result = run(cluster, "cleanup", "checkout", "--yes")
    assert result.exit_code == 1
    assert "cannot delete deployments" in result.stderr
    assert FINALIZER in cluster.read(CANARYROLLOUTS, "checkout")["metadata"]["finalizers"]


def test_it_may_be_repeated(run: Run) -> None:
    """The second time there is nothing to do."""
    cluster = _abandoned()
    run(cluster, "cleanup", "checkout", "--yes")
    cluster.writes.clear()
    assert run(cluster, "cleanup", "checkout", "--yes").exit_code == 0
    assert cluster.writes == []


def test_the_result_in_json(run: Run) -> None:
    """What was done, and the commands that are left."""
    document = json.loads(run(_abandoned(), "cleanup", "checkout", "--yes", "-o", "json").stdout)
    assert (document["kind"], document["namespace"]) == ("CleanupResult", "shop")
    assert {"object": "Deployment shop/checkout-canary", "action": "deleted"} in document["done"]
    assert len(document["commands"]) == 1


def test_nothing_to_clean_up_is_no_error(run: Run) -> None:
    """An empty namespace is clean."""
    assert run(FakeCluster(), "cleanup", "--all", "--yes").exit_code == 0


def test_rules_without_the_canary_are_left_alone() -> None:
    """Redirects and foreign backends stay as they are, byte for byte."""
    rules = [{"filters": [{"type": "RequestRedirect"}]}, {"backendRefs": [{"name": "checkout"}]}]
    assert without_backends({"spec": {"rules": rules}}, {"checkout-canary"}) is None


def test_a_baseline_goes_with_its_canary(run: Run) -> None:
    """Its backend in the same write, then its Deployment and its Service."""
    cluster = _abandoned()
    backends = [{"name": f"checkout{track}", "weight": 1} for track in ("", "-canary", "-baseline")]
    cluster.put(HTTPROUTES, {"metadata": _named("checkout", CHILD), "spec": {"rules": [{"backendRefs": backends}]}})
    labels = {"chaffinch.dev/track": "baseline", "app": "checkout"}
    baseline = _named("checkout-baseline", CHILD)
    cluster.put(DEPLOYMENTS, {"metadata": baseline, "spec": {"selector": {"matchLabels": labels}}})
    cluster.put(SERVICES, {"metadata": baseline, "spec": {"selector": labels}})
    assert run(cluster, "cleanup", "checkout", "--yes").exit_code == 0
    [rule] = cluster.read(HTTPROUTES, "checkout")["spec"]["rules"]
    assert rule == {"backendRefs": [{"name": "checkout", "weight": 1}]}
    deleted = {key for verb, key, _ in cluster.writes if verb == "delete"}
    assert {"Deployment shop/checkout-baseline", "Service shop/checkout-baseline"} <= deleted
