"""From pydantic's JSON Schema to a structural schema: one rewrite per test."""

from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic_core import SchemaError

from chaffinch_operator.crdgen.schema import NotStructural, structural, structural_status, walk
from chaffinch_operator.schema import Model, cel

Short = Annotated[str, Field(max_length=8)]


class Part(Model):
    """A part."""

    name: Short
    """Its name."""


class Colour(StrEnum):
    """A colour."""

    RED = "Red"
    BLUE = "Blue"


def one(annotation: Any, default: Any = ...) -> dict[str, Any]:
    """Schema of a field of this type."""
    model = create_model("M", __base__=Model, field=(annotation, default))
    schema: dict[str, Any] = structural(model)["properties"]["field"]
    return schema


def test_a_reference_is_inlined() -> None:
    """CRDs know no $ref."""
    assert one(Part) == {
        "description": "A part.",
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"description": "Its name.", "type": "string", "maxLength": 8}},
    }


def test_the_fields_own_words_win_over_its_types() -> None:
    """A docstring under the field replaces that of its model."""
    assert one(Annotated[Part, Field(description="The first part.")])["description"] == "The first part."


def test_optional_is_the_type_itself_and_not_required() -> None:
    """Absent is how Kubernetes says null."""
    model = create_model("M", __base__=Model, field=(Short | None, None))
    assert structural(model)["properties"]["field"] == {"type": "string", "maxLength": 8}
    assert "required" not in structural(model)


def test_an_optional_part_is_inlined_too() -> None:
    """AnyOf [$ref, null] becomes the part."""
    assert one(Part | None, None)["properties"]["name"]["type"] == "string"


def test_a_constant_is_an_enum_of_one() -> None:
    """CRDs know no const."""
    assert one(Literal["A"], "A") == {"type": "string", "enum": ["A"], "default": "A"}


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (Field(gt=0), {"minimum": 0, "exclusiveMinimum": True}),
        (Field(lt=9), {"maximum": 9, "exclusiveMaximum": True}),
        (Field(ge=0, le=9), {"minimum": 0, "maximum": 9}),
    ],
)
def test_bounds_are_written_as_crds_write_them(field: Any, expected: dict[str, Any]) -> None:
    """An exclusive bound is a bound and a flag."""
    assert one(Annotated[int, field]) == {"type": "integer", **expected}


def test_defaults_are_kept_without_nulls() -> None:
    """A nested default has only what was said."""
    model = create_model("D", __base__=Model, size=(int, 1), name=(Short | None, None))
    assert one(model, model())["default"] == {"size": 1}


def test_an_empty_default_is_kept() -> None:
    """An empty text or list is a default, too."""
    assert one(Short, "")["default"] == ""
    assert one(Annotated[list[Short], Field(max_length=2)], [])["default"] == []


def test_rules_and_list_types_pass_through() -> None:
    """CEL rules and list keys stand in the model as they stand in the CRD."""
    extra = {
        **cel(("size(self) > 0", "say something")),
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    }
    schema = one(Annotated[list[Part], Field(max_length=3, json_schema_extra=extra)])
    assert schema["x-kubernetes-validations"] == [{"rule": "size(self) > 0", "message": "say something"}]
    assert (schema["x-kubernetes-list-type"], schema["x-kubernetes-list-map-keys"]) == ("map", ["name"])


def test_titles_and_closed_objects_are_dropped() -> None:
    """The API server prunes unknown fields by itself."""

    class Closed(BaseModel):
        model_config = ConfigDict(extra="forbid")
        size: int

    assert structural(Closed) == {"type": "object", "required": ["size"], "properties": {"size": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("annotation", "complaint"),
    [
        (str, ".field: a string without max_length"),
        (list[Short], ".field: a list without max_length"),
        (Annotated[list[str], Field(max_length=2)], ".field[]: a string without max_length"),
        (dict[str, str], ".field: an object without fields"),
        (float, ".field: type 'number'"),
        (Short | int, ".field: anyOf of 2 types"),
        (Annotated[int, Field(multiple_of=2)], "no structural form for multipleOf"),
    ],
)
def test_what_has_no_structural_form_is_named(annotation: Any, complaint: str) -> None:
    """Generation fails with the field's path instead of losing something silently."""
    with pytest.raises(NotStructural) as raised:
        one(annotation)
    assert complaint in str(raised.value)


@pytest.mark.parametrize("pattern", ["^(?!a)", r"^(a)\1$", "^a(?=b)"])
def test_a_pattern_that_is_not_re2_is_refused_by_the_model(pattern: str) -> None:
    """The API server would refuse it; pydantic does so when the model is defined."""
    with pytest.raises(SchemaError):
        one(Annotated[str, Field(max_length=8, pattern=pattern)])


def test_a_status_has_neither_defaults_nor_enums() -> None:
    """The API server must not fill in what the operator did not say, nor refuse what a newer operator says."""
    model = create_model("S", __base__=Model, colour=(Colour, Colour.RED), size=(int, 1))
    assert structural_status(model)["properties"] == {
        "colour": {"description": "A colour.", "type": "string", "maxLength": 64},
        "size": {"type": "integer"},
    }


def test_walk_names_fields_as_people_do() -> None:
    """Paths look like those in the API server's messages."""
    model = create_model("W", __base__=Model, parts=(Annotated[list[Part], Field(max_length=2)], ...))
    assert [path for path, _ in walk(structural(model))] == ["", ".parts", ".parts[]", ".parts[].name"]
