"""A CanaryRollout from a file, as a person keeps it in Git: read and checked without a cluster."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.cli import words
from chaffinch_operator.cli.failures import DeclinedError, UsageProblemError
from chaffinch_operator.names import API_VERSION

KIND = "CanaryRollout"
_PROBLEMS = 3


@dataclass(frozen=True, slots=True)
class Manifest:
    """One CanaryRollout of a file."""

    name: str
    namespace: str
    """Empty when the file names none."""
    spec: CanaryRolloutSpec


def load(path: str, name: str | None = None) -> Manifest:
    """The CanaryRollout of that name in a YAML or JSON file ("-": standard input); the only one when none is named."""
    import yaml  # noqa: PLC0415 -- rarely needed

    try:
        found = [d for d in _objects(yaml.safe_load_all(read_text(path))) if d.get("kind") == KIND]
    except yaml.YAMLError as error:
        raise DeclinedError(f"{path} is no YAML: {error}") from error
    return _manifest(path, _chosen(path, found, name))


def read_text(path: str) -> str:
    """The text of a file, or of standard input for "-"."""
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblemError(f"cannot read {path}: {_why(error)}") from error


def _why(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8 text"


def _objects(documents: Iterator[Any]) -> Iterator[dict[str, Any]]:
    """The objects of a file, those of lists too."""
    for document in documents:
        if isinstance(document, dict):
            items = document.get("items")
            yield from (o for o in (items if isinstance(items, list) else [document]) if isinstance(o, dict))


def _chosen(path: str, found: list[dict[str, Any]], name: str | None) -> dict[str, Any]:
    if not found:
        raise DeclinedError(f"there is no {KIND} in {path}", f"it must hold one of apiVersion {API_VERSION}")
    names = [str(_mapping(d, "metadata").get("name", "")) for d in found]
    if name is None and len(found) > 1:
        raise UsageProblemError(f"{path} holds {words.listing(names)}", "name one with --rollout")
    matching = [d for d, n in zip(found, names, strict=True) if name in (None, n)]
    if not matching:
        raise UsageProblemError(f'there is no {KIND} "{name}" in {path}', f"there is {words.listing(names)}")
    return matching[0]


def _manifest(path: str, document: dict[str, Any]) -> Manifest:
    meta = _mapping(document, "metadata")
    try:
        spec = CanaryRolloutSpec.model_validate(document.get("spec"))
    except ValidationError as error:
        problems = error.errors(include_url=False)
        shown = [f"{'.'.join(map(str, ('spec', *p['loc'])))}: {p['msg']}" for p in problems[:_PROBLEMS]]
        more = f" (and {len(problems) - _PROBLEMS} more)" if len(problems) > _PROBLEMS else ""
        raise DeclinedError(f"{path}: {'; '.join(shown)}{more}", "see docs/reference/canaryrollout.md") from error
    names = [gate.name for gate in spec.analysis.gates]
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise DeclinedError(f'{path}: spec.analysis.gates: two gates have the name "{twice}"')
    return Manifest(str(meta.get("name", "")), str(meta.get("namespace") or ""), spec)


def _mapping(document: dict[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}
