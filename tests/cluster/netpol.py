"""Enforces NetworkPolicy (networking.k8s.io/v1) on the node with nftables; the bridge plugin enforces none.

    netpol.py SERVER CA CERTIFICATE KEY          started by the supervisor inside the cluster's network namespace

Polls the API twice a second and replaces one table in a single transaction when something changed. Bridged traffic from
pod to pod passes the forward hook because bridge-nf-call-iptables is on. A test bench, not a product: a new pod is
unprotected for up to half a second, IPv4 only. Runs as a plain script, so it imports nothing of this package.
"""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

POLL_SECONDS = 0.5
REQUEST_SECONDS = 5
LISTINGS = ("/apis/networking.k8s.io/v1/networkpolicies", "/api/v1/pods", "/api/v1/namespaces")
Object = Mapping[str, Any]


def matches(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects something with these labels."""
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _meets(requirement, labels.get(requirement["key"])) for requirement in selector.get("matchExpressions") or []
    )


def _meets(requirement: Object, present: str | None) -> bool:
    values = requirement.get("values") or []
    return {
        "In": present in values,
        "NotIn": present not in values,
        "Exists": present is not None,
        "DoesNotExist": present is None,
    }[requirement["operator"]]


def addresses_set(addresses: Iterable[str]) -> str:
    """An anonymous set in the language of nft."""
    return "{ " + ", ".join(sorted(addresses)) + " }"


class Pod:
    """What matters of a pod."""

    def __init__(self, found: Object) -> None:
        self.namespace: str = found["metadata"]["namespace"]
        self.labels: Mapping[str, str] = found["metadata"].get("labels") or {}
        self.address: str = found["status"]["podIP"]
        self._containers: list[Object] = found["spec"]["containers"]

    def port_numbers(self, name: str, protocol: str) -> list[int]:
        """The numbers of a named port."""
        ports = (port for container in self._containers for port in container.get("ports") or [])
        return [p["containerPort"] for p in ports if p.get("name") == name and p.get("protocol", "TCP") == protocol]


def in_network(found: Object) -> bool:
    """Whether a pod has an address of its own that is in use."""
    status = found["status"]
    return bool(
        status.get("podIP") and not found["spec"].get("hostNetwork") and status.get("phase") in ("Running", "Pending")
    )


class Ruleset:
    """Collects the rules of one direction: `own` is the address of the selected pods, `other` that of their peers."""

    def __init__(self, pods: list[Pod], namespaces: Mapping[str, Mapping[str, str]], direction: str) -> None:
        self._pods = pods
        self._namespaces = namespaces
        self._ingress = direction == "Ingress"
        self._own, self._other = ("daddr", "saddr") if self._ingress else ("saddr", "daddr")
        self._peers = "from" if self._ingress else "to"
        self._rules: list[str] = []
        self._isolated: set[str] = set()
        self.direction = direction

    def add(self, policy: Object) -> None:
        """Add what a policy allows, and isolate the pods that it selects."""
        namespace, spec = policy["metadata"]["namespace"], policy["spec"]
        kinds = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
        selector = spec.get("podSelector") or {}
        chosen = [pod for pod in self._pods if pod.namespace == namespace and matches(selector, pod.labels)]
        if self.direction not in kinds or not chosen:
            return
        self._isolated.update(pod.address for pod in chosen)
        for rule in spec.get(self.direction.lower()) or []:
            self._add_rule(rule, namespace, chosen)

    def text(self) -> list[str]:
        """The chain."""
        drop = [f"    ip {self._own} {addresses_set(self._isolated)} counter drop"] if self._isolated else []
        return [f"  chain {self.direction.lower()} {{", *self._rules, *drop, "  }"]

    def _add_rule(self, rule: Object, namespace: str, chosen: list[Pod]) -> None:
        listed = rule.get(self._peers)
        peers = [match for peer in listed for match in self._peer(peer, namespace)] if listed else [""]
        for port, targets in self._ports(rule.get("ports"), chosen):
            own = addresses_set(pod.address for pod in targets)
            self._rules += [f"    ip {self._own} {own} {peer} {port} return" for peer in peers]

    def _peer(self, peer: Object, namespace: str) -> list[str]:
        """The match of a peer; none when it selects nobody."""
        if block := peer.get("ipBlock"):
            excepted = block.get("except")
            but = f" ip {self._other} != {addresses_set(excepted)}" if excepted else ""
            return [f"ip {self._other} {block['cidr']}{but}"]
        selector = peer.get("podSelector") or {}
        found = [
            pod.address
            for pod in self._pods
            if matches(selector, pod.labels) and self._in_namespaces(pod, peer.get("namespaceSelector"), namespace)
        ]
        return [f"ip {self._other} {addresses_set(found)}"] if found else []

    def _in_namespaces(self, pod: Pod, selector: Object | None, namespace: str) -> bool:
        if selector is None:
            return pod.namespace == namespace
        return matches(selector, self._namespaces.get(pod.namespace, {}))

    def _ports(self, ports: list[Object] | None, chosen: list[Pod]) -> Iterator[tuple[str, list[Pod]]]:
        """The match of each port, and the selected pods for which it holds; a named port is looked up in each pod."""
        if not ports:
            yield "", chosen
        for port in ports or []:
            protocol, number = port.get("protocol", "TCP"), port.get("port")
            if number is None:
                yield f"meta l4proto {protocol.lower()}", chosen
            elif isinstance(number, int):
                end = f"-{port['endPort']}" if port.get("endPort") else ""
                yield f"{protocol.lower()} dport {number}{end}", chosen
            else:
                yield from self._named_ports(protocol, number, chosen)

    def _named_ports(self, protocol: str, name: str, chosen: list[Pod]) -> Iterator[tuple[str, list[Pod]]]:
        if self._ingress:
            for pod in chosen:
                for number in pod.port_numbers(name, protocol):
                    yield f"{protocol.lower()} dport {number}", [pod]
            return
        # the destinations decide; which of them a rule means is said by its peers already
        for number in sorted({number for pod in self._pods for number in pod.port_numbers(name, protocol)}):
            yield f"{protocol.lower()} dport {number}", chosen


def table(policies: Sequence[Object], pods: Sequence[Object], namespaces: Sequence[Object]) -> str:
    """The transaction that replaces the table."""
    labels = {found["metadata"]["name"]: found["metadata"].get("labels") or {} for found in namespaces}
    reachable = [Pod(found) for found in pods if in_network(found)]
    chains: list[str] = []
    for direction in ("Egress", "Ingress"):
        rules = Ruleset(reachable, labels, direction)
        for policy in policies:
            rules.add(policy)
        chains += rules.text()
    accept = "policy accept;"
    established = "    ct state established,related accept"
    hooks = [
        *["  chain forward {", f"    type filter hook forward priority -5; {accept}", established],
        *["    jump egress", "    jump ingress", "  }"],
        *[
            "  chain input {",
            f"    type filter hook input priority -5; {accept}",
            established,
            "    jump egress",
            "  }",
        ],
    ]
    lines = ["table ip netpol", "delete table ip netpol", "table ip netpol {", *chains, *hooks, "}"]
    return "\n".join(lines) + "\n"


def listing(server: str, tls: ssl.SSLContext, path: str) -> list[Object]:
    """The items of a list."""
    connection = http.client.HTTPSConnection(server, context=tls, timeout=REQUEST_SECONDS)
    try:
        connection.request("GET", path)
        items: list[Object] = json.load(connection.getresponse())["items"]
    finally:
        connection.close()
    return items


def enforce(server: str, authority: str, certificate: str, key: str) -> None:
    """Poll and enforce, for ever."""
    tls = ssl.create_default_context(cafile=authority)
    tls.load_cert_chain(certificate, key)
    applied = ""
    while True:
        try:
            wanted = table(*(listing(server, tls, path) for path in LISTINGS))
            if wanted != applied:
                subprocess.run(["nft", "-f", "-"], input=wanted.encode(), check=True)
                applied = wanted
        except (OSError, KeyError, ValueError, http.client.HTTPException, subprocess.CalledProcessError) as error:
            sys.stdout.write(f"netpol: {error}\n")
            sys.stdout.flush()
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    enforce(*sys.argv[1:])
