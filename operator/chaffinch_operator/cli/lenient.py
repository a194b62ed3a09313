"""Reading a status that a newer or older operator wrote: what cannot be understood is left out and named."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

_M = TypeVar("_M", bound=BaseModel)
_ROUNDS = 8


def read(model: type[_M], raw: dict[str, Any]) -> tuple[_M | None, tuple[str, ...]]:
    """The model as far as `raw` can be understood, and the paths that were left out; None when nothing is left."""
    rest = deepcopy(raw)
    left_out: list[str] = []
    for _ in range(_ROUNDS):
        try:
            return model.model_validate(rest), tuple(left_out)
        except ValidationError as error:
            paths = {tuple(problem["loc"]) for problem in error.errors(include_url=False)}
        # Backwards, so that indices of list elements still to be dropped stay right.
        for path in sorted(paths, key=_order, reverse=True):
            dropped = _drop(rest, path)
            if not dropped:
                return None, tuple(left_out)
            left_out.append(dropped)
    return None, tuple(left_out)


def _order(path: Sequence[str | int]) -> list[tuple[int, str]]:
    return [(part, "") if isinstance(part, int) else (0, part) for part in path]


def _drop(tree: Any, path: Sequence[str | int]) -> str:  # noqa: ANN401 -- any JSON
    """Remove what the path leads to, or where it leads nowhere the innermost thing on it; return what was removed."""
    holder, key, name = None, None, ""
    for depth, part in enumerate(path):
        if not _has(tree, part):
            break
        holder, key, name = tree, part, ".".join(map(str, path[: depth + 1]))
        tree = tree[part]
    if holder is not None:
        del holder[key]
    return name


def _has(tree: Any, part: str | int) -> bool:  # noqa: ANN401 -- any JSON
    if isinstance(tree, dict):
        return part in tree
    return isinstance(tree, list) and isinstance(part, int) and part < len(tree)
