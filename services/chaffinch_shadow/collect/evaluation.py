"""The settings of one evaluation, from the JSON file that the operator writes. Bad input is named by its field."""

from fractions import Fraction
from functools import cached_property
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from chaffinch_shadow.collect.rules import Rules, header_of, read_rules
from chaffinch_shadow.collect.words import SAFE_METHODS


class BadEvaluationError(ValueError):
    """The file is wrong; the message names the field."""


def _address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("must be scheme, host and port only, such as http://waf.shop:80")
    if parts.username or parts.password:
        raise ValueError("must not hold a password: addresses are logged")
    return f"{parts.scheme}://{parts.netloc}"


def _rule_list(texts: tuple[str, ...]) -> tuple[str, ...]:
    read_rules(texts)
    return texts


def _header_rule(text: str) -> str:
    header_of(text)
    return text


def _share(text: str) -> str:
    try:
        share = Fraction(text)
    except (ValueError, ZeroDivisionError) as problem:
        raise ValueError("must be a decimal string such as 0.01") from problem
    if not 0 < share <= 1:
        raise ValueError("must be above 0 and at most 1")
    return text


Address = Annotated[str, AfterValidator(_address)]
RuleList = Annotated[tuple[str, ...], Field(max_length=64), AfterValidator(_rule_list)]
HeaderRule = Annotated[str, AfterValidator(_header_rule)]
Share = Annotated[str, AfterValidator(_share)]
Decimal = Annotated[str, Field(max_length=16, pattern=r"^[0-9]+(\.[0-9]+)?$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class Mirror(_Part):
    """Which copies are compared, and what of them is stored."""

    methods: Annotated[tuple[str, ...], Field(min_length=1, max_length=16)] = ("GET", "HEAD")
    allow_unsafe: bool = False
    max_body_bytes: Annotated[int, Field(ge=0, le=16 << 20)] = 1 << 20
    redact: RuleList = ()

    @model_validator(mode="after")
    def _safe(self) -> Self:
        unsafe = [method for method in self.methods if method not in SAFE_METHODS]
        if unsafe and not self.allow_unsafe:
            raise ValueError(
                f"methods has {', '.join(unsafe)}, which may write: set allowUnsafe to send writes twice more"
            )
        return self


class Outcome(_Part):
    """What counts as a detection."""

    status_in: Annotated[tuple[Annotated[int, Field(ge=100, le=599)], ...], Field(min_length=1, max_length=64)] = (403,)


class Score(_Part):
    """Where a version says how sure it is: a header of the answer, a number, higher for an attack."""

    header: Annotated[str, Field(min_length=1, max_length=128)]


class Strata(_Part):
    """Parts that are reported alone: values of a request's header; every other value is `other`."""

    header: Annotated[str, Field(min_length=1, max_length=128)]
    values: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=64)], ...], Field(min_length=1, max_length=64)
    ]


class Compare(_Part):
    """How answers are compared."""

    outcome: Outcome = Outcome()
    score: Score | None = None
    ignore: RuleList = ()
    cluster_by: HeaderRule | None = None
    strata: Strata | None = None


class Labels(_Part):
    """Where the truth comes from: a header of the request, or labels that are posted later."""

    header: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    max_delay_seconds: Annotated[int, Field(ge=1, le=366 * 86400)] = 86400
    audit_rate: Share | None = None


class Limits(_Part):
    """Bounds of the collector; whatever exceeds them is dropped and counted."""

    timeout_ms: Annotated[int, Field(ge=10, le=120_000)] = 5000
    answer_bytes: Annotated[int, Field(ge=1024, le=16 << 20)] = 1 << 20
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 32
    queue: Annotated[int, Field(ge=1, le=100_000)] = 1000
    queue_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 30)] = 64 << 20
    queue_ms: Annotated[int, Field(ge=10, le=120_000)] = 10_000
    unsaved: Annotated[int, Field(ge=100, le=1_000_000)] = 10_000


class Hypothesis(_Part):
    """What the candidate must show; decimals are strings. Metrics are those of the analysis."""

    test: Literal["NonInferiority", "Superiority"] = "NonInferiority"
    metric: Annotated[str, Field(min_length=1, max_length=64)] = "mcc"
    margin: Decimal = "0.01"
    alpha: Decimal = "0.05"
    design: Literal["AlwaysValid", "FixedN"] = "AlwaysValid"
    planned: Annotated[int, Field(ge=1)] = 10_000
    prevalence: Share | None = None


class Guardrail(_Part):
    """By how much a metric may get worse at most: maxRatio for latencyP99, maxIncrease for any other."""

    metric: Annotated[str, Field(min_length=1, max_length=64)]
    max_increase: Decimal | None = None
    max_ratio: Decimal | None = None

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        needed, other = ("maxRatio", "maxIncrease") if self.metric == "latencyP99" else ("maxIncrease", "maxRatio")
        given = {"maxIncrease": self.max_increase, "maxRatio": self.max_ratio}
        if given[needed] is None or given[other] is not None:
            raise ValueError(f"{self.metric} needs {needed}, and not {other}")
        return self

    @property
    def limit(self) -> str:
        """The one that is given."""
        return self.max_increase or self.max_ratio or ""


class Retention(_Part):
    """For how long samples and sums are kept."""

    samples_days: Annotated[int, Field(ge=1, le=366)] = 7
    aggregates_days: Annotated[int, Field(ge=1, le=3660)] = 365


class Evaluation(_Part):
    """One evaluation: the versions, what is compared, what is kept."""

    uid: UUID
    generation: Annotated[int, Field(ge=1)]
    namespace: Name
    name: Name
    control: Address
    candidate: Address
    noise_control: Address | None = None
    mirror: Mirror = Mirror()
    compare: Compare = Compare()
    labels: Labels = Labels()
    limits: Limits = Limits()
    retention: Retention = Retention()
    hypothesis: Hypothesis = Hypothesis()
    guardrails: Annotated[tuple[Guardrail, ...], Field(max_length=32)] = (
        Guardrail(metric="falsePositiveRate", max_increase="0.001"),
    )

    @cached_property
    def redact(self) -> Rules:
        """Rules of what is never stored."""
        return read_rules(self.mirror.redact)

    @cached_property
    def ignore(self) -> Rules:
        """Rules of what is never compared."""
        return read_rules(self.compare.ignore)

    @cached_property
    def cluster_header(self) -> str | None:
        """The header whose value groups requests."""
        return header_of(self.compare.cluster_by) if self.compare.cluster_by else None

    @cached_property
    def audit_rate(self) -> Fraction | None:
        """Share of the pairs that are labelled whatever the versions said."""
        return Fraction(self.labels.audit_rate) if self.labels.audit_rate else None


def load(text: str | bytes) -> Evaluation:
    """Return the evaluation of a JSON text.

    Raises:
        BadEvaluationError: naming the first field that is wrong.

    """
    try:
        return Evaluation.model_validate_json(text)
    except ValidationError as problem:
        error = problem.errors(include_url=False)[0]
        field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).lstrip(".")
        raise BadEvaluationError(f"{field or 'the file'}: {_said(error)}") from problem


def _said(error: Any) -> str:  # noqa: ANN401 - a TypedDict of pydantic's core
    return str(error["msg"]).removeprefix("Value error, ")
