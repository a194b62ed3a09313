"""From the gates of a spec to what is asked and how it is judged: every kind, with its query pinned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chaffinch_operator.canary.gates import (
    Kind,
    ResolvedGate,
    number_of_tests,
    resolve,
)
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.sources import Buckets, Classes, Naming, Pair
from unit.canary.builders import NAMING, SPEC, merged

BY_REPLICAS: dict[str, Any] = {"gatewayAPI": None, "replicas": {}}
BACKENDS = "httproute/shop/web/rule/0/backend/"


def gates(*listed: dict[str, Any], **change: Any) -> tuple[ResolvedGate, ...]:
    """The resolved gates of a spec."""
    body = merged(merged(SPEC, {"analysis": {"gates": list(listed)}}), change)
    return resolve(CanaryRolloutSpec.model_validate(body), NAMING)


def one(**fields: Any) -> ResolvedGate:
    """One resolved gate."""
    return gates({"name": "g", **fields})[0]


def test_a_ratio_asks_its_two_queries_by_pod() -> None:
    """As they are written; a canary pod is told by its name."""
    gate = one(
        ratio={"bad": "errors_total", "total": "requests_total"}, harmRatio="1.2", marginRatio="2", dispersion="3"
    )
    assert gate.kind is Kind.RATIO
    assert gate.source == Pair("errors_total", "requests_total", NAMING.by_pod)
    assert gate.count is not None
    assert (gate.count.harm_ratio, gate.count.margin_ratio, gate.count.dispersion) == (1.2, 2.0, 3.0)
    assert gate.count.safe_below == 0.001
    assert gate.acting


def test_safe_below_and_dry_run_are_taken_over() -> None:
    """What the user says counts."""
    gate = one(ratio={"bad": "b", "total": "t"}, safeBelow="0.05", dryRun=True)
    assert gate.count is not None
    assert gate.count.safe_below == 0.05
    assert not gate.acting


def test_an_objective_is_judged_alone() -> None:
    """The canary against an absolute limit."""
    gate = one(objective={"bad": "b", "total": "t", "maxRatio": "0.02"}, dispersion="1.5")
    assert gate.kind is Kind.OBJECTIVE
    assert gate.source == Pair("b", "t", NAMING.by_pod)
    assert gate.rate is not None
    assert (gate.rate.max_ratio, gate.rate.margin_ratio, gate.rate.dispersion) == (0.02, 1.5, 1.5)


LATENCIES: dict[str, tuple[dict[str, Any], str, str, float]] = {
    "seconds": (
        {"histogram": "rt_seconds", "threshold": "250ms"},
        'rt_seconds_bucket{le=~"0\\\\.25|\\\\+Inf"}',
        "count by (le) (rt_seconds_bucket)",
        0.25,
    ),
    "whole seconds, in both spellings of Prometheus": (
        {"histogram": "rt_seconds", "threshold": "1s"},
        'rt_seconds_bucket{le=~"1|1\\\\.0|\\\\+Inf"}',
        "count by (le) (rt_seconds_bucket)",
        1.0,
    ),
    "milliseconds": (
        {"histogram": "rt_ms", "threshold": "250ms", "unit": "Milliseconds", "matchers": 'route="/pay"'},
        'rt_ms_bucket{route="/pay",le=~"250|250\\\\.0|\\\\+Inf"}',
        'count by (le) (rt_ms_bucket{route="/pay"})',
        250.0,
    ),
    "a threshold that is no binary fraction": (
        {"histogram": "rt_seconds", "threshold": "9ms"},
        'rt_seconds_bucket{le=~"0\\\\.009|\\\\+Inf"}',
        "count by (le) (rt_seconds_bucket)",
        0.009,
    ),
    "a threshold written with an exponent": (
        {"histogram": "rt_ms", "threshold": "1000s", "unit": "Milliseconds"},
        'rt_ms_bucket{le=~"1e\\\\+06|1000000\\\\.0|\\\\+Inf"}',
        "count by (le) (rt_ms_bucket)",
        1_000_000.0,
    ),
}


@pytest.mark.parametrize("name", LATENCIES)
def test_a_latency_asks_two_buckets(name: str) -> None:
    """The threshold's and the last one, in every spelling a Prometheus has."""
    latency, query, boundaries, threshold = LATENCIES[name]
    gate = one(latency=latency)
    assert gate.kind is Kind.RATIO
    source = gate.source
    assert isinstance(source, Buckets)
    assert (source.query.text, source.boundaries_query) == (query, boundaries)
    assert (source.histogram, source.threshold, source.arms) == (latency["histogram"], threshold, NAMING.by_pod)
    assert gate.count is not None
    assert gate.count.safe_below == 0.01


@pytest.mark.parametrize("milliseconds", range(1, 2000, 7))
def test_any_threshold_is_the_boundary_it_says(milliseconds: int) -> None:
    """As a histogram in seconds, and in milliseconds, has it."""
    for unit, expected in (("Seconds", milliseconds / 1000), ("Milliseconds", float(milliseconds))):
        source = one(latency={"histogram": "h", "threshold": f"{milliseconds}ms", "unit": unit}).source
        assert isinstance(source, Buckets)
        assert source.threshold == expected


BACKEND = f'envoy_cluster_name=~"{BACKENDS}0|{BACKENDS}1"'
WORKLOADS = 'destination_workload_namespace="shop",destination_workload=~"web|web-canary"'
ERRORS = {
    "EnvoyGatewayErrors": (f"envoy_cluster_upstream_rq_xx{{{BACKEND}}}", "envoy_response_code_class"),
    "IstioErrors": (f'istio_requests_total{{reporter="destination",{WORKLOADS}}}', "response_code"),
    "PodHTTPErrors": ('http_requests_total{namespace="shop"}', "code"),
    "PodOTelErrors": ('http_server_request_duration_seconds_count{namespace="shop"}', "http_response_status_code"),
}
TOOK = {
    "EnvoyGatewayLatency": (
        "envoy_cluster_upstream_rq_time",
        f'{{le=~"500|500\\\\.0|\\\\+Inf",{BACKEND}}}',
        f"{{{BACKEND}}}",
        500.0,
    ),
    "IstioLatency": (
        "istio_request_duration_milliseconds",
        f'{{reporter="destination",le=~"500|500\\\\.0|\\\\+Inf",{WORKLOADS}}}',
        f'{{reporter="destination",{WORKLOADS}}}',
        500.0,
    ),
    "PodHTTPLatency": (
        "http_request_duration_seconds",
        '{le=~"0\\\\.5|\\\\+Inf",namespace="shop"}',
        '{namespace="shop"}',
        0.5,
    ),
    "PodOTelLatency": (
        "http_server_request_duration_seconds",
        '{le=~"0\\\\.5|\\\\+Inf",namespace="shop"}',
        '{namespace="shop"}',
        0.5,
    ),
}


@pytest.mark.parametrize("template", ERRORS)
def test_a_template_for_errors_asks_one_query(template: str) -> None:
    """By the names that gateway, mesh and libraries give; bad is what begins with a 5."""
    source = one(template=template).source
    assert isinstance(source, Classes)
    assert (source.query.text, source.label, source.bad_prefix) == (*ERRORS[template], "5")


@pytest.mark.parametrize("template", TOOK)
def test_a_template_for_latency_asks_two_buckets(template: str) -> None:
    """In the unit of its histogram, with 500 ms unless said otherwise."""
    histogram, matchers, all_of_it, threshold = TOOK[template]
    source = one(template=template).source
    assert isinstance(source, Buckets)
    assert source.query.text == f"{histogram}_bucket{matchers}"
    assert source.boundaries_query == f"count by (le) ({histogram}_bucket{all_of_it})"
    assert (source.histogram, source.threshold) == (histogram, threshold)
    faster = one(template=template, threshold="100ms").source
    assert isinstance(faster, Buckets)
    assert faster.threshold == threshold / 5


def test_arms_are_told_by_backend_workload_or_pod() -> None:
    """Whole names at the gateway and in the mesh, the beginning of a name for pods."""
    assert NAMING.by_backend.of(f"{BACKENDS}0") == "baseline"
    assert NAMING.by_backend.of(f"{BACKENDS}1") == "canary"
    assert NAMING.by_backend.of(f"{BACKENDS}10") is None
    assert NAMING.by_workload.of("web") == "baseline"
    assert NAMING.by_workload.of("web-canary") == "canary"
    assert NAMING.by_workload.of("web-canary-2") is None


def test_rollouts_of_one_template_differ_in_rows_only() -> None:
    """So that the port asks for many of them at once."""
    other = Naming("pay", "till", "till-1-", "till-canary-", stable_workload="till", canary_workload="till-canary")
    spec = CanaryRolloutSpec.model_validate(
        merged(SPEC, {"analysis": {"gates": [{"name": t.lower(), "template": t} for t in (*ERRORS, *TOOK)]}})
    )
    for mine, theirs in zip(resolve(spec, NAMING), resolve(spec, other), strict=True):
        assert isinstance(mine.source, Classes | Buckets)
        assert isinstance(theirs.source, Classes | Buckets)
        assert mine.source.query.rows != theirs.source.query.rows
        assert replace(mine.source.query, rows=()) == replace(theirs.source.query, rows=())


def test_restarts_and_the_split_ask_nothing_of_their_own() -> None:
    """Restarts come from the pods, the split from the first gate unless it names a counter."""
    assert one(podRestarts={"max": 5}).max_restarts == 5
    assert one(podRestarts={}).kind is Kind.RESTARTS
    listed = gates({"name": "e", "ratio": {"bad": "b", "total": "t"}}, {"name": "s", "sampleRatio": {}})
    assert (listed[1].kind, listed[1].source) == (Kind.SPLIT, None)
    assert one(sampleRatio={"total": "t"}).source == Pair("t", "t", NAMING.by_pod)


def test_a_split_that_could_never_say_anything_is_refused() -> None:
    """It would hold the rollout for ever."""
    with pytest.raises(ValueError, match=r"spec\.analysis\.gates\[s\]: sampleRatio needs trafficRouting\.gatewayAPI"):
        gates({"name": "s", "sampleRatio": {"total": "t"}}, trafficRouting=BY_REPLICAS)
    with pytest.raises(
        ValueError, match=r"spec\.analysis\.gates\[s\]: sampleRatio has no counter: set sampleRatio\.total"
    ):
        gates({"name": "s", "sampleRatio": {}}, {"name": "r", "podRestarts": {}})


BAD: dict[str, dict[str, Any]] = {
    "has none of ratio": {},
    "marginRatio must exceed harmRatio": {"ratio": {"bad": "b", "total": "t"}, "harmRatio": "2"},
    "dispersion must be": {"ratio": {"bad": "b", "total": "t"}, "dispersion": "0.5"},
    "safeBelow must lie": {"ratio": {"bad": "b", "total": "t"}, "safeBelow": "1"},
    "maxRatio must lie": {"objective": {"bad": "b", "total": "t", "maxRatio": "0"}},
}


@pytest.mark.parametrize("words", BAD)
def test_a_gate_that_makes_no_sense_is_named(words: str) -> None:
    """Should the API server let it pass."""
    with pytest.raises(ValueError, match=rf"spec\.analysis\.gates\[g\]: .*{words}"):
        one(**BAD[words])


def test_the_default_gates() -> None:
    """Errors and latency at the gateway, or of the pods by replicas; restarts in both."""
    assert [(g.name, g.kind, type(g.source).__name__) for g in gates()] == [
        ("errors", Kind.RATIO, "Classes"),
        ("latency", Kind.RATIO, "Buckets"),
        ("restarts", Kind.RESTARTS, "NoneType"),
    ]
    assert [(g.name, type(g.source).__name__) for g in gates(trafficRouting=BY_REPLICAS)] == [
        ("errors", "Classes"),
        ("latency", "Buckets"),
        ("restarts", "NoneType"),
    ]


def test_alpha_is_shared_by_acting_gates_that_count() -> None:
    """Restarts, the split and dry runs take none of it; with none it is undivided."""
    ratio = {"bad": "b", "total": "t"}
    listed = gates(
        {"name": "a", "ratio": ratio},
        {"name": "b", "objective": {**ratio, "maxRatio": "0.1"}},
        {"name": "c", "ratio": ratio, "dryRun": True},
        {"name": "d", "podRestarts": {}},
        {"name": "e", "sampleRatio": {}},
    )
    assert number_of_tests(listed) == 2
    assert number_of_tests(gates({"name": "d", "podRestarts": {}})) == 1


def test_a_design_is_of_what_is_measured_and_how() -> None:
    """Another margin or query is another design; another name or dryRun is not."""
    base = {"ratio": {"bad": "b", "total": "t"}}
    assert one(**base).design == one(**base, dryRun=True).design
    assert gates({"name": "x", **base})[0].design == one(**base).design
    others = [one(**base, marginRatio="2"), one(ratio={"bad": "b2", "total": "t"}), one(**base, safeBelow="0.1")]
    assert len({one(**base).design, *(g.design for g in others)}) == 4


def test_beside_a_dedicated_baseline_stable_is_not_compared() -> None:
    """Its backend and its pods are counted as others, and asked for with the rest."""
    naming = replace(NAMING, baseline_pods="web-baseline-")
    by_backend, by_pod = naming.by_backend, naming.by_pod
    assert [by_backend.of(f"{BACKENDS}{n}") for n in range(4)] == ["other", "canary", "baseline", None]
    pods = ("web-hv1-abcde", "web-canary-hv2-abcde", "web-baseline-hv3-abcde", "other-hv1-abcde")
    assert [by_pod.of(pod) for pod in pods] == ["other", "canary", "baseline", None]
    body = merged(SPEC, {"analysis": {"gates": [{"name": "g", "template": "EnvoyGatewayErrors"}]}})
    errors = resolve(CanaryRolloutSpec.model_validate(body), naming)[0]
    assert isinstance(errors.source, Classes)
    assert errors.source.query.rows == tuple((f"{BACKENDS}{n}",) for n in (0, 1, 2))
    assert errors.compared == "baseline"
    assert one(template="EnvoyGatewayErrors").compared == "stable"


def test_without_a_stable_hash_nothing_is_stable() -> None:
    """An empty prefix must not match every pod."""
    arms = Naming("shop", "web", "", "web-canary-").by_pod
    assert arms.of("web-hv1-abcde") is None
    assert arms.of("web-canary-hv2-abcde") == "canary"
    assert NAMING.by_pod.of("web-hv1-abcde") == "baseline"
