"""What runs behind a Service, and whether another pod template would run the same. Pure."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chaffinch_operator.names import LABEL_TRACK

Body = Mapping[str, Any]
_SETTINGS = ("image", "command", "args", "env", "envFrom", "volumeMounts", "workingDir")


@dataclass(frozen=True, slots=True)
class Workload:
    """The one Deployment behind a Service; empty where there is none, or more than one."""

    deployment: str = ""
    images: tuple[str, ...] = ()
    digest: str = ""
    """Empty while a template is held back: the pods are not those of the Deployment's template."""


NOTHING = Workload()


def digest(template: Body) -> str:
    """Digest of what a template runs: images, commands, settings and volumes. Names, labels and sizes do not count."""
    spec = template.get("spec") or {}
    parts = [[_settings(c) for c in spec.get(kind) or ()] for kind in ("initContainers", "containers")]
    text = json.dumps([*parts, spec.get("volumes") or []], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def behind(service: Body, deployments: Iterable[Body]) -> Workload:
    """The Deployment whose pods a Service selects; canaries and baselines of a CanaryRollout do not count."""
    selector = {k: v for k, v in (service["spec"].get("selector") or {}).items() if k != "pod-template-hash"}
    found = [d for d in deployments if selector and _selected(d, selector)]
    if len(found) != 1:
        return NOTHING
    template = found[0]["spec"]["template"]
    images = tuple(c.get("image", "") for c in (template.get("spec") or {}).get("containers") or ())
    held = bool(found[0]["spec"].get("paused"))
    return Workload(found[0]["metadata"]["name"], images, "" if held else digest(template))


def _selected(deployment: Body, selector: Mapping[str, str]) -> bool:
    labels = (deployment["spec"]["template"].get("metadata") or {}).get("labels") or {}
    return LABEL_TRACK not in labels and selector.items() <= labels.items()


def _settings(container: Body) -> dict[str, Any]:
    return {key: container[key] for key in _SETTINGS if key in container}
