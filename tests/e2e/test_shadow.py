"""A ShadowEvaluation on a whole cluster: live requests through Envoy Gateway, a live verdict, and what follows."""

import contextlib
import secrets
from collections.abc import Iterator

import pytest

from cluster.deadline import wait_until
from support import evaluations, ledgers
from support.evaluations import KIND, NAME, Evaluation
from support.operator import Operator
from support.rollouts import Grounds

ADOPT = {"mirror": {"mode": "Adopt", "httpRouteRef": {"name": "waf"}}}
COMPARE = {"outcome": {"statusIn": [403]}}
QUESTION = {"margin": "0.05", "planned": 400}
GUARDRAILS = [{"metric": "falsePositiveRate", "maxIncrease": "0.1"}]
FEW = (("/", "0", 20), ("/both", "1", 10), ("/new", "1", 5), ("/old", "1", 5))
MANY = (("/", "0", 150), ("/both", "1", 60), ("/new", "1", 60))
ROLLOUT = {
    "targetRef": {"name": "waf"},
    "serviceRef": {"name": "waf", "port": 80},
    "trafficRouting": {"replicas": {}},
    "analysis": {"gates": [{"name": "restarts", "podRestarts": {}}]},
    "steps": [{"setWeight": 50, "minDuration": "5s"}],
    "promotion": {"require": "Duration"},
    "prerequisites": {"shadowEvaluationRef": {"name": NAME}},
}


@pytest.fixture(scope="module")
def namespace() -> str:
    """A namespace that no other session uses."""
    return f"e2e-shadow-{secrets.token_hex(3)}"


@pytest.fixture(scope="module")
def operator(cluster: Grounds, namespace: str) -> Iterator[Operator]:
    """An operator whose evaluations run this checkout's image."""
    ledgers.build_images(cluster.access, ledgers.IMAGE)
    running = evaluations.operator_of(cluster.access, [namespace]).start().wait_ready()
    try:
        yield running
    finally:
        running.remove()


@pytest.fixture(scope="module")
def evaluation(cluster: Grounds, operator: Operator, namespace: str) -> Iterator[Evaluation]:
    """Two versions behind a route, and an evaluation that takes copies."""
    made = Evaluation(cluster.access, cluster.kubectl, cluster.gateway, namespace)
    try:
        made.open()
        made.apply(traffic=ADOPT, compare=COMPARE, hypothesis=QUESTION, guardrails=GUARDRAILS)
        made.wait("Collecting", 180)
        yield made
    finally:
        for kind in ("canaryrollouts.chaffinch.dev", KIND):
            with contextlib.suppress(Exception):
                cluster.kubectl("delete", kind, f"--namespace={namespace}", "--all", "--timeout=60s", seconds=70)
        cluster.kubectl("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")


def test_copies_are_counted_while_clients_see_the_control_alone(evaluation: Evaluation) -> None:
    """What the candidate alone blocks is answered 200; the status has each request in its cell."""
    said = evaluation.send(*FEW)
    assert said["statuses"] == {"200": 25, "403": 15}
    wait_until(
        lambda: evaluation.status().get("cells") == [20, 0, 0, 0, 0, 5, 0, 15],
        "every copy in its cell",
        seconds=60,
        explain=evaluation.explain,
    )
    status = evaluation.status()
    assert (status["coverage"]["share"], status["verdict"]) == ("1", "Inconclusive")
    assert (status["discordant"]["lost"], status["discordant"]["gained"]) == (0, 5)


def test_a_canary_waits_for_the_verdict_and_starts_with_it(evaluation: Evaluation, cluster: Grounds) -> None:
    """The candidate's template is held back until there is a Promote; then the filter is out of the route."""
    meta = {"name": "waf", "namespace": evaluation.namespace}
    kind = {"apiVersion": "chaffinch.dev/v1alpha1", "kind": "CanaryRollout"}
    cluster.kubectl.apply({**kind, "metadata": meta, "spec": ROLLOUT})
    wait_until(lambda: decided(evaluation) == "Promoted", "the rollout at rest", seconds=60)
    evaluation.version("waf", "old,both,new")
    wait_until(lambda: decided(evaluation) == "PrerequisiteNotMet", "the canary to wait", seconds=60)
    assert evaluation.body("deployment", "waf")["spec"]["paused"] is True
    evaluation.send(*MANY)
    status = evaluation.wait("Concluded", 90)
    assert (status["verdict"], status["run"]["cause"]) == ("Promote", "VerdictReached")
    wait_until(lambda: evaluation.filters() == [], "the route without the filter", seconds=30)
    wait_until(
        lambda: decided(evaluation) not in {"PrerequisiteNotMet", ""}, "the canary to start", seconds=60,
        explain=lambda: str(evaluation.body("canaryrollouts.chaffinch.dev", "waf").get("status")),
    )  # fmt: skip


def test_a_candidate_that_hangs_costs_clients_nothing_and_decides_nothing(evaluation: Evaluation) -> None:
    """A new evaluation of it: all clients are answered by the control, the verdict is Inconclusive for its coverage."""
    evaluation.version("waf-next", "", fault="hang")
    evaluation.kubectl(
        "rollout", "status", "deployment/waf-next", f"--namespace={evaluation.namespace}", "--timeout=60s", seconds=70
    )
    evaluation.apply(traffic=ADOPT, compare=COMPARE, hypothesis={**QUESTION, "alpha": "0.01"}, guardrails=GUARDRAILS)
    evaluation.wait("Collecting", 120)
    said = evaluation.send(("/", "0", 60))
    assert said["statuses"] == {"200": 60}
    assert said["slowest"] < 2.0, "the candidate is given up after five seconds: nobody waited for it"
    wait_until(
        lambda: any(d["reason"] == "CandidateTimedOut" for d in evaluation.status()["coverage"].get("dropped", [])),
        "the copies that timed out",
        seconds=60,
        explain=evaluation.explain,
    )
    assert evaluation.status()["verdict"] == "Inconclusive"


def test_a_deletion_leaves_nothing(evaluation: Evaluation, cluster: Grounds) -> None:
    """The route is as it was, and no object of ours is left, the volume included."""
    cluster.kubectl("delete", KIND, NAME, f"--namespace={evaluation.namespace}", "--timeout=60s", seconds=70)
    assert evaluation.filters() == []
    kinds = "deployments,statefulsets,services,jobs,cronjobs,configmaps,secrets,networkpolicies,pvc"
    mine = f"--selector=chaffinch.dev/evaluation={NAME}"

    def left() -> list[str]:
        return cluster.kubectl("get", kinds, f"--namespace={evaluation.namespace}", mine, "--output=name").split()

    wait_until(lambda: left() == [], "nothing to be left", seconds=60, explain=lambda: str(left()))


def decided(evaluation: Evaluation) -> str:
    """Reason of the CanaryRollout's last decision."""
    status = evaluation.body("canaryrollouts.chaffinch.dev", "waf").get("status") or {}
    return str((status.get("lastDecision") or {}).get("reason", ""))
