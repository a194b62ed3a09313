"""The file that `backtest -o json` wrote, read back for a page. What is in it is data of a stranger: checked whole."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from chaffinch_operator.cli.charts import Replayed
from chaffinch_operator.cli.failures import DeclinedError
from chaffinch_operator.cli.manifest import read_text
from chaffinch_operator.cli.replay_document import VERSION, Document

Word = Annotated[str, Field(max_length=4096)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, strict=True)


class _Arm(_Model):
    bad: Annotated[int, Field(ge=0)]
    total: Annotated[int, Field(ge=0)]


class _Gate(_Model):
    name: Word
    verdict: Word
    acting: bool
    canary: _Arm
    baseline: _Arm
    ratio: Number | None
    interval: Annotated[list[Number | None], Field(min_length=2, max_length=2)]
    p_value: Number | None
    log_e_harm: Number | None = Field(alias="logEHarm")
    log_e_safe: Number | None = Field(alias="logESafe")
    dispersion: Number | None


class _Interval(_Model):
    end: Annotated[AwareDatetime, Field(strict=False)]
    weight: Number | None
    decision: Word
    at: Word | None
    gates: Annotated[list[_Gate], Field(max_length=32)]


class _Thresholds(_Model):
    alpha: Number
    beta: Number
    gates: int
    log_e_harm: Annotated[float, Field(alias="logEHarm", gt=0.0, allow_inf_nan=False)]
    log_e_safe: Annotated[float, Field(alias="logESafe", gt=0.0, allow_inf_nan=False)]


class _History(_Model):
    source: Word
    start: Annotated[AwareDatetime, Field(strict=False)] | None
    end: Annotated[AwareDatetime, Field(strict=False)] | None
    intervals: int


class _Design(_Model):
    harm_ratio: Number | None
    margin_ratio: Number | None
    max_ratio: Number | None


class _Result(_Model):
    kind: Literal["BacktestResult"]
    version: Literal[1]
    name: Word
    decision: Word
    at: Word | None
    reason: Word
    message: Word
    thresholds: _Thresholds
    history: _History
    notes: Annotated[list[Word], Field(max_length=100)]
    designs: dict[str, _Design]
    messages: dict[str, Word]
    gates: Annotated[list[_Gate], Field(max_length=32)]
    intervals: list[_Interval]


def read_result(path: str) -> tuple[Document, Replayed | None]:
    """The document without its intervals, and their curves. DeclinedError names what is wrong."""
    try:
        result = _Result.model_validate_json(read_text(path))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise DeclinedError(
            f"{path} is no result of a backtest: {where}: {first['msg']}",
            f"write one, of version {VERSION}, with: kubectl chaffinch backtest ... -o json",
        ) from error
    document = result.model_dump(by_alias=True, mode="json")
    intervals = document.pop("intervals")
    start, end = result.history.start, result.history.end
    return document, _curves(intervals, start, end) if start and end else None


def _curves(intervals: list[Document], start: datetime, end: datetime) -> Replayed:
    seen = Replayed(start, end)
    for interval in intervals:
        seen.add(interval)
    return seen
