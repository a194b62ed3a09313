"""CustomResourceDefinition objects from the table of kinds. Pure."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.status import CanaryRolloutStatus
from chaffinch_operator.crdgen.schema import structural, structural_status
from chaffinch_operator.credits.model import CreditsLedgerSpec
from chaffinch_operator.credits.status import CreditsLedgerStatus
from chaffinch_operator.names import API_VERSION, GROUP, VERSION
from chaffinch_operator.schema import cel
from chaffinch_operator.shadow.model import ShadowEvaluationSpec
from chaffinch_operator.shadow.status import ShadowEvaluationStatus


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`; `wide` ones appear with `-o wide` only."""

    name: str
    json_path: str
    type: str = "string"
    wide: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a CRD says beside its models."""

    kind: str
    plural: str
    short: str
    description: str
    spec: type[BaseModel]
    status: type[BaseModel]
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()
    """Paths that a field selector may name."""
    rules: tuple[tuple[str, str], ...] = ()
    """CEL rules and messages about the whole object, such as its name."""
    slice: str = ""
    """Folder of its code."""

    @property
    def crd_name(self) -> str:
        """Name of the CustomResourceDefinition."""
        return f"{self.plural}.{GROUP}"


_READY = '.status.conditions[?(@.type=="Ready")]'

CANARY_ROLLOUT = Kind(
    kind="CanaryRollout",
    plural="canaryrollouts",
    short="cro",
    description="CanaryRollout releases a Deployment's new pod template step by step, only while always-valid tests on "
    "live metrics find no harm. Otherwise it rolls back by itself.",
    spec=CanaryRolloutSpec,
    status=CanaryRolloutStatus,
    columns=(
        Column("Ready", f"{_READY}.status"),
        Column("Reason", f"{_READY}.reason"),
        Column("Weight", ".status.weight.applied", "integer", description="Percent of requests the canary gets"),
        Column("Target", ".spec.targetRef.name", wide=True),
        Column("Step", ".status.step.index", "integer", wide=True),
        Column("Candidate", ".status.candidate.image", wide=True),
        Column("Message", f"{_READY}.message", wide=True),
        Column("Age", ".metadata.creationTimestamp", "date"),
    ),
    selectable=(".spec.targetRef.name",),
    slice="canary",
)

CREDITS_LEDGER = Kind(
    kind="CreditsLedger",
    plural="creditsledgers",
    short="cl",
    description="CreditsLedger is a double-entry credits ledger: an HTTP service with its database, never negative, "
    "idempotent, and checkable by those who do not trust it.",
    spec=CreditsLedgerSpec,
    status=CreditsLedgerStatus,
    columns=(
        Column("Ready", f"{_READY}.status"),
        Column("Reason", f"{_READY}.reason"),
        Column("Pods", ".status.pods.ready", "integer", description="Pods of the service that are ready"),
        Column("Endpoint", ".status.endpoint", wide=True),
        Column("Image", ".status.image", wide=True),
        Column("Message", f"{_READY}.message", wide=True),
        Column("Age", ".metadata.creationTimestamp", "date"),
    ),
    rules=(
        (
            "self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            "metadata.name is the name of a Service too: up to 40 of a-z, 0-9 and -, a letter first, no - last",
        ),
    ),
    slice="credits",
)

SHADOW_EVALUATION = Kind(
    kind="ShadowEvaluation",
    plural="shadowevaluations",
    short="se",
    description="ShadowEvaluation runs a candidate beside the control on the same requests, answers nobody, and says "
    "Promote, Hold, Reject or Inconclusive, by paired statistics.",
    spec=ShadowEvaluationSpec,
    status=ShadowEvaluationStatus,
    columns=(
        Column("Ready", f"{_READY}.status"),
        Column("Reason", f"{_READY}.reason"),
        Column("Verdict", ".status.verdict"),
        Column("Requests", ".status.requests", "integer", wide=True, description="Requests that were compared"),
        Column("Lost", ".status.discordant.lost", "integer", wide=True, description="Detections of the control alone"),
        Column("Coverage", ".status.coverage.share", wide=True),
        Column("Candidate", ".spec.candidate.serviceRef.name", wide=True),
        Column("Message", f"{_READY}.message", wide=True),
        Column("Age", ".metadata.creationTimestamp", "date"),
    ),
    selectable=(".spec.traffic.mirror.httpRouteRef.name",),
    rules=(
        (
            "self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            "metadata.name is the name of a Service too: up to 40 of a-z, 0-9 and -, a letter first, no - last",
        ),
    ),
    slice="shadow",
)

KINDS = (CANARY_ROLLOUT, CREDITS_LEDGER, SHADOW_EVALUATION)


def definition(kind: Kind) -> dict[str, Any]:
    """Return the CustomResourceDefinition of one kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.crd_name, "labels": {"app.kubernetes.io/part-of": "chaffinch"}},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [kind.short],
                "categories": ["chaffinch"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "selectableFields": [{"jsonPath": path} for path in kind.selectable],
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                    "schema": {"openAPIV3Schema": _root(kind)},
                }
            ],
        },
    }


def _column(column: Column) -> dict[str, Any]:
    rendered: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.json_path}
    if column.description:
        rendered["description"] = column.description
    if column.wide:
        rendered["priority"] = 1
    return rendered


def _root(kind: Kind) -> dict[str, Any]:
    rules = cel(*kind.rules) if kind.rules else {}
    return {
        "description": kind.description,
        "type": "object",
        **rules,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": API_VERSION, "type": "string"},
            "kind": {"description": kind.kind, "type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(kind.spec),
            "status": structural_status(kind.status),
        },
    }
