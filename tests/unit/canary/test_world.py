"""Whole rollouts in a model of the world: whatever happens in between, and wherever the operator dies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaffinch_operator.canary.reasons import IN_FLIGHT, Action, Reason
from unit.canary.builders import digest
from unit.canary.world import World, at_rest

Story = Callable[[World], None]
BY_HAND = [{"setWeight": 25, "minDuration": "1m"}, {"pause": {}}, {"setWeight": 50, "minDuration": "1m"}]


def push(version: str) -> Story:
    """Apply a version."""
    return lambda world: world.push(version)


def ask(verb: str) -> Story:
    """Ask for something."""
    return lambda world: world.ask(verb)


def delete(world: World) -> None:
    """Delete the CanaryRollout."""
    world.deleting = True


STORIES: dict[str, tuple[list[tuple[int, Story]], int, dict[str, Any]]] = {
    "a good candidate is promoted": (
        [(2, push("v2"))],
        500,
        {"decision": (Action.IDLE, Reason.PROMOTED), "pods": {"v2": 4}, "promoted": [digest("v2"), digest("v1")]},
    ),
    "a bad candidate is rolled back and stays held": (
        [(2, push("v3"))],
        500,
        {"decision": (Action.REJECTED, Reason.ROLLED_BACK), "pods": {"v1": 4}, "held": ("v3", True)},
    ),
    "a bad candidate is superseded by a good one": (
        [(2, push("v3")), (12, push("v2"))],
        600,
        {"decision": (Action.IDLE, Reason.PROMOTED), "history": [("v2", "Promoted"), ("v3", "Superseded")]},
    ),
    "a candidate is reverted": (
        [(2, push("v3")), (20, push("v1"))],
        300,
        {"decision": (Action.IDLE, Reason.PROMOTED), "pods": {"v1": 4}, "history": [("v3", "Reverted")]},
    ),
    "a rolled back candidate is reverted": (
        [(2, push("v3")), (300, push("v1"))],
        400,
        {"decision": (Action.IDLE, Reason.PROMOTED), "held": ("v1", False), "rejected": [digest("v3")]},
    ),
    "a rolled back candidate is tried again": (
        [(2, push("v3")), (300, ask("retry"))],
        700,
        {"decision": (Action.REJECTED, Reason.ROLLED_BACK), "history": [("v3", "RolledBack"), ("v3", "RolledBack")]},
    ),
    "a person aborts": (
        [(2, push("v2")), (60, ask("abort"))],
        200,
        {"decision": (Action.REJECTED, Reason.ROLLED_BACK), "pods": {"v1": 4}},
    ),
    "a person forces a bad one": (
        [(2, push("v3")), (8, ask("promote-force"))],
        200,
        {"decision": (Action.IDLE, Reason.PROMOTED), "pods": {"v3": 4}},
    ),
    "back to the revision before, at once": (
        [(2, push("v2")), (500, push("v1"))],
        540,
        {"decision": (Action.IDLE, Reason.PROMOTED), "pods": {"v1": 4}, "promoted": [digest("v1")]},
    ),
    "the CanaryRollout is deleted mid-flight": (
        [(2, push("v2")), (60, delete)],
        120,
        {"pods": {"v1": 4}, "held": ("v2", True), "canary": None, "weight": None, "narrowed": ""},
    ),
    "the CanaryRollout is deleted after a revert": (
        [(2, push("v2")), (60, push("v1")), (60, delete)],
        120,
        {"pods": {"v1": 4}, "held": ("v1", False), "canary": None, "narrowed": ""},
    ),
    "the canary Deployment is deleted by a user": (
        [(2, push("v2")), (60, World.lose_canary)],
        600,
        {"decision": (Action.IDLE, Reason.PROMOTED), "pods": {"v2": 4}},
    ),
    "the canary Service is deleted by a user": (
        [(2, push("v2")), (60, World.lose_canary_service)],
        600,
        {"decision": (Action.IDLE, Reason.PROMOTED), "pods": {"v2": 4}},
    ),
    "the route is deleted by a user": (
        [(2, push("v2")), (60, World.lose_route)],
        600,
        {"decision": (Action.IDLE, Reason.PROMOTED), "pods": {"v2": 4}},
    ),
    "the canary is deleted while it is rolled back": (
        [(2, push("v2")), (60, ask("abort")), (62, World.lose_canary), (62, World.lose_canary_service)],
        200,
        {"decision": (Action.REJECTED, Reason.ROLLED_BACK), "canary": None, "weight": None},
    ),
    "the target is deleted and comes back": (
        [(2, push("v2")), (60, World.remove_target), (100, push("v2"))],
        200,
        {"decision": (Action.IDLE, Reason.PROMOTED), "pods": {"v2": 4}, "canary": None},
    ),
    "another template while the target rolls, then back": (
        [(2, push("v2")), (8, ask("promote-force")), (11, push("v4")), (60, push("v2"))],
        200,
        {"decision": (Action.IDLE, Reason.PROMOTED), "pods": {"v2": 4}},
    ),
}

COMPARED = ["None", "Dedicated"]
"""What the canary is compared with: every story ends the same way with either."""
TIMED = {"another template while the target rolls, then back"}
"""Stories whose end depends on the very second."""


def tell(name: str, kill: Callable[[], int | None] = lambda: None, baseline: str = "None") -> World:
    """Let a story happen."""
    events, length, _ = STORIES[name]
    world = at_rest(baseline)
    start = world.now
    for at, event in sorted(events, key=lambda e: e[0]):
        world.run(max(0, start + at - world.now), kill)
        event(world)
    return world.run(start + length - world.now, kill).run(40)


@lru_cache
def undisturbed(name: str, baseline: str) -> dict[str, Any]:
    """How a story ends when nobody dies."""
    return tell(name, baseline=baseline).end


@pytest.mark.parametrize("baseline", COMPARED)
@pytest.mark.parametrize("name", STORIES)
def test_a_story_ends_as_it_should(name: str, baseline: str) -> None:
    """And once it has ended, nothing is written any more, and nothing of canary and baseline is left."""
    world = tell(name, baseline=baseline)
    end = world.end
    assert {k: end[k] for k in STORIES[name][2]} == STORIES[name][2]
    assert not [w for w in world.writes if w[0] > world.now - 20]
    assert (world.canary, world.baseline) == (None, None)
    assert world.deleting is world.gone
    assert not (world.route and world.route.baseline)


def test_a_bad_candidate_never_gets_a_pod_of_the_target() -> None:
    """Stable's pods are never touched by a rollback."""
    world = tell("a bad candidate is rolled back and stays held")
    assert world.released == []
    assert "v3" not in world.pods


@pytest.mark.parametrize("name", ["a good candidate is promoted", "a bad candidate is rolled back and stays held"])
@pytest.mark.parametrize("writes", [0, 1, 2, 3])
@pytest.mark.parametrize("baseline", COMPARED)
def test_killed_in_every_pass_it_ends_the_same(name: str, writes: int, baseline: str) -> None:
    """Every other pass dies before its status, after it, or after so many writes."""
    turn = iter(range(10_000))
    world = tell(name, lambda: writes if next(turn) % 2 else None, baseline)
    assert world.end == undisturbed(name, baseline)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(STORIES.keys() - TIMED)), st.integers(0, 2**32), st.sampled_from(COMPARED))
def test_wherever_it_dies_it_ends_the_same(name: str, seed: int, baseline: str) -> None:
    """The writes after any prefix are lost, in any passes; the final state is that of an undisturbed run."""
    chance = Random(seed)
    world = tell(name, lambda: chance.choice([None, None, None, 0, 1, 2, 3, 4]), baseline)
    assert world.end == undisturbed(name, baseline)


EVENTS: dict[str, Story] = {
    **{f"push {v}": push(v) for v in ("v1", "v2", "v3", "v4")},
    **{verb: ask(verb) for verb in ("promote", "promote-force", "abort", "retry", "pause", "resume")},
    "lose the canary": World.lose_canary,
    "lose the canary's Service": World.lose_canary_service,
    "lose the baseline": World.lose_baseline,
    "lose the baseline's Service": World.lose_baseline_service,
    "lose the route": World.lose_route,
    "lose the target": World.remove_target,
    "Prometheus goes": lambda world: setattr(world, "blind", True),
    "Prometheus comes": lambda world: setattr(world, "blind", False),
    "suspend": lambda world: world.spec(suspend=True),
    "go on": lambda world: world.spec(suspend=False),
    "other steps": lambda world: world.spec(steps=BY_HAND),
    "one step": lambda world: world.spec(steps=[{"setWeight": 10, "minDuration": "1m"}]),
    "scale up": lambda world: world.scale(9),
    "scale down": lambda world: world.scale(2),
    "v2 crashes": lambda world: setattr(world, "crashing", frozenset({"v2"})),
    "new pods of stable crash": lambda world: setattr(world, "crashing", frozenset({"v1"})),
    "all work": lambda world: setattr(world, "crashing", frozenset()),
    "compare with a baseline": lambda world: world.spec(canary={"baseline": "Dedicated"}),
    "compare with stable": lambda world: world.spec(canary={"baseline": "None"}),
}


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.integers(1, 90), st.sampled_from(sorted(EVENTS))), min_size=1, max_size=8),
    st.integers(0, 2**32),
    st.sampled_from(COMPARED),
)
def test_whatever_happens_it_comes_to_rest(events: Sequence[tuple[int, str]], seed: int, baseline: str) -> None:
    """No write that must never be made; no Service without pods; and when people are quiet, so is the operator."""
    chance = Random(seed)
    world = at_rest(baseline)
    for wait, event in events:
        world.run(wait, lambda: chance.choice([None, None, None, None, 0, 1, 2]))
        EVENTS[event](world)
    if "promote-force" not in {event for _, event in events} and "lose the target" not in {
        event for _, event in events
    }:
        assert "v3" not in world.released
    world.run(500)
    decision = world.status.last_decision
    quiet = [w for w in world.writes if w[0] > world.now - 25 and w[1] != "status"]
    assert not quiet, (decision, quiet)
    if decision.action not in IN_FLIGHT:
        assert (world.canary, world.baseline) == (None, None) or decision.action is Action.PROMOTE
        assert not [w for w in world.writes if w[0] > world.now - 25]
