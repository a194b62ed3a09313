"""A ShadowEvaluation on a whole cluster: live requests through Envoy Gateway, and a live verdict."""

import contextlib
import secrets
from collections.abc import Iterator

import pytest

from cluster.deadline import wait_until
from support import evaluations, ledgers
from support.evaluations import KIND, Evaluation
from support.operator import Operator
from support.rollouts import Grounds

ADOPT = {"mirror": {"mode": "Adopt", "httpRouteRef": {"name": "waf"}}}
FEW = (("/", "0", 20), ("/both", "1", 10), ("/new", "1", 5), ("/old", "1", 5))


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
        made.apply(traffic=ADOPT)
        made.wait("Collecting", 180)
        yield made
    finally:
        with contextlib.suppress(Exception):
            cluster.kubectl("delete", KIND, f"--namespace={namespace}", "--all", "--timeout=60s", seconds=70)
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
