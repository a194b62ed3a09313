"""The OpenAPI document, made from the operations, the models of what is sent and the types of what is answered."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, TypeAdapter

from chaffinch_credits.api import models, shapes
from chaffinch_credits.api.cache import MOST_SECONDS
from chaffinch_credits.api.commands import Handler

Schema = dict[str, Any]
_VERSION = "3.1.0"
_EVERYWHERE = (401, 403, 404, 405, 429, 503)
_WRITING = (400, 413, 415)
_REF = "#/components/schemas/{model}"
_LEDGER: Schema = {"type": "string", "pattern": models.LEDGER_PATTERN}
_NUMBER: Schema = {"type": "integer", "minimum": 1, "maximum": 2**62}
PARAMETERS: dict[str, tuple[Schema, str]] = {
    "account": ({"type": "string", "pattern": models.ACCOUNT_PATTERN}, "name of the account"),
    "ledger": (_LEDGER, "name of the ledger"),
    "id": ({"type": "string", "format": "uuid"}, "id of the request that made it"),
    "at_seq": (_NUMBER, "as it was after this entry"),
    "as_of": ({"type": "string", "format": "date-time"}, "as it was at this time"),
    "max_age": (
        {"type": "integer", "minimum": 1, "maximum": MOST_SECONDS},
        "seconds that the answer may be old: from the cache, where there is one; without, it is as of now",
    ),
    "before": (_NUMBER, "entries with a lower sequence than this"),
    "limit": ({"type": "integer", "minimum": 1, "maximum": 500, "default": 100}, "entries on a page"),
    "seq": (_NUMBER, "sequence of the entry"),
    "size": (_NUMBER, "entries that the tree has; not more than the newest checkpoint"),
    "level": ({"type": "integer", "minimum": 0, "maximum": 5}, "height above the leaves, in tiles"),
    "index": (
        {"type": "string", "pattern": r"^(x[0-9]{3}/){0,5}[0-9]{3}(\.p/[1-9][0-9]{0,2})?$"},
        "of the tile, and its width when it is not full, such as x001/234 or 000.p/7",
    ),
    "webhook": ({"type": "string", "format": "uuid"}, "id of the webhook"),
    "from": (_NUMBER, "entries that the older tree has"),
}
"""Schema and meaning of all parameters, by name."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One route.

    Attributes:
        method: in capitals.
        path: with parameters in braces.
        handler: answers it.
        name: operationId.
        summary: a phrase.
        gives: type of the answer, str for text, bytes for what is binary.
        takes: model of the body.
        query: names of query parameters, with a star when they are required.
        refers: the field of the model that the path gives instead.
        refusals: statuses that decisions of the ledger have, beside those that every operation has.
        admin: it needs the scope admin.

    """

    method: str
    path: str
    handler: Handler
    name: str
    summary: str
    gives: Any
    takes: type[BaseModel] | None = None
    query: tuple[str, ...] = ()
    refers: str = ""
    refusals: tuple[int, ...] = field(default=())
    admin: bool = False

    @property
    def keyed(self) -> bool:
        """Whether an Idempotency-Key can stand for the id."""
        return self.takes is not None and issubclass(self.takes, models.Body)


def document(operations: Sequence[Operation], version: str) -> Schema:
    """The whole document."""
    schemas: Schema = {}
    paths: Schema = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schemas)
    _batch_items(schemas)
    return {
        "openapi": _VERSION,
        "info": {"title": "Chaffinch credits", "version": version, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "an API key"}},
        },
        "security": [{"key": []}, {}],
    }


def _operation(one: Operation, schemas: Schema) -> Schema:
    named = [part[1:].partition("}")[0] for part in one.path.split("/") if part.startswith("{")]
    found: Schema = {
        "operationId": one.name,
        "summary": one.summary,
        "parameters": [_parameter(name, "path", required=True) for name in named]
        + [_parameter(name.rstrip("*"), "query", required=name.endswith("*")) for name in one.query],
        "responses": _responses(one, schemas),
    }
    if one.keyed:
        found["parameters"].append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "stands for the id, where the body has none",
                "schema": {"type": "string", "pattern": models.KEY_PATTERN},
            }
        )
    if one.takes is not None:
        ref = _model(one.takes, one.refers, schemas)
        required = bool(schemas[ref["$ref"].rpartition("/")[2]].get("required"))
        found["requestBody"] = {"required": required, "content": {"application/json": {"schema": ref}}}
    return found


def _parameter(name: str, where: str, *, required: bool) -> Schema:
    schema, meaning = PARAMETERS[name]
    return {"name": name, "in": where, "required": required, "description": meaning, "schema": schema}


def _responses(one: Operation, schemas: Schema) -> Schema:
    good = _content(one.gives, schemas)
    statuses = {200, *((201,) if one.keyed else ())}
    found: Schema = {str(status): {"description": _phrase(status), "content": good} for status in sorted(statuses)}
    if one.keyed:
        found["200"]["description"] = "The same request was decided before"
        found["200"]["headers"] = {"Idempotency-Replayed": {"schema": {"const": "true"}, "required": True}}
    problem = {"application/problem+json": {"schema": _type(shapes.ProblemShape, schemas)}}
    bad = {400, *_EVERYWHERE, *(_WRITING if one.takes else ()), *one.refusals}
    for status in sorted(bad):
        found[str(status)] = {"description": _phrase(status), "content": problem}
    for status in ("429", "503"):
        found[status]["headers"] = {
            "Retry-After": {"schema": {"type": "integer", "minimum": 1}, "required": True, "description": "seconds"}
        }
    return found


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase


def _content(gives: Any, schemas: Schema) -> Schema:  # noqa: ANN401 - a type of any kind
    if gives is bytes:
        return {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    if gives is str:
        return {"text/plain": {"schema": {"type": "string"}}}
    return {"application/json": {"schema": _type(gives, schemas)}}


def _type(shape: Any, schemas: Schema) -> Schema:  # noqa: ANN401 - a type of any kind
    adapter: TypeAdapter[Any] = TypeAdapter(shape)
    made = adapter.json_schema(ref_template=_REF)
    schemas.update(made.pop("$defs", {}))
    schemas.setdefault(shape.__name__, made)
    return {"$ref": _REF.format(model=shape.__name__)}


def _model(model: type[BaseModel], refers: str, schemas: Schema) -> Schema:
    """A body's schema; what the path gives is left out of it."""
    made = model.model_json_schema(ref_template=_REF)
    schemas.update(made.pop("$defs", {}))
    if refers:
        made["properties"].pop(refers)
        made["required"] = [name for name in made.get("required", ()) if name != refers]
        if not made["required"]:
            made.pop("required")
    name = model.__name__ + ("By" + refers.capitalize() if refers else "")
    schemas[name] = made
    return {"$ref": _REF.format(model=name)}


def _batch_items(schemas: Mapping[str, Any]) -> None:
    """In a batch each request says its type and its id."""
    choices = []
    for kind, model in models.BODIES.items():
        made = deepcopy(model.model_json_schema(ref_template=_REF))
        made["required"] = sorted({*made.get("required", ()), "id", "type"})
        made["properties"]["id"] = {"type": "string", "format": "uuid"}
        made["title"] = f"{kind} in a batch"
        choices.append(made)
    schemas["BatchBody"]["properties"]["requests"]["items"] = {"oneOf": choices}
