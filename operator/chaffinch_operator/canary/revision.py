"""Pod templates as revisions: a digest that is the same for the same template, wherever it is stored."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

HASH_LABEL = "pod-template-hash"
Template = Mapping[str, Any]


def bare(template: Template) -> dict[str, Any]:
    """The template without pod-template-hash, as the Deployment holds it."""
    copy: dict[str, Any] = json.loads(json.dumps(template))
    metadata = copy.get("metadata") or {}
    labels = metadata.get("labels") or {}
    labels.pop(HASH_LABEL, None)
    metadata = {k: v for k, v in {**metadata, "labels": labels}.items() if v not in (None, {}, [])}
    return {**copy, "metadata": metadata}


def digest(template: Template) -> str:
    """Ten hex digits that name a template.

    Both sides were defaulted by the API server, so equal templates are equal JSON; unlike pod-template-hash this
    is known before a ReplicaSet exists (a paused Deployment gets none).
    """
    text = json.dumps(bare(template), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def image(template: Template) -> str:
    """Image of the first container, by which a person recognises the revision."""
    containers = (template.get("spec") or {}).get("containers") or [{}]
    return str(containers[0].get("image", ""))
