"""Every CEL rule of ShadowEvaluation, on a real API server: what it accepts, what it refuses, what it says then."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.apiserver

CRD = Path(__file__).parents[3] / "crds/chaffinch.dev_shadowevaluations.yaml"
DSN = {"dsnSecretRef": {"name": "pg", "key": "dsn"}}
SOURCE = {"configMap": {"name": "recorded"}}
UNSAFE = "methods has one that may write: set allowUnsafe to send writes twice more, or leave it out"
Spec = dict[str, Any]


def version(name: str) -> Spec:
    """A version by its Service."""
    return {"serviceRef": {"name": name, "port": 80}}


def spec(**changes: Any) -> Spec:
    """A spec that is valid, with the given top-level fields instead."""
    fields = {"control": version("waf"), "candidate": version("waf-next"), "traffic": {"mirror": {}}}
    return fields | changes


def mirror(**fields: Any) -> Spec:
    """A spec with a mirror of these fields."""
    return spec(traffic={"mirror": fields})


def replay(**fields: Any) -> Spec:
    """A spec with a replay of these fields."""
    return spec(traffic={"replay": {"source": SOURCE, **fields}})


def adopt(**fields: Any) -> Spec:
    """A spec that adopts a route."""
    return mirror(mode="Adopt", httpRouteRef={"name": "waf"}, **fields)


def hypothesis(**fields: Any) -> Spec:
    """A spec with these fields of the hypothesis."""
    return spec(hypothesis=fields)


def guarded(**fields: Any) -> Spec:
    """A spec with a guardrail of these fields."""
    return spec(guardrails=[fields])


@dataclass(frozen=True, slots=True)
class Case:
    """A rule, named by what it says; `old` is there before, for rules about changes."""

    message: str
    accepted: Spec
    refused: Spec
    old: Spec | None = None
    names: tuple[str, str] = ("", "")
    """Names of the accepted and the refused object, for rules about names."""


CASES = (
    Case(
        "metadata.name is the name of a Service too: up to 40 of a-z, 0-9 and -, a letter first, no - last",
        spec(),
        spec(),
        names=("a" * 40, "9-lives"),
    ),
    Case(
        "control and candidate must be different Services, or ports",
        spec(candidate={"serviceRef": {"name": "waf", "port": 81}}),
        spec(candidate=version("waf")),
    ),
    Case("parallelism belongs to traffic.replay", replay() | {"parallelism": 2}, spec(parallelism=2)),
    Case(
        "set exactly one of traffic.mirror and traffic.replay",
        replay(),
        spec(traffic={"mirror": {}, "replay": {"source": SOURCE}}),
    ),
    Case(
        "set exactly one of replay.source.volume and replay.source.configMap",
        replay(source={"volume": {"claimName": "c"}}),
        replay(source={"volume": {"claimName": "c"}, **SOURCE}),
    ),
    Case(
        "mirror.httpRouteRef belongs to mode Adopt, which needs it; with External you add the filter yourself",
        adopt(),
        mirror(mode="Adopt"),
    ),
    Case(
        "mirror.percent belongs to mode Adopt; with External write it into your filter",
        adopt(percent=20),
        mirror(percent=20),
    ),
    Case(UNSAFE, mirror(methods=["POST"], allowUnsafe=True), mirror(methods=["POST"])),
    Case(UNSAFE, replay(methods=["HEAD"]), replay(methods=["DELETE"])),
    Case("hypothesis.alpha must be above 0 and below 0.5", hypothesis(alpha="0.01"), hypothesis(alpha="0.50")),
    Case("hypothesis.margin must be below 1", hypothesis(margin="0"), hypothesis(margin="1.0")),
    Case(
        "hypothesis.prevalence must be above 0 and below 1",
        hypothesis(prevalence="0.01"),
        hypothesis(prevalence="0.0"),
    ),
    Case(
        "a guardrail has maxRatio for latencyP99, and maxIncrease for any other metric",
        guarded(metric="latencyP99", maxRatio="1.5"),
        guarded(metric="latencyP99", maxIncrease="0.5"),
    ),
    Case(
        "guardrails.maxIncrease must be below 1: it is a share",
        guarded(metric="errorRate", maxIncrease="0.001"),
        guarded(metric="errorRate", maxIncrease="1.5"),
    ),
    Case(
        "guardrails.maxRatio must be from 1 to 100",
        guarded(metric="latencyP99", maxRatio="1"),
        guarded(metric="latencyP99", maxRatio="0.9"),
    ),
    Case(
        "a guardrail on auc needs compare.score",
        guarded(metric="auc", maxIncrease="0.01") | {"compare": {"score": {"header": "x-score"}}},
        guarded(metric="auc", maxIncrease="0.01"),
    ),
    Case(
        "actions.canaryRolloutRef belongs to onPromote: StartCanary, which needs it",
        spec(actions={"onPromote": "StartCanary", "canaryRolloutRef": {"name": "waf"}}),
        spec(actions={"onPromote": "StartCanary"}),
    ),
    Case(
        "set exactly one of database.managed and database.external",
        spec(database={"external": DSN}),
        spec(database={"managed": {}, "external": DSN}),
    ),
    Case(
        "the kind of database cannot be changed: make another object and move the data to it",
        spec(database={"managed": {}}),
        spec(database={"external": DSN}),
        old=spec(database={"managed": {}}),
    ),
    Case(
        "database.managed.storage cannot be changed: enlarge the PersistentVolumeClaim instead",
        spec(database={"managed": {"storage": "10Gi"}}),
        spec(database={"managed": {"storage": "20Gi"}}),
        old=spec(),
    ),
)
NUMBERED = [pytest.param(index, case, id=f"{index}-{case.message[:40]}") for index, case in enumerate(CASES)]


def messages(node: Any) -> set[str]:
    """Messages of all rules below a node of the schema."""
    if isinstance(node, list):
        return set().union(*map(messages, node))
    if not isinstance(node, dict):
        return set()
    own = {rule["message"] for rule in node.get("x-kubernetes-validations", ())}
    return own.union(*(messages(value) for key, value in node.items() if key != "x-kubernetes-validations"))


def evaluation(content: Spec, name: str) -> dict[str, Any]:
    """The object."""
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "chaffinch.dev/v1alpha1", "kind": "ShadowEvaluation", "metadata": meta, "spec": content}


def test_every_rule_has_a_case() -> None:
    """A rule without a case here, and a case whose rule is gone, fail this test."""
    assert {case.message for case in CASES} == messages(yaml.safe_load(CRD.read_text()))


@pytest.mark.parametrize(("index", "case"), NUMBERED)
def test_a_rule_lets_pass_what_it_should_and_says_what_not(index: int, case: Case, kubectl: Any) -> None:
    """What obeys the rule is accepted; what breaks it is refused, and the answer says what to change."""
    good, bad = (name or f"evaluation-{index}" for name in case.names)
    if case.old is not None:
        assert kubectl("apply", "--server-side", "-f", "-", given=evaluation(case.old, good)).code == 0
    accepted = kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", given=evaluation(case.accepted, good))
    assert accepted.code == 0, accepted.err
    refused = kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", given=evaluation(case.refused, bad))
    assert refused.code == 1
    assert case.message in refused.err


def test_the_sample_is_valid(kubectl: Any) -> None:
    """With no field that the schema does not know."""
    sample = Path(__file__).parents[3] / "manifests/samples/shadow.yaml"
    answer = kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", sample)
    assert answer.code == 0, answer.err
