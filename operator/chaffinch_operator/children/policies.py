"""NetworkPolicies: nothing in or out but what is named. Pure."""

from collections.abc import Mapping, Sequence

from chaffinch_operator.children.owner import Object, Owner
from chaffinch_operator.names import child_name

_NAMESPACE = "kubernetes.io/metadata.name"
DNS: Object = {"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]}
"""An egress rule."""


def policy(
    owner: Owner, name: str, pods: Mapping[str, str], ingress: Sequence[Object], egress: Sequence[Object]
) -> Object:
    """A policy for both directions, named after its owner."""
    spec = {
        "podSelector": {"matchLabels": dict(pods)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": list(ingress),
        "egress": list(egress),
    }
    return {"metadata": owner.metadata(child_name(owner.name, name)), "spec": spec}


def tcp(port: int | str) -> Object:
    """A port."""
    return {"protocol": "TCP", "port": port}


def pods_of(owner: Owner, component: str) -> Object:
    """A peer: the pods of one component."""
    return {"podSelector": {"matchLabels": owner.selector(component)}}


def namespace(name: str) -> Object:
    """A peer: every pod of a namespace."""
    return {"namespaceSelector": {"matchLabels": {_NAMESPACE: name}}}
