"""What the documents show is true of the code: examples can be applied, and numbers are what the code computes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from chaffinch_operator.canary.gates import ERRORS_SAFE_BELOW, LATENCY_SAFE_BELOW
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_stats import (
    ArmCounts,
    CountEvidence,
    CountGate,
    Interval,
    log_e_safe,
    requests_to_pass,
    requests_to_reject,
    safe_threshold,
    update,
)
from support.repository import checkout

BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| ([\d.]+) % \| (.*) \|$", re.MULTILINE)
SHARE, ALPHA, BETA = 0.25, 0.05, 0.05
LEVELS = (0.05, 0.01, 0.001)


def examples() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each CanaryRollout shown in a document or kept as a sample, with its file."""
    for name in checkout.files():
        if name.endswith(".md"):
            texts = BLOCK.findall(checkout.text(name))
        elif name.startswith("manifests/samples/"):
            texts = [checkout.text(name)]
        else:
            continue
        for document in (found for text in texts for found in yaml.safe_load_all(text)):
            if isinstance(document, dict) and document.get("kind") == "CanaryRollout":
                yield name, document


def unknown(value: object, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    """Paths of fields that the schema does not have."""
    if isinstance(value, dict) and "properties" in schema:
        for key, inner in value.items():
            if key in schema["properties"]:
                yield from unknown(inner, schema["properties"][key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(value, list):
        for inner in value:
            yield from unknown(inner, schema.get("items", {}), f"{path}[]")


def rounded(number: float) -> str:
    """Three digits that count."""
    return f"{float(f'{number:.3g}'):,.0f}"


def test_the_readme_has_an_example() -> None:
    """A newcomer sees a whole CanaryRollout on the first page."""
    assert "README.md" in {name for name, _ in examples()}


@pytest.mark.parametrize(("name", "example"), list(examples()))
def test_an_example_has_only_fields_that_exist(name: str, example: dict[str, Any]) -> None:
    """The API server would prune none of its fields."""
    crd = yaml.safe_load(checkout.text("crds/chaffinch.dev_canaryrollouts.yaml"))
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert list(unknown(example["spec"], schema, "spec")) == []


@pytest.mark.parametrize(("name", "example"), list(examples()))
def test_an_example_can_be_read(name: str, example: dict[str, Any]) -> None:
    """The operator accepts its values."""
    assert CanaryRolloutSpec.model_validate(example["spec"]).target_ref.name


def test_the_table_of_margins_is_what_the_planner_says() -> None:
    """Every number of the table in docs/gates.md is computed by `chaffinch_stats.planning`."""
    rows = {}
    for percent, cells in ROW.findall(checkout.text("docs/gates.md")):
        base = float(percent) / 100
        to_pass = [requests_to_pass(CountGate(margin_ratio=m), base, SHARE, BETA) for m in (1.25, 1.5, 2.0, 3.0)]
        to_reject = [requests_to_reject(CountGate(), base, ratio, SHARE, 2, ALPHA) for ratio in (2.0, 5.0)]
        rows[percent] = cells.split(" | "), list(map(rounded, (*to_pass, *to_reject)))
    assert len(rows) == 4
    assert {percent: shown for percent, (shown, _) in rows.items()} == {p: true for p, (_, true) in rows.items()}


def test_the_costs_of_alpha_and_beta_are_what_the_planner_says() -> None:
    """Both tables in docs/statistics.md: requests relative to 0.05, for two gates and for one pass."""
    page = checkout.text("docs/statistics.md")
    until_harm = [requests_to_reject(CountGate(), 0.01, 2.0, SHARE, 2, alpha) for alpha in LEVELS]
    until_pass = [requests_to_pass(CountGate(), 0.01, SHARE, beta) for beta in LEVELS]
    for costs in (until_harm, until_pass):
        for level, cost in zip(LEVELS, costs, strict=True):
            assert re.search(rf"\| {level:g} \|.*\| {cost / costs[0]:.3g} x \|", page)


@pytest.mark.parametrize(("safe_below", "said"), [(ERRORS_SAFE_BELOW, "4,700"), (LATENCY_SAFE_BELOW, "500")])
def test_requests_without_an_error_that_pass(safe_below: float, said: str) -> None:
    """The number of good requests that the documents promise is where a gate passes, to the next hundred."""
    gate = CountGate(safe_below=safe_below)
    requests, evidence = 0, CountEvidence.start(gate)
    while log_e_safe(evidence, gate) < safe_threshold(BETA):
        requests += 100
        evidence = update(evidence, gate, Interval(canary=ArmCounts(0, 100), baseline=ArmCounts(0, 300)))
    assert f"{requests:,}" == said
    assert f"{said} " in checkout.text("docs/gates.md")


def test_the_worked_backtest_is_what_the_command_prints() -> None:
    """docs/backtest.md shows the recorded output of the sample, word for word."""
    recorded = checkout.text("tests/unit/cli/golden/backtest.txt")
    assert f"```text\n{recorded}```" in checkout.text("docs/backtest.md")
