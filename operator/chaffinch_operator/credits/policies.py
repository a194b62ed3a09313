"""NetworkPolicies of a ledger: nothing in or out but what is named. Pure."""

from chaffinch_operator.credits.model import CreditsLedgerSpec
from chaffinch_operator.credits.objects import (
    ADMIN_PORT,
    API_PORT,
    POSTGRES_PORT,
    Object,
    metadata,
    selector,
)
from chaffinch_operator.credits.snapshot import Snapshot
from chaffinch_operator.names import LABEL_LEDGER, child_name, label_value

_NAMESPACE = "kubernetes.io/metadata.name"


def network_policies(spec: CreditsLedgerSpec, snap: Snapshot) -> list[Object]:
    """Default deny, then who may speak to whom."""
    found = [_policy(snap, "deny", {LABEL_LEDGER: label_value(snap.name)}, [], []), _api(spec, snap)]
    found += [_client(spec, snap, component) for component in ("service", "migration")]
    if spec.database.managed is not None:
        callers = [{"podSelector": {"matchLabels": selector(snap.name, c)}} for c in ("service", "migration")]
        rule = {"from": callers, "ports": [_tcp(POSTGRES_PORT)]}
        found.append(_policy(snap, "database", selector(snap.name, "database"), [rule], []))
    return found


def _api(spec: CreditsLedgerSpec, snap: Snapshot) -> Object:
    namespaces = [allowed.namespace for allowed in spec.access.allow_from] or [snap.namespace]
    callers = [{"namespaceSelector": {"matchLabels": {_NAMESPACE: name}}} for name in namespaces]
    # what is open to everybody is /metrics and two words of health; kubelet's probes come from the node anyway
    rules: list[Object] = [{"from": callers, "ports": [_tcp(API_PORT)]}, {"ports": [_tcp(ADMIN_PORT)]}]
    return _policy(snap, "api", selector(snap.name, "service"), rules, [])


def _client(spec: CreditsLedgerSpec, snap: Snapshot, component: str) -> Object:
    dns: Object = {"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]}
    database: Object = {"ports": [_tcp(port) for port in snap.database_ports]}
    if spec.database.managed is not None:  # an external one may be anywhere: policies know no host names
        database["to"] = [{"podSelector": {"matchLabels": selector(snap.name, "database")}}]
    return _policy(snap, f"{component}-out", selector(snap.name, component), [], [dns, database])


def _policy(snap: Snapshot, name: str, pods: dict[str, str], ingress: list[Object], egress: list[Object]) -> Object:
    spec = {
        "podSelector": {"matchLabels": pods},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": ingress,
        "egress": egress,
    }
    return {"metadata": metadata(snap, child_name(snap.name, name)), "spec": spec}


def _tcp(port: int) -> Object:
    return {"protocol": "TCP", "port": port}
