"""What is sent and what is answered. Counts are strings: they may exceed what JSON readers hold exactly."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Count = Annotated[str, Field(pattern=r"^[0-9]+$")]
Cells = Annotated[list[Count], Field(min_length=8, max_length=8, description="index 4*label + 2*control + candidate")]
Pairs = Annotated[list[Count], Field(min_length=4, max_length=4)]


class Model(BaseModel):
    """Fields are in camelCase outside."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class Label(Model):
    """What somebody says of a request: true for an attack."""

    request_id: Annotated[str, Field(min_length=1, max_length=128)]
    label: Annotated[bool, Field(strict=True)]
    labelled_at: AwareDatetime


class LabelBatch(Model):
    """Labels from one source."""

    source: Annotated[str, Field(min_length=1, max_length=64)]
    labels: Annotated[list[Label], Field(min_length=1, max_length=1000)]


class Taken(Model):
    """How many labels were sent, and how many of them are new."""

    received: int
    new: int


class Shard(Model):
    """How far a shard of a replay, or a collector, is."""

    shard: str
    progress: Count
    done: bool


class DamageView(Model):
    """Why nothing can be concluded."""

    reason: str
    message: str


class Stratum(Model):
    """A part of the pairs."""

    name: str
    cells: Cells
    unlabelled: Pairs


class CellsView(Model):
    """The counts that the statistics are made of. weighted: estimates over all traffic, where an audit is drawn."""

    generation: int
    cells: Cells
    unlabelled: Pairs
    strata: list[Stratum]
    weighted: list[str] | None
    labels: dict[str, Count]
    label_maturity: str | None
    damage: list[DamageView]


class Dropped(Model):
    """Copies without a pair."""

    reason: str
    size: str
    copies: Count
    in_scope: bool


class CoverageView(Model):
    """What became of the copies. share: of those that should have been compared; ratio: p of the sample-ratio test."""

    received: Count
    pairs: Count
    paired_by_size: dict[str, Count]
    dropped: list[Dropped]
    share: str | None
    ratio_p: str | None
    damage: list[DamageView]


class NoiseView(Model):
    """How much a second control differs from the control."""

    requests: Count
    differing: Count


Part = dict[str, Any]


class EvaluationView(Model):
    """Which evaluation this is, what is counted, and what follows: the document of `chaffinch-shadow analyze`."""

    uid: str
    generation: int
    namespace: str
    name: str
    running: bool
    shards: list[Shard]
    shards_done: int
    coverage: CoverageView
    noise: NoiseView | None
    cells: Annotated[list[int], Field(min_length=8, max_length=8)]
    requests: int
    labelled: int
    expected: int | None
    question: Part
    discordant: Part
    tests: Part
    metrics: list[Part]
    auc: Part
    agreement: Part
    strata: list[Part]
    verdict: Literal["Promote", "Hold", "Reject", "Inconclusive"]
    reasons: list[Part]


class Latency(Model):
    """Microseconds, at most 1/32 above the true quantile."""

    p50: int | None
    p95: int | None
    p99: int | None


class GuardrailsView(Model):
    """What needs no label. Four counts each; errors: 2*control + candidate, the others: 2*noise + candidate."""

    errors: Pairs
    differing: Pairs
    disagreeing: Pairs
    latency: dict[str, Latency]


class SampleView(Model):
    """A stored pair, redacted."""

    request_id: str
    seen_at: datetime
    stratum: str
    cluster: str | None
    label_state: str
    control: bool
    candidate: bool
    control_score: float | None
    candidate_score: float | None
    differing: bool
    audited: bool
    control_status: int
    candidate_status: int
    method: str
    target: str
    headers: list[Any]
    body: str | None
    note: str


class SamplePage(Model):
    """Samples in their order. next: for `after`, until there are no more."""

    samples: list[SampleView]
    next: str | None
