"""Writes of a plan, and how a difference is told without being fooled by the server's defaults. Pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from chaffinch_operator.children.owner import Object
from chaffinch_operator.children.seen import Found
from chaffinch_operator.names import ANNOTATION_DIGEST


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply."""

    kind: str
    body: Object


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object of ours."""

    kind: str
    name: str


def digest(body: Object, ignored: str = "") -> str:
    """Digest of an object as we build it, but for one field of its spec."""
    spec = {field: value for field, value in body.get("spec", {}).items() if field != ignored}
    seen = {**body, "spec": spec} if "spec" in body else body
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()[:16]


def noted(body: Object, ignored: str = "") -> Object:
    """With its digest. What another has to say about is not counted as a difference."""
    return {**body, "metadata": {**body["metadata"], "annotations": {ANNOTATION_DIGEST: digest(body, ignored)}}}


def differs(objects: Mapping[tuple[str, str], Found], kind: str, body: Object) -> bool:
    """Whether a noted object has to be written."""
    found = objects.get((kind, body["metadata"]["name"]))
    if found is not None and kind == "Job":
        return False  # a Job's template cannot be changed; another version has a Job of another name
    return found is None or found.digest != body["metadata"]["annotations"][ANNOTATION_DIGEST]
