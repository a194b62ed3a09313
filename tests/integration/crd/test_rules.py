"""Every CEL rule of the CRD, on a real API server: what it accepts, what it refuses, and what it says then."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.apiserver

CRD = Path(__file__).parents[3] / "crds/chaffinch.dev_canaryrollouts.yaml"
PROMETHEUS = {"prometheus": {"address": "http://prometheus.monitoring:9090"}}
RATIO = {"bad": "bad_total", "total": "all_total"}
GATEWAY = {"gatewayAPI": {"parentRefs": [{"name": "public"}]}}

Spec = dict[str, Any]


def spec(**changes: Any) -> Spec:
    """A spec that is valid, with the given top-level fields instead."""
    return {
        "targetRef": {"name": "shop"},
        "serviceRef": {"name": "shop", "port": 80},
        "trafficRouting": {"replicas": {}},
        "analysis": {"provider": PROMETHEUS},
    } | changes


def gate(**fields: Any) -> Spec:
    """A valid spec with one gate of these fields, and a ratio unless it has another source."""
    sources = {"latency", "objective", "sampleRatio", "podRestarts", "template"}
    source = {} if sources & fields.keys() or "ratio" in fields else {"ratio": RATIO}
    return spec(analysis={"provider": PROMETHEUS, "gates": [{"name": "errors", **source, **fields}]})


def analysis(**fields: Any) -> Spec:
    """A valid spec with these fields of analysis."""
    return spec(analysis={"provider": PROMETHEUS, **fields})


def planned(**fields: Any) -> Spec:
    """A valid spec with these fields of a group sequential plan."""
    return analysis(mode="GroupSequential", groupSequential=fields)


def planned_gates(*gates: Spec, **fields: Any) -> Spec:
    """The same with these gates; without fields by the default plan."""
    plan = {"groupSequential": fields} if fields else {}
    return analysis(mode="GroupSequential", gates=list(gates), **plan)


def many(count: int) -> list[Spec]:
    """So many gates that count ratios, and one that does not."""
    ratios = [{"name": f"errors-{k}", "ratio": RATIO} for k in range(count)]
    return [*ratios, {"name": "restarts", "podRestarts": {}}]


def prometheus(**fields: Any) -> Spec:
    """A valid spec with these fields of the provider."""
    return spec(analysis={"provider": {"prometheus": {**PROMETHEUS["prometheus"], **fields}}})


@dataclass(frozen=True, slots=True)
class Case:
    """A rule, named by where it stands and what it says; `old` is there before, for rules about changes."""

    path: str
    message: str
    accepted: tuple[Spec, ...]
    refused: tuple[Spec, ...]
    old: Spec | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Place and message."""
        return self.path, self.message


HARM: Spec = {"name": "errors", "ratio": RATIO, "harmRatio": "1.2"}
PLANNED: Spec = {"mode": "GroupSequential", "groupSequential": {"looks": 5}}
OBJECTIVE = {"bad": "b", "total": "t", "maxRatio": "0.01"}
CASES = (
    Case(
        "spec",
        "targetRef cannot be changed: delete this CanaryRollout and make another",
        old=spec(),
        accepted=(spec(suspend=True),),
        refused=(spec(targetRef={"name": "other"}),),
    ),
    Case(
        "spec",
        "serviceRef cannot be changed: delete this CanaryRollout and make another",
        old=spec(),
        accepted=(spec(suspend=True),),
        refused=(spec(serviceRef={"name": "other", "port": 80}), spec(serviceRef={"name": "shop", "port": 81})),
    ),
    Case(
        "spec",
        "the kind of trafficRouting cannot be changed: delete this CanaryRollout and make another",
        old=spec(trafficRouting=GATEWAY),
        accepted=(spec(trafficRouting={"gatewayAPI": {"parentRefs": [{"name": "private"}]}}),),
        refused=(spec(),),
    ),
    Case(
        "spec",
        "analysis.provider is required: only podRestarts gates work without it",
        accepted=(spec(), spec(analysis={"gates": [{"name": "restarts", "podRestarts": {}}]})),
        refused=(
            spec(analysis={}),
            spec(analysis={"gates": [{"name": "errors", "ratio": RATIO}]}),
            spec(analysis={"gates": [{"name": "a", "podRestarts": {}}, {"name": "b", "ratio": RATIO}]}),
        ),
    ),
    Case(
        "spec.trafficRouting",
        "set exactly one of trafficRouting.gatewayAPI and trafficRouting.replicas",
        accepted=(spec(), spec(trafficRouting=GATEWAY)),
        refused=(spec(trafficRouting={}), spec(trafficRouting={**GATEWAY, "replicas": {}})),
    ),
    Case(
        "spec.canary",
        "canary.minReplicas must not exceed canary.maxReplicas",
        accepted=(spec(canary={"minReplicas": 3, "maxReplicas": 3}), spec(canary={"minReplicas": 10})),
        refused=(spec(canary={"minReplicas": 4, "maxReplicas": 3}), spec(canary={"minReplicas": 11})),
    ),
    Case(
        "spec.steps",
        "the weights of steps must not decrease",
        accepted=(spec(steps=[{"setWeight": 5}, {"pause": {}}, {"setWeight": 5}, {"setWeight": 99}]),),
        refused=(spec(steps=[{"setWeight": 50}, {"pause": {}}, {"setWeight": 5}]),),
    ),
    Case(
        "spec.steps",
        "at least one step must set a weight",
        accepted=(spec(steps=[{"pause": {}}, {"setWeight": 5}]),),
        refused=(spec(steps=[{"pause": {}}]),),
    ),
    Case(
        "spec.steps[]",
        "a step has exactly one of setWeight and pause",
        accepted=(spec(steps=[{"setWeight": 5}, {"pause": {"duration": "10m"}}]),),
        refused=(spec(steps=[{"setWeight": 5}, {}]), spec(steps=[{"setWeight": 5, "pause": {}}])),
    ),
    Case(
        "spec.steps[]",
        "minDuration belongs to a step with setWeight; a pause has pause.duration",
        accepted=(spec(steps=[{"setWeight": 5, "minDuration": "1h30m"}]),),
        refused=(spec(steps=[{"setWeight": 5}, {"pause": {}, "minDuration": "5m"}]),),
    ),
    Case(
        "spec.analysis.provider.prometheus",
        "address must not have a user or password: see authSecretRef",
        accepted=(prometheus(), prometheus(address="https://mimir.example:8080/prometheus")),
        refused=(prometheus(address="https://user:password@prometheus:9090"),),
    ),
    Case(
        "spec.analysis.provider.prometheus",
        "each header has a name of its own",
        accepted=(prometheus(headers=[{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]),),
        refused=(prometheus(headers=[{"name": "A", "value": "1"}, {"name": "a", "value": "2"}]),),
    ),
    Case(
        "spec.analysis.provider.prometheus.headers[]",
        "this header is set by the operator; credentials belong in authSecretRef",
        accepted=(prometheus(headers=[{"name": "X-Scope-OrgID", "value": "shop"}]),),
        refused=tuple(
            prometheus(headers=[{"name": name, "value": "x"}]) for name in ("Authorization", "AUTHORIZATION", "Host")
        ),
    ),
    Case(
        "spec.analysis",
        'alpha must lie in (0, 0.5], such as "0.05"',
        accepted=(analysis(alpha="0.001"), analysis(alpha="0.5")),
        refused=(analysis(alpha="0"), analysis(alpha="0.51"), analysis(alpha="5")),
    ),
    Case(
        "spec.analysis",
        'beta must lie in (0, 0.5], such as "0.05"',
        accepted=(analysis(beta="0.2"), analysis(beta="0.5")),
        refused=(analysis(beta="0.0"), analysis(beta="0.6")),
    ),
    Case(
        "spec.analysis",
        "analysis.interval must lie between 1s and 1h",
        accepted=(analysis(interval="1s"), analysis(interval="1000ms"), analysis(interval="60m")),
        refused=(analysis(interval="999ms"), analysis(interval="1h1s")),
    ),
    Case(
        "spec.analysis",
        "analysis.groupSequential needs analysis.mode: GroupSequential",
        accepted=(analysis(**PLANNED), analysis(mode="GroupSequential"), analysis(mode="Anytime")),
        refused=(analysis(groupSequential={}), analysis(mode="Anytime", groupSequential={"looks": 5})),
    ),
    Case(
        "spec.analysis",
        "groupSequential.detectRatio (default 1.5) must exceed every gate's harmRatio",
        accepted=(planned_gates(HARM, detectRatio="1.3"), planned_gates(HARM, {**HARM, "name": "b"})),
        refused=(
            planned_gates(HARM, detectRatio="1.2"),
            planned_gates({**HARM, "harmRatio": "1.6", "marginRatio": "2"}),
            planned_gates({"name": "first", "ratio": RATIO}, HARM, detectRatio="1.1"),
        ),
    ),
    Case(
        "spec.analysis",
        "groupSequential.looks (default 20) times the ratio, latency and template gates must not exceed 100",
        accepted=(planned_gates(*many(5)), planned_gates(*many(2), looks=50), planned(looks=50)),
        refused=(planned_gates(*many(6)), planned_gates(*many(3), looks=34)),
    ),
    Case(
        "spec.analysis.groupSequential",
        'groupSequential.detectRatio must exceed 1, such as "1.5"',
        accepted=(planned(detectRatio="1.01"),),
        refused=(planned(detectRatio="1"), planned(detectRatio="0.5")),
    ),
    Case(
        "spec.analysis.groupSequential",
        'groupSequential.power must lie in [0.5, 1), such as "0.9"',
        accepted=(planned(power="0.5"), planned(power="0.99")),
        refused=(planned(power="0.49"), planned(power="1")),
    ),
    Case(
        "spec.analysis.gates[]",
        "a gate has exactly one of ratio, latency, objective, sampleRatio, podRestarts and template",
        accepted=(
            gate(),
            gate(latency={"histogram": "h", "threshold": "1s"}),
            gate(objective=OBJECTIVE),
            gate(sampleRatio={}),
            gate(podRestarts={}),
            gate(template="PodHTTPErrors"),
        ),
        refused=(
            spec(analysis={"provider": PROMETHEUS, "gates": [{"name": "nothing"}]}),
            gate(ratio=RATIO, podRestarts={}),
            gate(template="PodHTTPErrors", ratio=RATIO),
        ),
    ),
    Case(
        "spec.analysis.gates[]",
        "marginRatio must exceed harmRatio: between the two lies what a canary may cost",
        accepted=(gate(harmRatio="1.1", marginRatio="1.2"), gate(harmRatio="1.49")),
        refused=(gate(harmRatio="1.5"), gate(marginRatio="1"), gate(harmRatio="2", marginRatio="1.5")),
    ),
    Case(
        "spec.analysis.gates[]",
        'dispersion must be Auto, or at least "1"',
        accepted=(gate(dispersion="1"), gate(dispersion="1.8"), gate(dispersion="Auto")),
        refused=(gate(dispersion="0.99"), gate(dispersion="0")),
    ),
    Case(
        "spec.analysis.gates[]",
        "safeBelow is a share between 0 and 1, both excluded",
        accepted=(gate(safeBelow="0.001"),),
        refused=(gate(safeBelow="0"), gate(safeBelow="1")),
    ),
    Case(
        "spec.analysis.gates[]",
        "objective.maxRatio is a share between 0 and 1, both excluded",
        accepted=(gate(objective={**OBJECTIVE, "maxRatio": "0.999"}),),
        refused=(gate(objective={**OBJECTIVE, "maxRatio": "0.0"}), gate(objective={**OBJECTIVE, "maxRatio": "1.0"})),
    ),
    Case(
        "spec.analysis.gates[]",
        "threshold belongs to a latency template; a latency gate has latency.threshold",
        accepted=(gate(template="PodHTTPLatency", threshold="250ms"),),
        refused=(gate(template="PodHTTPErrors", threshold="250ms"), gate(ratio=RATIO, threshold="1s")),
    ),
)


def rules_of_the_crd() -> set[tuple[str, str]]:
    """Place and message of every rule in the committed CRD."""
    root = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    found: set[tuple[str, str]] = set()

    def visit(path: str, node: dict[str, Any]) -> None:
        found.update((path, rule["message"]) for rule in node.get("x-kubernetes-validations", []))
        for name, child in node.get("properties", {}).items():
            visit(f"{path}.{name}".removeprefix("."), child)
        if "items" in node:
            visit(f"{path}[]", node["items"])

    visit("", root)
    return found


def canary_rollout(content: Spec, name: str) -> dict[str, Any]:
    """The object with this spec."""
    return {
        "apiVersion": "chaffinch.dev/v1alpha1",
        "kind": "CanaryRollout",
        "metadata": {"name": name, "namespace": "default"},
        "spec": copy.deepcopy(content),
    }


NUMBERED = [pytest.param(index, case, id=f"{case.path}: {case.message}") for index, case in enumerate(CASES)]


def test_every_rule_has_a_case() -> None:
    """A rule without a case here, and a case whose rule is gone, fail this test."""
    assert {case.key for case in CASES} == rules_of_the_crd()


@pytest.mark.parametrize(("index", "case"), NUMBERED)
def test_a_rule_lets_pass_what_it_should(index: int, case: Case, kubectl: Any) -> None:
    """What obeys the rule is accepted."""
    name = _prepare(case, f"accepted-{index}", kubectl)
    for content in case.accepted:
        answer = kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", given=canary_rollout(content, name))
        assert answer.code == 0, answer.err


@pytest.mark.parametrize(("index", "case"), NUMBERED)
def test_a_rule_refuses_with_its_message(index: int, case: Case, kubectl: Any) -> None:
    """What breaks the rule is refused, and the answer says what to change."""
    name = _prepare(case, f"refused-{index}", kubectl)
    for content in case.refused:
        answer = kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", given=canary_rollout(content, name))
        assert answer.code == 1
        assert case.message in answer.err


def _prepare(case: Case, name: str, kubectl: Any) -> str:
    """Create the object that is there before, for a rule about changes."""
    if case.old is not None:
        answer = kubectl("apply", "--server-side", "-f", "-", given=canary_rollout(case.old, name))
        assert answer.code == 0, answer.err
    return name
