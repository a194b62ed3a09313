"""NetworkPolicies of an evaluation: nothing in or out but what is named. Pure."""

from chaffinch_operator.children import policies
from chaffinch_operator.children.owner import Object
from chaffinch_operator.children.policies import DNS, tcp
from chaffinch_operator.children.postgres import PORT
from chaffinch_operator.names import LABEL_EVALUATION, label_value
from chaffinch_operator.shadow.model import ShadowEvaluationSpec
from chaffinch_operator.shadow.objects import (
    ADMIN_PORT,
    API_PORT,
    CLEANUP,
    MIGRATION,
    MIRROR_PORT,
    REPLAY_SHARD,
    SERVICE,
    owner,
)
from chaffinch_operator.shadow.snapshot import Snapshot

_WITH_DATABASE = (SERVICE, MIGRATION, REPLAY_SHARD, CLEANUP)
_WITH_VERSIONS = (SERVICE, REPLAY_SHARD)


def network_policies(spec: ShadowEvaluationSpec, snap: Snapshot) -> list[Object]:
    """Default deny, then who may speak to whom."""
    own = owner(snap)
    found = [policies.policy(own, "deny", {LABEL_EVALUATION: label_value(snap.name)}, [], []), _service(spec, snap)]
    found += [_out(spec, snap, component) for component in _WITH_DATABASE]
    if spec.database.managed is not None:
        rule = {"from": [policies.pods_of(own, each) for each in _WITH_DATABASE], "ports": [tcp(PORT)]}
        found.append(policies.policy(own, "database", own.selector("database"), [rule], []))
    return found


def _service(spec: ShadowEvaluationSpec, snap: Snapshot) -> Object:
    askers = [policies.namespace(name) for name in sorted({snap.namespace, snap.operator_namespace})]
    # /metrics and two words of health are open to everybody; kubelet's probes come from the node anyway
    rules: list[Object] = [{"from": askers, "ports": [tcp(API_PORT)]}, {"ports": [tcp(ADMIN_PORT)]}]
    if spec.traffic.mirror is not None:
        copies: Object = {"ports": [tcp(MIRROR_PORT)]}
        if senders := [policies.namespace(each.namespace) for each in spec.traffic.mirror.allow_from]:
            copies["from"] = senders
        rules.append(copies)
    return policies.policy(owner(snap), "service", owner(snap).selector(SERVICE), rules, [])


def _out(spec: ShadowEvaluationSpec, snap: Snapshot, component: str) -> Object:
    database: Object = {"ports": [tcp(port) for port in snap.database_ports]}
    if spec.database.managed is not None:  # an external one may be anywhere: policies know no host names
        database["to"] = [policies.pods_of(owner(snap), "database")]
    # policies see pods, not Services: the versions are pods of this namespace, on ports that only they know
    versions: list[Object] = [{"to": [{"podSelector": {}}]}] if component in _WITH_VERSIONS else []
    return policies.policy(
        owner(snap), f"{component}-out", owner(snap).selector(component), [], [DNS, database, *versions]
    )
