"""The evaluation's file, as the service reads it. Pure."""

import json
from typing import Any

from chaffinch_operator.schema import seconds
from chaffinch_operator.shadow.model import Scope, ShadowEvaluationSpec, Version
from chaffinch_operator.shadow.snapshot import Snapshot

_SIZES = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20}


def file(spec: ShadowEvaluationSpec, snap: Snapshot) -> str:
    """The text of the file."""
    return json.dumps(document(spec, snap), indent=1, sort_keys=True) + "\n"


def document(spec: ShadowEvaluationSpec, snap: Snapshot) -> dict[str, Any]:
    """The settings of one generation."""
    found = {
        "uid": snap.uid,
        "generation": snap.generation,
        "namespace": snap.namespace,
        "name": snap.name,
        "control": _address(spec.control),
        "candidate": _address(spec.candidate),
        "mirror": _scope(spec.scope),
        "compare": spec.compare.model_dump(by_alias=True, exclude_none=True),
        "labels": _labels(spec),
        "retention": {
            "samplesDays": days(spec.retention.samples),
            "aggregatesDays": days(spec.retention.aggregates),
        },
        "hypothesis": spec.hypothesis.model_dump(by_alias=True, exclude_none=True),
        "guardrails": [each.model_dump(by_alias=True, exclude_none=True) for each in spec.guardrails],
    }
    return found if spec.noise_control is None else found | {"noiseControl": _address(spec.noise_control)}


def days(text: str) -> int:
    """Days of a text such as 7d."""
    return int(text.removesuffix("d"))


def size(text: str) -> int:
    """Bytes of a text such as 1Mi."""
    unit = text.lstrip("0123456789")
    return int(text.removesuffix(unit)) * _SIZES[unit]


def _address(version: Version) -> str:
    return f"http://{version.service_ref.name}:{version.service_ref.port}"


def _scope(scope: Scope) -> dict[str, Any]:
    return {
        "methods": scope.methods,
        "allowUnsafe": scope.allow_unsafe,
        "maxBodyBytes": size(scope.max_body_bytes),
        "redact": scope.redact,
    }


def _labels(spec: ShadowEvaluationSpec) -> dict[str, Any]:
    found: dict[str, Any] = {"maxDelaySeconds": max(int(seconds(spec.labels.max_delay)), 1)}
    if spec.labels.source is not None:
        found["header"] = spec.labels.source.header
    return found
