"""Pydantic's JSON Schema to a Kubernetes structural schema. Pure; knows no kind.

What the API server does not take is rewritten ($ref, anyOf with null, const, exclusive bounds) or dropped (titles,
null defaults). What has no structural form raises `NotStructural` with the field's path, as does anything unbounded:
the API server refuses CEL rules whose cost it cannot bound. Patterns need no check: pydantic's own engine knows, like
RE2, neither lookaround nor backreferences.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

_KEPT = (
    "description",
    "type",
    "format",
    "enum",
    "default",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "exclusiveMinimum",
    "maximum",
    "exclusiveMaximum",
    "minItems",
    "maxItems",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
    "required",
    "properties",
    "items",
)
_DROPPED = frozenset({"title", "additionalProperties", "$defs"})


class NotStructural(ValueError):  # noqa: N818 - says what the schema is not
    """The model has no structural schema; the message starts with the field's path."""


def structural(model: type[BaseModel]) -> Schema:
    """Return the structural schema of a spec model, defaults included."""
    raw = model.model_json_schema(by_alias=True)
    return _convert(raw, raw.get("$defs", {}), "")


def structural_status(model: type[BaseModel]) -> Schema:
    """Return the structural schema of a status model: without defaults and enums.

    A default would put words into the operator's mouth, and an enum would make the API server refuse the status of an
    operator that is one release newer than the CRD.
    """
    schema = structural(model)
    for path, node in walk(schema):
        node.pop("default", None)
        if node.pop("enum", None) is not None:
            node["maxLength"] = 64
            _replace(node, _ordered(node, path))
    return schema


def walk(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Yield every node with its path, such as `.analysis.gates[].name`; the root's path is empty."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")


def _convert(raw: Mapping[str, Any], defs: Mapping[str, Any], path: str) -> Schema:
    node = _without_null(_inline(raw, defs), defs, path)
    if "const" in node:
        node["enum"] = [node.pop("const")]
    for bound, inclusive in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if bound in node:
            node[inclusive], node[bound] = node[bound], True
    if "default" in node:
        node["default"] = _without_nulls(node["default"])
    if node.get("default", "") is None:
        del node["default"]
    if "properties" in node:
        node["properties"] = {
            name: _convert(child, defs, f"{path}.{name}") for name, child in node["properties"].items()
        }
    if "items" in node:
        node["items"] = _convert(node["items"], defs, f"{path}[]")
    node = _ordered(node, path)
    _check_bounds(node, path)
    return node


def _inline(raw: Mapping[str, Any], defs: Mapping[str, Any]) -> Schema:
    """Replace $ref by what it points at; what stands beside it (description, default) wins."""
    node = dict(raw)
    if "$ref" in node:
        target = str(node.pop("$ref")).rsplit("/", 1)[-1]
        return {**_inline(defs[target], defs), **node}
    return node


def _without_null(node: Schema, defs: Mapping[str, Any], path: str) -> Schema:
    """Turn anyOf [X, null] to X: absent is how Kubernetes says null."""
    if "anyOf" not in node:
        return node
    choices = [choice for choice in node["anyOf"] if choice != {"type": "null"}]
    if len(choices) != 1:
        raise NotStructural(f"{path}: anyOf of {len(choices)} types has no structural form")
    outer = {key: value for key, value in node.items() if key != "anyOf"}
    return {**_inline(choices[0], defs), **outer}


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _ordered(node: Schema, path: str) -> Schema:
    """Keep the known keywords, in one order; an unknown one is an error, not a silent loss."""
    unknown = node.keys() - set(_KEPT) - _DROPPED
    if unknown:
        raise NotStructural(f"{path}: no structural form for {', '.join(sorted(unknown))}")
    return {key: node[key] for key in _KEPT if key in node}


def _check_bounds(node: Schema, path: str) -> None:
    kind = node.get("type")
    if kind not in {"object", "array", "string", "integer", "boolean"}:
        raise NotStructural(f"{path}: type {kind!r}; floats are strings in our API")
    if kind == "string" and "maxLength" not in node and "enum" not in node:
        raise NotStructural(f"{path}: a string without max_length")
    if kind == "array" and "maxItems" not in node:
        raise NotStructural(f"{path}: a list without max_length")
    if kind == "object" and "properties" not in node:
        raise NotStructural(f"{path}: an object without fields; use a list of named objects instead of a map")


def _replace(node: Schema, new: Schema) -> None:
    node.clear()
    node.update(new)
