"""docs/reference/<kind>.md from a CRD: every field, its type, default and meaning, and every rule. Pure."""

from collections.abc import Iterator
from typing import Any

import yaml

from chaffinch_operator.crdgen.crd import Kind
from chaffinch_operator.crdgen.markdown import table
from chaffinch_operator.crdgen.schema import Schema, walk
from chaffinch_operator.names import GROUP, VERSION

_HEAD = """\
<!-- Generated from operator/chaffinch_operator/{folder}/ by `python -m chaffinch_operator.crdgen`. -->
# {kind}

`apiVersion: {group}/{version}`, short name `{short}`, namespaced. {description}

The same text is in the cluster: `kubectl explain {short}.spec`. Fields without a default are optional unless marked
**required**. Durations are written like `30s`, `5m` or `1h30m`; decimals are strings such as `"0.05"`.
"""
_RULES = """\
## Rules

The API server refuses an object that breaks one of these, with this message.

"""


def page(kind: Kind, definition: dict[str, Any]) -> str:
    """Return the page of one kind from its CustomResourceDefinition."""
    root = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    head = {"kind": kind.kind, "short": kind.short, "description": kind.description, "folder": kind.slice}
    parts = [_HEAD.format(group=GROUP, version=VERSION, **head)]
    parts += ["## Columns of `kubectl get`\n", _columns(kind)]
    for name in ("spec", "status"):
        parts.append(f"## {name}\n\n{root['properties'][name]['description']}\n")
        parts += _objects(root["properties"][name], name)
    parts.append(_RULES + _rules(root))
    return "\n".join(parts).rstrip() + "\n"


def _columns(kind: Kind) -> str:
    rows = [(column.name, f"`{column.json_path}`", "`-o wide`" if column.wide else "") for column in kind.columns]
    return table(("Column", "Value", ""), rows)


def _objects(schema: Schema, root: str) -> Iterator[str]:
    """Yield one table per object that has fields, in the order a reader meets them."""
    for path, node in walk(schema):
        if not node.get("properties"):
            continue
        if path:
            yield f"### {root}{path}\n"
        required = node.get("required", [])
        yield table(
            ("Field", "Type", "Default", "Meaning"),
            [
                (f"`{name}`", _type(child), _default(child), _meaning(child, name in required))
                for name, child in node["properties"].items()
            ],
        )


def _type(node: Schema) -> str:
    if "enum" in node:
        return " | ".join(f"`{value}`" for value in node["enum"])
    if node["type"] == "array":
        return f"list of {node['items']['type']}, at most {node['maxItems']}"
    low, high = node.get("minimum"), node.get("maximum")
    return f"{node['type']} {low}..{high}" if low is not None and high is not None else str(node["type"])


def _default(node: Schema) -> str:
    if "default" not in node:
        return ""
    text = yaml.safe_dump(node["default"], default_flow_style=True, sort_keys=False, width=10**6)
    return f"`{text.removesuffix('...' + chr(10)).strip()}`"


def _meaning(node: Schema, required: bool) -> str:
    text = node.get("description") or node.get("items", {}).get("description", "")
    return f"**required** {text}".strip() if required else str(text)


def _rules(root: Schema) -> str:
    return "".join(
        f"- `{path.removeprefix('.')}`: {rule['message']}\n"
        for path, node in walk(root)
        for rule in node.get("x-kubernetes-validations", [])
    )
