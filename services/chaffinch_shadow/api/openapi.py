"""The OpenAPI document, made from the operations and the models of what is sent and answered."""

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from chaffinch_shadow.api.models import Model
from chaffinch_shadow.store.reads import Listing

Schema = dict[str, Any]
_REF = "#/components/schemas/{model}"
_PARAMETERS: dict[str, Schema] = {
    "requests": {"description": "Requests that the gateway served", "schema": {"type": "integer", "minimum": 1}},
    "percent": {
        "description": "Of which it copies",
        "schema": {"type": "integer", "minimum": 1, "maximum": 100},
    },
    "after": {"description": "What `next` of the page before says", "schema": {"type": "string"}},
    "limit": {"description": "Samples on a page", "schema": {"type": "integer", "minimum": 1, "maximum": 500}},
}
_PROBLEM: Schema = {
    "type": "object",
    "required": ["type", "status", "code", "title"],
    "properties": {
        "type": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "title": {"type": "string"},
        "field": {"type": "string"},
    },
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One route.

    Attributes:
        method: in capitals.
        path: with parameters in braces.
        name: operationId.
        summary: a phrase.
        gives: model of the answer, None for CSV.
        takes: model of the body.
        query: names of query parameters.

    """

    method: str
    path: str
    name: str
    summary: str
    gives: type[Model] | None
    takes: type[Model] | None = None
    query: tuple[str, ...] = ()


def document(operations: Iterable[Operation]) -> Schema:
    """The whole document."""
    schemas: Schema = {"Problem": _PROBLEM}
    paths: Schema = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Chaffinch shadow",
            "version": version("chaffinch"),
            "license": {"name": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(one: Operation, schemas: Schema) -> Schema:
    parameters = [{"name": name, "in": "query", **_PARAMETERS[name]} for name in one.query]
    if "{listing}" in one.path:
        kinds = {"type": "string", "enum": [kind.value for kind in Listing]}
        parameters.append({"name": "listing", "in": "path", "required": True, "schema": kinds})
    answers = {"200": {"description": "OK", "content": _content(one.gives, schemas)}}
    refusals = (400, 401, 404, 503) if one.takes is None else (400, 401, 413, 415, 503)
    for status in refusals:
        problem = {"application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}}}
        answers[str(status)] = {"description": HTTPStatus(status).phrase, "content": problem}
    made: Schema = {"operationId": one.name, "summary": one.summary, "parameters": parameters, "responses": answers}
    if one.takes is not None:
        made["requestBody"] = {"required": True, "content": _content(one.takes, schemas)}
    return made


def _content(model: type[Model] | None, schemas: Schema) -> Schema:
    if model is None:
        return {"text/csv": {"schema": {"type": "string"}}}
    schema = model.model_json_schema(ref_template=_REF, by_alias=True)
    schemas.update(schema.pop("$defs", {}))
    schemas[model.__name__] = schema
    return {"application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}}}
