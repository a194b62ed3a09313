"""Writes docs/credits/api.md from the OpenAPI document: `python -m chaffinch_credits.api.reference`, or `--check`."""

import sys
from pathlib import Path
from typing import Any

from chaffinch_credits.api.app import document
from chaffinch_credits.api.problems import status_of, title_of
from chaffinch_credits.ledger.words import Outcome

PAGE = Path(__file__).parents[3] / "docs" / "credits" / "api.md"
_HEAD = """# API reference

Made from the service's OpenAPI document (`python -m chaffinch_credits.api.reference`); a running service has it at
`/openapi.json`. Bodies are `application/json`, amounts decimal strings, times RFC 3339 with a zone.
"""
Schema = dict[str, Any]


def page(described: Schema) -> str:
    """The whole page."""
    parts = [_HEAD, "## Operations\n"]
    for path, methods in described["paths"].items():
        parts += [_operation(f"{method.upper()} {path}", one, described) for method, one in methods.items()]
    shapes = {name: one for name, one in described["components"]["schemas"].items() if name.endswith("Shape")}
    parts += ["## Answers\n", *(_shape(name, one) for name, one in shapes.items()), _outcomes()]
    return "\n".join(parts)


def _operation(title: str, one: Schema, described: Schema) -> str:
    lines = [f"### {title}\n", f"{one['summary']}.\n", "| | in | |", "| --- | --- | --- |"]
    lines += [
        _row(each["name"], each["in"], each["description"], required=each["required"]) for each in one["parameters"]
    ]
    if "requestBody" in one:
        body = _resolved(one["requestBody"]["content"]["application/json"]["schema"], described)
        required = body.get("required", ())
        lines += [
            _row(name, "body", field.get("description", f"`{field.get('const', '')}`"), required=name in required)
            for name, field in body["properties"].items()
        ]
    good = sorted(status for status in one["responses"] if status.startswith("2"))
    bad = sorted(status for status in one["responses"] if not status.startswith("2"))
    gives = next(iter(one["responses"]["200"]["content"].values()))["schema"]
    kind = gives.get("$ref", gives.get("format", "text")).rpartition("/")[2].removesuffix("Shape")
    return "\n".join([*lines, "", f"Answers {', '.join(good)} with {kind}; problems {', '.join(bad)}.\n"])


def _row(name: str, where: str, meaning: str, *, required: bool) -> str:
    return f"| `{name}` | {where}{', required' if required else ''} | {meaning} |"


def _shape(name: str, one: Schema) -> str:
    required = one.get("required", ())
    rows = [
        f"| `{field}` | {_type(schema)}{'' if field in required else ', if it has one'} |"
        for field, schema in one["properties"].items()
    ]
    return "\n".join(
        [f"### {name.removesuffix('Shape')}\n", f"{one['description']}\n", "| | |", "| --- | --- |", *rows, ""]
    )


def _type(schema: Schema) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2].removesuffix("Shape")
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}"
    return str(schema["type"])


def _resolved(schema: Schema, described: Schema) -> Schema:
    found: Schema = described["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def _outcomes() -> str:
    """What the ledger decides, in order of precedence."""
    rows = [f"| `{one.value}` | {status_of(one)} | {title_of(one)} |" for one in Outcome if one is not Outcome.OK]
    head = ["### Refusals\n", "In order of precedence: the first that applies is said.\n", "| code | status | |"]
    return "\n".join([*head, "| --- | --- | --- |", *rows, ""])


def main(arguments: list[str]) -> int:
    """Write the page, or compare it; 1 when it is not what the code says."""
    made = page(document())
    if arguments == ["--check"]:
        if PAGE.exists() and PAGE.read_text() == made:
            return 0
        sys.stderr.write(f"{PAGE} is not what the code says: run python -m chaffinch_credits.api.reference\n")
        return 1
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
