"""NetworkPolicies of a ledger: nothing in or out but what is named. Pure."""

from chaffinch_operator.children import policies
from chaffinch_operator.children.owner import Object
from chaffinch_operator.children.policies import DNS, tcp
from chaffinch_operator.children.postgres import PORT
from chaffinch_operator.credits.database import ManagedLedgerDatabase
from chaffinch_operator.credits.model import CreditsLedgerSpec
from chaffinch_operator.credits.objects import ADMIN_PORT, API_PORT, BACKUP, RESTORE_CHECK, owner
from chaffinch_operator.credits.snapshot import Snapshot
from chaffinch_operator.names import LABEL_LEDGER, label_value


def network_policies(spec: CreditsLedgerSpec, snap: Snapshot) -> list[Object]:
    """Default deny, then who may speak to whom."""
    own = owner(snap)
    found = [policies.policy(own, "deny", {LABEL_LEDGER: label_value(snap.name)}, [], []), _api(spec, snap)]
    found += [_client(spec, snap, component) for component in ("service", "migration")]
    if spec.database.managed is not None:
        callers = [policies.pods_of(own, component) for component in ("service", "migration")]
        rule = {"from": callers, "ports": [tcp(PORT)]}
        ports = _bucket_ports(spec.database.managed)
        out: list[Object] = [DNS, {"ports": [tcp(port) for port in ports]}] if ports else []
        found.append(policies.policy(own, "database", own.selector("database"), [rule], out))
        for component in (BACKUP, RESTORE_CHECK) if ports else ():
            found.append(policies.policy(own, f"{component}-out", own.selector(component), [], out))
    return found


def _bucket_ports(database: ManagedLedgerDatabase) -> list[int]:
    """Where buckets of backups answer; a bucket may be anywhere."""
    found = {database.restore_from.s3.port} if database.restore_from and database.restore_from.s3 else set()
    if database.backup is not None and database.backup.repository.s3 is not None:
        found.add(database.backup.repository.s3.port)
    return sorted(found)


def _api(spec: CreditsLedgerSpec, snap: Snapshot) -> Object:
    namespaces = [allowed.namespace for allowed in spec.access.allow_from] or [snap.namespace]
    callers = [policies.namespace(name) for name in namespaces]
    # what is open to everybody is /metrics and two words of health; kubelet's probes come from the node anyway
    rules: list[Object] = [{"from": callers, "ports": [tcp(API_PORT)]}, {"ports": [tcp(ADMIN_PORT)]}]
    return policies.policy(owner(snap), "api", owner(snap).selector("service"), rules, [])


def _client(spec: CreditsLedgerSpec, snap: Snapshot, component: str) -> Object:
    database: Object = {"ports": [tcp(port) for port in snap.database_ports]}
    if spec.database.managed is not None:  # an external one may be anywhere: policies know no host names
        database["to"] = [policies.pods_of(owner(snap), "database")]
    return policies.policy(owner(snap), f"{component}-out", owner(snap).selector(component), [], [DNS, database])
