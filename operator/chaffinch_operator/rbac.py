"""What the operator may do, and why: the one source of the Roles in manifests/. Pure data; nothing is checked here.

Least privilege: no secrets cluster-wide (their owners grant single ones, see docs/operations.md, or the rights for
ledgers in one namespace), no wildcard, names wherever the API server can check them (it cannot for create and list).
"""

from dataclasses import dataclass

from chaffinch_operator.names import GROUP

LEASE_NAME = "chaffinch-operator"
LEDGER_ROLE = "chaffinch-credits"
"""Said by credits.decide too; a test keeps them equal."""
SHADOW_ROLE = "chaffinch-shadow"
"""Said by shadow.problems too; a test keeps them equal."""
CRD_NAME = f"canaryrollouts.{GROUP}"
HOLD_NAMES = ("chaffinch-hold-unproven-templates", "chaffinch-only-operator-releases", "chaffinch-keep-stable-selector")
"""Names said elsewhere too, by modules above this one; a test keeps them equal."""


_POLICIES = (
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
)


@dataclass(frozen=True, slots=True)
class Rule:
    """Verbs on resources of one API group, for one stated purpose."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    why: str
    names: tuple[str, ...] = ()


CLUSTER_RULES = (
    Rule(
        GROUP,
        ("canaryrollouts",),
        ("get", "list", "watch", "patch"),
        "read what is asked for; patch the finalizer, and spec.suspend where a ShadowEvaluation says StartCanary",
    ),
    Rule(GROUP, ("canaryrollouts/status",), ("patch",), "report state and evidence"),
    Rule(GROUP, ("canaryrollouts/finalizers",), ("update",), "be the owner of children where owners are checked"),
    Rule(
        GROUP,
        ("creditsledgers",),
        ("get", "list", "watch", "patch"),
        "read what is asked for; patch only the finalizer",
    ),
    Rule(GROUP, ("creditsledgers/status",), ("patch",), "report state"),
    Rule(GROUP, ("creditsledgers/finalizers",), ("update",), "be the owner of children where owners are checked"),
    Rule(
        GROUP,
        ("shadowevaluations",),
        ("get", "list", "watch", "patch"),
        "read what is asked for; patch only the finalizer",
    ),
    Rule(GROUP, ("shadowevaluations/status",), ("patch",), "report state"),
    Rule(GROUP, ("shadowevaluations/finalizers",), ("update",), "be the owner of children where owners are checked"),
    Rule(
        "apps",
        ("deployments",),
        ("get", "list", "watch", "create", "patch", "delete"),
        "watch and release targets; make and remove canaries",
    ),
    Rule("apps", ("replicasets",), ("list",), "find the stable revision"),
    Rule("", ("pods",), ("list",), "know which pods are whose, and their restarts"),
    Rule(
        "",
        ("services",),
        ("get", "create", "patch", "delete"),
        "make and remove canary Services; narrow the target's Service to stable",
    ),
    Rule("discovery.k8s.io", ("endpointslices",), ("list",), "see that the canary has endpoints before it has traffic"),
    Rule("", ("namespaces",), ("get", "patch"), "label namespaces whose Deployments are held"),
    Rule(
        "gateway.networking.k8s.io",
        ("httproutes",),
        ("get", "create", "patch", "delete"),
        "make the generated route, move its weights, remove it; put a mirror's filter in and take it out",
    ),
    Rule("events.k8s.io", ("events",), ("create",), "tell people what happened"),
    Rule("admissionregistration.k8s.io", _POLICIES, ("create",), "install the hold"),
    Rule(
        "admissionregistration.k8s.io", _POLICIES, ("get", "patch"), "keep the hold as it should be", names=HOLD_NAMES
    ),
    Rule(
        "apiextensions.k8s.io",
        ("customresourcedefinitions",),
        ("get",),
        "own the hold by the CRD, so that it goes with it",
        names=(CRD_NAME,),
    ),
)
"""In every namespace."""

LEDGER_RULES = (
    Rule(
        "",
        ("secrets",),
        ("get", "create", "patch", "delete"),
        "read what the spec names; make password, signing key, API key, passphrase and certificates",
    ),
    Rule("", ("services",), ("get", "create", "patch"), "the addresses of API and database"),
    Rule("apps", ("deployments", "statefulsets"), ("get", "create", "patch"), "the service and its database"),
    Rule("batch", ("jobs",), ("list", "create", "patch", "delete"), "migrate the schema, make the first backup"),
    Rule("batch", ("cronjobs",), ("get", "create", "patch", "delete"), "make backups and restore them for trial"),
    Rule("", ("pods",), ("list",), "say why a backup or a restore failed"),
    Rule("", ("persistentvolumeclaims",), ("get", "create", "patch"), "keep backups"),
    Rule(
        "autoscaling",
        ("horizontalpodautoscalers",),
        ("get", "create", "patch", "delete"),
        "scale the service where the spec says so",
    ),
    Rule("policy", ("poddisruptionbudgets",), ("get", "create", "patch"), "keep pods while nodes are drained"),
    Rule("networking.k8s.io", ("networkpolicies",), ("get", "create", "patch"), "close what need not be open"),
)
"""In the namespaces of ledgers, where people bind the ClusterRole LEDGER_ROLE to the operator."""

SHADOW_RULES = (
    Rule("", ("secrets",), ("get", "create"), "read the database's address; make its password and the API's token"),
    Rule("", ("configmaps",), ("list", "create", "patch", "delete"), "the evaluation's file"),
    Rule("", ("services",), ("get", "create", "patch"), "where copies go, and the address of the database"),
    Rule("apps", ("deployments", "statefulsets"), ("get", "create", "patch"), "the service and its database"),
    Rule("batch", ("jobs",), ("list", "create", "patch", "delete"), "migrate the schema; replay requests"),
    Rule("batch", ("cronjobs",), ("get", "create", "patch"), "drop samples that are over their retention"),
    Rule("networking.k8s.io", ("networkpolicies",), ("get", "create", "patch"), "close what need not be open"),
)
"""In the namespaces of evaluations, where people bind the ClusterRole SHADOW_ROLE to the operator."""

LEASE_RULES = (
    Rule("coordination.k8s.io", ("leases",), ("create",), "elect a leader"),
    Rule(
        "coordination.k8s.io",
        ("leases",),
        ("get", "watch", "update"),
        "renew, watch and release the leader's Lease",
        names=(LEASE_NAME,),
    ),
)
"""In the operator's own namespace."""

_STATUS = ("canaryrollouts/status", "creditsledgers/status", "shadowevaluations/status")
_ALL = ("canaryrollouts", "creditsledgers", "shadowevaluations", *_STATUS)
_READ = ("get", "list", "watch")
_WRITE = ("create", "update", "patch", "delete", "deletecollection")


@dataclass(frozen=True, slots=True)
class UserRole:
    """A ClusterRole for people, added to the built-in roles of the same rank."""

    name: str
    aggregate_to: tuple[str, ...]
    rules: tuple[Rule, ...]


USER_ROLES = (
    UserRole(
        "chaffinch-viewer",
        ("view", "edit", "admin"),
        (Rule(GROUP, _ALL, _READ, "look"),),
    ),
    UserRole(
        "chaffinch-editor",
        ("edit", "admin"),
        (
            Rule(GROUP, ("canaryrollouts",), _WRITE, "configure, and act: promote, abort, retry, pause, resume"),
            Rule(GROUP, ("creditsledgers", "shadowevaluations"), _WRITE, "configure"),
        ),
    ),
    UserRole(
        "chaffinch-admin",
        ("admin",),
        (Rule(GROUP, _STATUS, ("update", "patch"), "repair a status by hand"),),
    ),
)
