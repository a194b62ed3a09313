"""NetworkPolicy becomes nftables rules."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.netpol import matches, table

NAMESPACES = [
    {"metadata": {"name": "shop", "labels": {"team": "a"}}},
    {"metadata": {"name": "other", "labels": {"team": "b"}}},
]


def pod(namespace: str, address: str, phase: str = "Running", *, host: bool = False, **labels: str) -> dict[str, Any]:
    """A pod with one named port."""
    ports = [{"name": "web", "containerPort": 8080}]
    return {
        "metadata": {"namespace": namespace, "labels": labels},
        "spec": {"hostNetwork": host, "containers": [{"ports": ports}]},
        "status": {"podIP": address, "phase": phase},
    }


def policy(**spec: Any) -> dict[str, Any]:
    """A policy in the namespace `shop` for all its pods."""
    return {"metadata": {"namespace": "shop"}, "spec": {"podSelector": {}, **spec}}


PODS = [pod("shop", "10.0.0.1", app="db"), pod("shop", "10.0.0.2", app="web"), pod("other", "10.0.0.3", app="web")]
ALL_SHOP = "{ 10.0.0.1, 10.0.0.2 }"


def rules(*policies: dict[str, Any], pods: list[dict[str, Any]] | None = None) -> list[str]:
    """The lines of the two chains that decide."""
    lines = (line.strip() for line in table(list(policies), PODS if pods is None else pods, NAMESPACES).splitlines())
    return [" ".join(line.split()) for line in lines if line.endswith(("return", "counter drop"))]


def test_no_policy_drops_nothing() -> None:
    """Pods are open until selected."""
    assert rules() == []


def test_default_deny_isolates_the_selected_pods() -> None:
    """An empty selector selects the namespace."""
    assert rules(policy(policyTypes=["Ingress"])) == [f"ip daddr {ALL_SHOP} counter drop"]


def test_pod_selector_allows_in_the_same_namespace_only() -> None:
    """A peer without a namespace selector is of the policy's namespace."""
    allowed = policy(ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}])
    assert rules(allowed)[0] == f"ip daddr {ALL_SHOP} ip saddr {{ 10.0.0.2 }} return"


def test_namespace_selector_allows_by_the_namespaces_labels() -> None:
    """All pods of the selected namespaces are peers."""
    allowed = policy(ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"team": "b"}}}]}])
    assert rules(allowed)[0] == f"ip daddr {ALL_SHOP} ip saddr {{ 10.0.0.3 }} return"


def test_peer_that_selects_nobody_allows_nobody() -> None:
    """An empty result is not the same as no peers at all."""
    allowed = policy(ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "absent"}}}]}])
    assert rules(allowed) == [f"ip daddr {ALL_SHOP} counter drop"]


def test_rule_without_peers_allows_everybody() -> None:
    """An empty rule is a wildcard."""
    assert rules(policy(ingress=[{}]))[0] == f"ip daddr {ALL_SHOP} return"


def test_block_of_addresses_with_exceptions() -> None:
    """Both parts are one match."""
    peer = {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}
    rule = rules(policy(policyTypes=["Egress"], egress=[{"to": [peer]}]))[0]
    assert rule == f"ip saddr {ALL_SHOP} ip daddr 10.0.0.0/8 ip daddr != {{ 10.1.0.0/16 }} return"


@pytest.mark.parametrize(
    ("port", "match"),
    [
        ({"port": 53, "protocol": "UDP"}, "udp dport 53"),
        ({"port": 8000, "endPort": 8010}, "tcp dport 8000-8010"),
        ({"protocol": "TCP"}, "meta l4proto tcp"),
    ],
)
def test_ports(port: dict[str, Any], match: str) -> None:
    """Numbers, ranges and whole protocols."""
    assert rules(policy(ingress=[{"ports": [port]}]))[0] == f"ip daddr {ALL_SHOP} {match} return"


def test_named_port_is_looked_up_in_each_pod() -> None:
    """One rule for each pod, as the numbers may differ."""
    found = rules(policy(ingress=[{"ports": [{"port": "web"}]}]))
    assert found[:2] == [f"ip daddr {{ 10.0.0.{n} }} tcp dport 8080 return" for n in (1, 2)]


def test_pods_of_the_host_and_finished_ones_are_left_out() -> None:
    """Their address is not their own."""
    pods = [pod("shop", "10.0.0.1", host=True), pod("shop", "10.0.0.2", "Succeeded")]
    assert rules(policy(policyTypes=["Ingress"]), pods=pods) == []


@pytest.mark.parametrize(
    ("operator", "values", "selected"),
    [("In", ["db"], True), ("NotIn", ["db"], False), ("Exists", [], True), ("DoesNotExist", [], False)],
)
def test_expressions(operator: str, values: list[str], selected: bool) -> None:
    """All four operators."""
    selector = {"matchExpressions": [{"key": "app", "operator": operator, "values": values}]}
    assert matches(selector, {"app": "db"}) is selected


def test_table_is_replaced_in_one_transaction() -> None:
    """There is no moment without rules."""
    assert table([], [], []).startswith("table ip netpol\ndelete table ip netpol\ntable ip netpol {\n")
