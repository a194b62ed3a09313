"""Names, labels and annotations of everything the operator makes. Pure: strings in, strings out.

Names are deterministic, so a replayed step meets the object it made before.
"""

import hashlib

GROUP = "chaffinch.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

FIELD_MANAGER = "chaffinch-canary"
"""Field manager of the canary slice in server-side apply."""
LEDGER_MANAGER = "chaffinch-credits"
"""Field manager of the credits slice."""
EVALUATION_MANAGER = "chaffinch-shadow"
"""Field manager of the shadow slice."""
CORE_MANAGER = "chaffinch-core"
"""Field manager of the hold policies, namespace labels and the Lease."""
FINALIZER = f"{GROUP}/finalizer"

ANNOTATION_ACTION = f"{GROUP}/action"
"""What a person asks of a CanaryRollout: `<verb>@<token>`."""
ANNOTATION_ISOLATED = f"{GROUP}/isolated"
"""On the user's Service while its selector is narrowed to stable's pods; the value is the CanaryRollout's name."""
ANNOTATION_DIGEST = f"{GROUP}/digest"
"""Digest of the object as we built it, to see a difference without being fooled by the server's defaults."""
LABEL_TRACK = f"{GROUP}/track"
"""On pods: canary or baseline."""
LABEL_ROLLOUT = f"{GROUP}/rollout"
"""On children: name of their CanaryRollout."""
LABEL_LEDGER = f"{GROUP}/ledger"
"""On children: name of their CreditsLedger."""
LABEL_EVALUATION = f"{GROUP}/evaluation"
"""On children: name of their ShadowEvaluation."""
LABEL_HOLD = f"{GROUP}/hold"
"""On namespaces with a CanaryRollout: the hold policies look here and nowhere else."""
HOLD_ENABLED = "enabled"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "chaffinch"
LABEL_NAME = "app.kubernetes.io/name"

MAX_NAME = 63
_HASH_LENGTH = 8


def child_name(base: str, suffix: str, limit: int = MAX_NAME) -> str:
    """Return `<base>-<suffix>`, at most `limit` characters: a longer base is cut and told apart by a hash."""
    name = f"{base}-{suffix}"
    if len(name) <= limit:
        return name
    digest = hashlib.sha256(base.encode()).hexdigest()[:_HASH_LENGTH]
    room = limit - len(suffix) - _HASH_LENGTH - 2
    if room < 1:
        raise ValueError(f'suffix "{suffix}" leaves no room for a name')
    return f"{base[:room].rstrip('-.')}-{digest}-{suffix}"


def label_value(text: str) -> str:
    """Return the text as a label value: as it is up to 63 characters, else cut and told apart by a hash."""
    if len(text) <= MAX_NAME:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]
    return f"{text[: MAX_NAME - _HASH_LENGTH - 1].rstrip('-._')}-{digest}"


def canary_name(target: str) -> str:
    """Name of the canary Deployment of a target, or of the canary Service of a Service."""
    return child_name(target, "canary")


def baseline_name(target: str) -> str:
    """Name of the dedicated baseline of a target."""
    return child_name(target, "baseline")


def child_labels(rollout: str, name: str) -> dict[str, str]:
    """Labels of a child: whose it is and who made it. Never the parent's labels: GitOps tools track by them."""
    return {LABEL_MANAGED_BY: MANAGED_BY, LABEL_NAME: label_value(name), LABEL_ROLLOUT: label_value(rollout)}
