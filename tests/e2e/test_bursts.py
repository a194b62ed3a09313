"""Errors that come in bursts, in accelerated time: harmless candidates pass, doubled errors are rolled back.

A second is a virtual minute: the counters of each pod grow by 1,000 requests, 1 % of them bad in the mean, with noise
of sigma 0.3 on the rate of each pod's minute. That is twice the variance that counting explains, and the gate is told
nothing of it: it measures the dispersion on stable's history. Every rollout is a real one: operator, API server, pods,
Prometheus.

alpha is 0.001 and beta 0.01. At the defaults of 0.05 one harmless candidate in seventy would be rolled back under such
noise (docs/simulations.md), so twenty of twenty would pass in three runs of four only.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import Any

import pytest

from chaffinch_operator.canary.reasons import Action
from chaffinch_operator.canary.status import CanaryRolloutStatus
from support.operator import REPOSITORY, Operator
from support.rollouts import Grounds, Shop, Street
from support.sample import Version
from support.stories import together

pytestmark = [pytest.mark.cluster, pytest.mark.long]

RUNS = 20
FIGURES = REPOSITORY / "build" / "e2e" / "bursts.json"
ERRORS = 0.01
VERDICT_SECONDS = 300.0
HISTORY_SECONDS = 240
SLACK_SECONDS = 30
"""Until Prometheus has found new pods and scraped them; a busy machine loses scrapes, too."""
SPEC: dict[str, Any] = {
    "trafficRouting": {"gatewayAPI": None, "replicas": {}},
    "steps": [{"setWeight": 33, "minDuration": "2s"}],
    "analysis": {
        "interval": "2s",
        "queryOffset": "2s",
        "warmup": "2s",
        "alpha": "0.001",
        "beta": "0.01",
        "gates": [
            {
                "name": "errors",
                "template": "PodHTTPErrors",
                "marginRatio": "1.5",
                "safeBelow": "0.00001",
                "dispersion": "Auto",
                "minBaselineHistory": f"{HISTORY_SECONDS}s",
            }
        ],
    },
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one rollout ended."""

    run: int
    candidate: str
    verdict: str
    seconds: float
    dispersion: str
    dispersion_source: str
    message: str


def version(name: str, errors: float, seed: int) -> Version:
    """A version whose pods make their own load."""
    return Version(name, error_rate=errors, load=1000, noise=0.3, seed=str(seed))


def ended(status: CanaryRolloutStatus) -> bool:
    """Promoted or rolled back."""
    return status.last_decision.action in (Action.PROMOTE, Action.ROLL_BACK)


def release(shop: Shop, run: int, candidate: str, errors: float) -> Outcome:
    """One rollout to its end."""
    shop.release_version(version(candidate, errors, run))
    begun = shop.wait(lambda s: s.last_decision.action is Action.SHIFT, 180, "the canary's share")
    seen = shop.wait(ended, VERDICT_SECONDS, "a verdict")
    gate = seen.status.gates[0]
    outcome = Outcome(
        run,
        candidate,
        seen.action.value,
        round(seen.at - begun.at, 1),
        gate.dispersion,
        gate.dispersion_source,
        gate.message,
    )
    at_rest = (Action.IDLE, Action.REJECTED)
    shop.wait(lambda s: s.last_decision.action in at_rest, 120, "rest after the verdict")
    return outcome


def history_begins(shop: Shop) -> float:
    """When the last of stable's containers started, in seconds since the epoch."""
    pods = json.loads(shop.kubectl("get", "pods", f"--selector={shop.app.labels}", "--output=json"))["items"]
    started = [c["state"]["running"]["startedAt"] for pod in pods for c in pod["status"]["containerStatuses"]]
    return max(datetime.fromisoformat(at).timestamp() for at in started)


def story(shop: Shop, run: int) -> list[Outcome]:
    """Wait for a history, then a candidate with twice the errors, then one like stable."""
    old_enough = history_begins(shop) + HISTORY_SECONDS + SLACK_SECONDS
    shop.wait_for(lambda: time.time() >= old_enough, HISTORY_SECONDS + 120, "a history of stable")
    return [release(shop, run, "doubled", 2 * ERRORS), release(shop, run, "harmless", ERRORS)]


def run_all(street: Street) -> list[Outcome]:
    """Two rollouts in each of so many shops, all shops at the same time."""
    shops = [street.new(spec=SPEC, replicas=2) for _ in range(RUNS)]
    for run, shop in enumerate(shops):
        shop.begin(version("stable", ERRORS, run))
    for shop in shops:
        shop.settle(240)
    told = together(*(partial(story, shop, run) for run, shop in enumerate(shops)))
    outcomes = [outcome for each in told for outcome in each]
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    FIGURES.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=2) + "\n")
    return outcomes


def table(outcomes: list[Outcome]) -> str:
    """A line for every rollout."""
    return "\n" + "\n".join(f"{o.run:2} {o.candidate:8} {o.verdict:8} {o.seconds:5} s {o.message}" for o in outcomes)


@contextlib.contextmanager
def kept_alive(operator: Operator) -> Iterator[None]:
    """Start the operator again when it ends, as its Deployment would: it does when it cannot renew its Lease."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            if not operator.alive:
                operator.start()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)


@pytest.fixture(scope="module")
def outcomes(cluster: Grounds) -> Iterator[list[Outcome]]:
    """All rollouts, side by side in namespaces of their own; also written to build/e2e/bursts.json."""
    stem = f"e2e-bursts-{secrets.token_hex(3)}"
    operator = Operator(cluster.access, [f"{stem}-{number}" for number in range(RUNS)])
    try:
        operator.start().wait_ready()
        street = Street(cluster, operator)
        with kept_alive(operator):
            try:
                yield run_all(street)
            finally:
                street.close()
    finally:
        operator.remove()


def test_the_noise_was_measured_on_history(outcomes: list[Outcome]) -> None:
    """Every gate found out by itself, from stable's own pods, that counts vary more than chance explains."""
    assert all(o.dispersion_source.startswith("History") for o in outcomes), table(outcomes)
    assert sum(float(o.dispersion) for o in outcomes) / len(outcomes) == pytest.approx(2.25, abs=0.75), table(outcomes)


def test_harmless_candidates_are_promoted(outcomes: list[Outcome]) -> None:
    """Twenty of twenty."""
    verdicts = [o.verdict for o in outcomes if o.candidate == "harmless"]
    assert verdicts == [Action.PROMOTE] * RUNS, table(outcomes)


def test_doubled_errors_are_rolled_back(outcomes: list[Outcome]) -> None:
    """Twenty of twenty."""
    verdicts = [o.verdict for o in outcomes if o.candidate == "doubled"]
    assert verdicts == [Action.ROLL_BACK] * RUNS, table(outcomes)
