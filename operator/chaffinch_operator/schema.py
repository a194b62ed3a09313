"""What all models of the API are made of: base class, CEL rules, names, durations, decimals and conditions."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from chaffinch_operator import conditions

_DURATION_PART = re.compile(r"([0-9]+)(ms|s|m|h)")
_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


def seconds(duration: str) -> float:
    """Parse a duration such as "30s", "5m" or "1h30m" to seconds; ValueError names the text."""
    parts = _DURATION_PART.findall(duration)
    if not parts or "".join(a + b for a, b in parts) != duration:
        raise ValueError(f'"{duration}" is no duration: write it like 30s, 5m or 1h30m')
    # Whole milliseconds, divided once: 9 * 0.001 is not 0.009, and a bucket boundary must be met exactly.
    return sum(int(number) * _MILLISECONDS[unit] for number, unit in parts) / 1000


def explained(problem: ValueError) -> str:
    """Name the field of a spec, where one is known, and what is wrong with it."""
    if not isinstance(problem, ValidationError):
        return str(problem)
    first = problem.errors()[0]
    return f"spec.{'.'.join(map(str, first['loc']))}: {first['msg']}"


def cel(*rules: tuple[str, str]) -> dict[str, Any]:
    """Schema extra that carries CEL rules as (rule, message)."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in rules]}


Name = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
Label = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
Duration = Annotated[str, Field(max_length=16, pattern=r"^([0-9]+(ms|s|m|h))+$")]
Decimal = Annotated[str, Field(max_length=16, pattern=r"^[0-9]+(\.[0-9]+)?$")]
Hostname = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
Query = Annotated[str, Field(min_length=1, max_length=2048)]
Text = Annotated[str, Field(max_length=1024)]
Short = Annotated[str, Field(max_length=253)]
Time = Annotated[str, Field(max_length=32)]


class Model(BaseModel):
    """Base of all API models: frozen, camelCase on the wire, unknown fields ignored on read."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )


class Condition(Model):
    """A Kubernetes condition (metav1.Condition)."""

    type: Short
    """What it is about, such as Ready."""
    status: Short
    """True, False or Unknown."""
    reason: Short
    """Why, as in lastDecision.reason."""
    message: Annotated[str, Field(max_length=2048)]
    """The same for people, with the numbers."""
    last_transition_time: Time
    """When status changed last."""
    observed_generation: int
    """metadata.generation that this was said about."""


def merged(old: Sequence[Condition], new: Sequence[conditions.NewCondition], now: datetime) -> list[Condition]:
    """Conditions after a pass; see `conditions.merge`."""
    before = [conditions.Condition(**one.model_dump()) for one in old]
    return [Condition(**asdict(one)) for one in conditions.merge(before, new, now)]


def compact(model: Model) -> dict[str, Any]:
    """The model as JSON, without what is empty."""
    pruned = _prune(model.model_dump(by_alias=True, mode="json"))
    return pruned if isinstance(pruned, dict) else {}


def _prune(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return {k: p for k, v in value.items() if (p := _prune(v)) not in (None, "", [], {})}
    if isinstance(value, list):
        return [_prune(v) for v in value]
    return value
