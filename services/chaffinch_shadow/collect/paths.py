"""The part of JSONPath (RFC 9535) that names places: members, indices, wildcards and descendants; no filters."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_STEP = re.compile(
    r"""\.\.(?P<deep>[A-Za-z_][\w-]*)
      | \.(?P<name>[A-Za-z_][\w-]*)
      | (?P<every>\.\*|\[\*\])
      | \[(?P<index>\d{1,9})\]
      | \['(?P<single>[^'\\]+)'\]
      | \["(?P<double>[^"\\]+)"\]""",
    re.VERBOSE,
)
_MOST_DEPTH = 64
GONE = object()
"""What a place is replaced by to remove it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: a member (str), an index (int) or every child (None); deep: of all descendants too."""

    key: str | int | None
    deep: bool = False


Path = tuple[Step, ...]


def parse(text: str) -> Path:
    """Return the steps. ValueError when the text is outside the supported part of JSONPath."""
    if not text.startswith("$") or text == "$":
        raise ValueError(f'"{text}" is no JSONPath to a member: write it like $.user.card, $.items[*].id or $..token')
    steps, at = [], 1
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            raise ValueError(
                f'"{text}" is not understood from "{text[at:]}" on: members, indices, * and .. are supported'
            )
        steps.append(_step(match))
        at = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> Step:
    if match["deep"]:
        return Step(match["deep"], deep=True)
    if match["every"]:
        return Step(None)
    if match["index"]:
        return Step(int(match["index"]))
    return Step(match["name"] or match["single"] or match["double"])


def replace(document: Any, path: Path, by: object) -> Any:  # noqa: ANN401 - JSON
    """Return the document with every place of the path replaced, or removed by `GONE`; the argument stays as it is."""
    if not path:
        return by
    if isinstance(document, dict):
        changed = {name: _child(child, name, path, by) for name, child in document.items()}
        return {name: child for name, child in changed.items() if child is not GONE}
    if isinstance(document, list):
        items = [_child(child, place, path, by) for place, child in enumerate(document)]
        return [child for child in items if child is not GONE]
    return document


def _child(child: Any, place: str | int, path: Path, by: object) -> Any:  # noqa: ANN401 - JSON
    step, rest = path[0], path[1:]
    if step.key is None or step.key == place:
        child = replace(child, rest, by)
    return child if child is GONE or not step.deep else replace(child, path, by)


def found(document: object, path: Path) -> list[object]:
    """Return what is at the places of the path."""
    if not path:
        return [document]
    step, rest = path[0], path[1:]
    values: list[object] = []
    for place, child in _places(document):
        if step.key is None or step.key == place:
            values += found(child, rest)
        if step.deep:
            values += found(child, path)
    return values


def too_deep(document: object) -> bool:
    """Whether a document is nested more deeply than rules are applied to."""
    level = [document]
    for _ in range(_MOST_DEPTH):
        level = [child for each in level for child in _children(each)]
        if not level:
            return False
    return True


def _places(value: object) -> Iterable[tuple[str | int, object]]:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def _children(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
