"""What a gate counts and how it judges, as pydantic models: spec.analysis.gates."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from chaffinch_operator.schema import Decimal, Duration, Label, Model, Query, cel


class RatioSource(Model):
    """Two raw counters by pod: an instant vector selector, or an aggregation by pod. No rate(), no increase()."""

    bad: Query
    """Counter of bad events, such as http_requests_total{code=~"5.."}."""
    total: Query
    """Counter of all events."""


class LatencySource(Model):
    """A histogram by pod: requests slower than the threshold are bad."""

    histogram: Annotated[str, Field(max_length=256, pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
    """Name of the histogram without suffix, such as http_request_duration_seconds."""
    threshold: Duration
    """Must be one of the histogram's bucket boundaries."""
    format: Literal["Classic", "Native"] = "Classic"
    """Classic: series by `le`. Native: one series of sparse buckets; the threshold must be a boundary of them."""
    unit: Literal["Seconds", "Milliseconds"] = "Seconds"
    """Unit of the histogram's boundaries."""
    matchers: Annotated[str, Field(max_length=1024)] = ""
    """More label matchers, such as route="/pay"."""


class ObjectiveSource(Model):
    """The canary alone against an absolute limit."""

    bad: Query
    """Counter of bad events, raw and by pod."""
    total: Query
    """Counter of all events, raw and by pod."""
    max_ratio: Decimal
    """Largest acceptable share of bad events, such as "0.01"."""


class SampleRatioSource(Model):
    """Is the traffic split what the weight says? If not, the rollout is never promoted."""

    total: Query | None = None
    """Counter of all events by pod; default: the first gate's counter."""


class PodRestartsSource(Model):
    """Restarts of the canary's containers, from the pods' status; needs no Prometheus."""

    max: Annotated[int, Field(ge=0, le=1000)] = 2
    """More restarts than this roll back."""


Template = Literal[
    "EnvoyGatewayErrors",
    "EnvoyGatewayLatency",
    "IstioErrors",
    "IstioLatency",
    "PodHTTPErrors",
    "PodHTTPLatency",
    "PodOTelErrors",
    "PodOTelLatency",
]
_SOURCES = ("ratio", "latency", "objective", "sampleRatio", "podRestarts", "template")


class Gate(Model):
    """One thing that must not get worse."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "[" + ", ".join(f"has(self.{s})" for s in _SOURCES) + "].exists_one(x, x)",
                "a gate has exactly one of ratio, latency, objective, sampleRatio, podRestarts and template",
            ),
            (
                "double(self.marginRatio) > double(self.harmRatio)",
                "marginRatio must exceed harmRatio: between the two lies what a canary may cost",
            ),
            (
                "self.dispersion == 'Auto' || double(self.dispersion) >= 1.0",
                'dispersion must be Auto, or at least "1"',
            ),
            (
                "!has(self.safeBelow) || (double(self.safeBelow) > 0.0 && double(self.safeBelow) < 1.0)",
                "safeBelow is a share between 0 and 1, both excluded",
            ),
            (
                (
                    "!has(self.objective) || "
                    "(double(self.objective.maxRatio) > 0.0 && double(self.objective.maxRatio) < 1.0)"
                ),
                "objective.maxRatio is a share between 0 and 1, both excluded",
            ),
            (
                "!has(self.threshold) || (has(self.template) && self.template.endsWith('Latency'))",
                "threshold belongs to a latency template; a latency gate has latency.threshold",
            ),
        )
    )

    name: Label
    """Name in status, events and messages."""
    ratio: RatioSource | None = None
    latency: LatencySource | None = None
    objective: ObjectiveSource | None = None
    sample_ratio: SampleRatioSource | None = None
    pod_restarts: PodRestartsSource | None = None
    template: Template | None = None
    """A built-in gate: EnvoyGateway* count what clients saw at the gateway, Istio* what the sidecars saw, PodHTTP* and
    PodOTel* what the pods say, by the names of the Prometheus client libraries or of OpenTelemetry."""
    threshold: Duration | None = None
    """Threshold of a latency template; default 500ms."""
    harm_ratio: Decimal = "1.0"
    """Rollback once the canary's bad share is proven above this many times stable's."""
    margin_ratio: Decimal = "1.5"
    """Pass once the canary's bad share is proven below this many times stable's."""
    safe_below: Decimal | None = None
    """Pass as well once the canary's bad share is proven below this; default "0.001", latency "0.01"."""
    dispersion: Annotated[str, Field(max_length=16, pattern=r"^(Auto|[0-9]+(\.[0-9]+)?)$")] = "Auto"
    """Over-dispersion by which evidence is tempered. Auto: measured on stable's history before the first look."""
    min_baseline_history: Duration = "2h"
    """With dispersion Auto: how much history is read. With less than this, 1 is assumed, and status says so."""
    dry_run: bool = False
    """Judge and report, never act."""
