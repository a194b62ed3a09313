"""Builders for tests of the tour: states of a CanaryRollout, and what clients saw."""

from datetime import UTC, datetime, timedelta
from typing import Any

from chaffinch_operator.canary.clock import stamp
from chaffinch_operator.cli.rollout import Rollout, rollout_of
from demo.course import Course
from demo.scenario import RELEASES
from demo.summary import Result
from support.load.outcome import Kind, Outcome
from support.load.tally import Tally
from support.sample import App, RolloutPlan

BEGIN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
GOOD, FAILING, SLOW = RELEASES


def at(seconds: float) -> datetime:
    """So long after the release was applied."""
    return BEGIN + timedelta(seconds=seconds)


def state(action: str, reason: str, seconds: float, **status: Any) -> Rollout:
    """The object as the operator wrote it at that time."""
    decision = {"action": action, "reason": reason, "at": stamp(at(seconds)), "message": f"because {reason}"}
    body = RolloutPlan().canary_rollout(App("demo"))
    body["metadata"] |= {"generation": 1, "uid": "u", "creationTimestamp": stamp(BEGIN)}
    return rollout_of({**body, "status": {"observedGeneration": 1, "lastDecision": decision, **status}})


def at_weight(percent: int, since: float, canary: int, total: int, **status: Any) -> Rollout:
    """Analysed at a weight that was confirmed."""
    return state(
        "Shift",
        "Analyzing",
        since,
        weight={"desired": percent, "applied": percent, "since": stamp(at(since))},
        step={"startedAt": stamp(at(since)), "canaryRequests": canary, "totalRequests": total},
        **status,
    )


def gate(name: str, verdict: str, bad: int = 0, canary: int = 0, stable: int = 0) -> dict[str, Any]:
    """What one gate says."""
    return {
        "name": name,
        "verdict": verdict,
        "canary": {"bad": bad, "total": canary},
        "baseline": {"bad": 0, "total": stable},
        "message": f"{name}: canary {bad} of {canary}",
    }


def seen(**counts: int) -> Tally:
    """What clients saw: stable, canary, errors (of the canary) and failed requests."""
    tally = Tally()
    kinds = {
        "stable": Outcome(Kind.OK, "stable", "v1", "200"),
        "canary": Outcome(Kind.OK, "canary", "v3", "200"),
        "errors": Outcome(Kind.INJECTED, "canary", "v3", "500"),
        "failed": Outcome(Kind.FAILED, "", "", "503"),
    }
    for name, count in counts.items():
        tally.outcomes[kinds[name]] += count
    return tally


def rolled_back(clients: Tally | None = None, touched: int = 0) -> Result:
    """The failing release, ended as it should."""
    course = Course(BEGIN)
    course.see(at_weight(10, 5, 90, 1000))
    gates = [gate("errors", "Fail", 4, 90, 910)]
    course.see(state("RollBack", "GateFailed", 20, gates=gates))
    course.see(state("Rejected", "RolledBack", 27, gates=gates))
    tally = clients if clients is not None else seen(stable=900, canary=88, errors=4)
    return Result(FAILING, course, 27.0, tally, (), (), touched)
