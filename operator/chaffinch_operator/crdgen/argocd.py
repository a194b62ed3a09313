"""The Argo CD fragment of argocd-cm from the Lua files beside it. Pure: texts in, object out."""

from collections.abc import Mapping
from typing import Any

from chaffinch_operator.crdgen.crd import Kind
from chaffinch_operator.crdgen.text import plain_yaml
from chaffinch_operator.names import GROUP

VERBS = ("promote", "promote-force", "abort", "retry", "pause", "resume")
"""Actions in the order they are offered; each has a file actions/<verb>/action.lua."""


def scripts_folder(kind: Kind) -> str:
    """Folder of a kind's Lua files below manifests/argocd, laid out as in Argo CD's resource_customizations."""
    return f"{GROUP}/{kind.kind}"


def config_map(scripts: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return the patch of argocd-cm; `scripts` maps a kind to its Lua: paths within its folder to texts."""
    data: dict[str, str] = {}
    for kind, lua in scripts.items():
        data[f"resource.customizations.health.{GROUP}_{kind}"] = lua["health.lua"]
        if "actions/discovery.lua" in lua:
            data[f"resource.customizations.actions.{GROUP}_{kind}"] = plain_yaml(_actions(lua))
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}, "data": data}


def _actions(lua: Mapping[str, str]) -> dict[str, Any]:
    return {
        "discovery.lua": lua["actions/discovery.lua"],
        "definitions": [{"name": verb, "action.lua": lua[f"actions/{verb}/action.lua"]} for verb in VERBS],
    }
