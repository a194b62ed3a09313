"""The status as people and tools read it: conditions that never contradict each other, small, and written once."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from chaffinch_operator.canary.reasons import IN_FLIGHT, STALLED, Action, Reason, Verdict
from chaffinch_operator.canary.record import followed
from chaffinch_operator.canary.report import LIMIT_BYTES, fit, happening, invalid, report, sample, size
from chaffinch_operator.canary.status import (
    ActionStatus,
    CanaryRolloutStatus,
    Counts,
    Forecast,
    GateStatus,
    HistoryEntry,
)
from chaffinch_operator.schema import Condition, compact
from unit.canary.builders import ERRORS, NOW, Scene, first_sight, scene, stamp

LONG = "ü" * 3000


@pytest.mark.parametrize("action", Action)
def test_the_trio_never_contradicts_itself(action: Action) -> None:
    """For every action, reason, suspension and obstacle: exactly one of Ready, Reconciling and Stalled is true."""
    obstacles = [None, Reason.NAME_TAKEN, Reason.GATEWAY_API_MISSING]
    for reason, suspend, obstacle, held in product(Reason, [False, True], obstacles, [False, True]):
        before = scene().decision(action, reason).spec(suspend=suspend)
        before = before.blocker(obstacle) if obstacle else before
        before = before.held("v2") if held else before
        told = {c.type: c for c in before.report().conditions}
        trio = [told[kind].status for kind in ("Ready", "Reconciling", "Stalled")]
        assert sorted(trio) == ["False", "False", "True"]
        assert all(c.message and c.reason for c in told.values())
        assert set(told) == {"Ready", "Reconciling", "Stalled", "Progressing", "HoldInstalled"}


TABLE: dict[str, tuple[Scene, str, str, str, str]] = {
    "at rest": (scene().decide(), "Ready", "Promoted", "False", "Idle"),
    "no target": (scene().world(target=None).decide(), "Reconciling", "TargetNotFound", "False", "Waiting"),
    "a blocker": (scene().target(recreate=True).decide(), "Stalled", "StrategyRecreate", "False", "Waiting"),
    "starting": (scene().starting(), "Reconciling", "Initializing", "True", "Initializing"),
    "starting with a bad query": (
        scene().starting().decision(Action.START, Reason.BAD_QUERY),
        "Stalled",
        "BadQuery",
        "True",
        "Initializing",
    ),
    "applying a weight": (
        scene().shifting().decision(Action.SHIFT, Reason.STEP_WEIGHT),
        "Reconciling",
        "StepWeight",
        "True",
        "Progressing",
    ),
    "judged": (scene().shifting(), "Reconciling", "Analyzing", "True", "Analyzing"),
    "paused": (
        scene().shifting().decision(Action.PAUSE, Reason.APPROVAL_REQUIRED),
        "Reconciling",
        "ApprovalRequired",
        "Unknown",
        "Paused",
    ),
    "holding": (scene().holding(), "Reconciling", "InsufficientEvidence", "Unknown", "Holding"),
    "judged with an obstacle": (
        scene().shifting().blocker(Reason.ROUTE_NOT_ACCEPTED),
        "Stalled",
        "RouteNotAccepted",
        "True",
        "Analyzing",
    ),
    "promoting": (scene().promoting(), "Reconciling", "GatesPassed", "True", "Promoting"),
    "rolling back": (scene().rolling_back(), "Reconciling", "GateFailed", "True", "RollingBack"),
    "rejected": (scene().rejected(), "Stalled", "RolledBack", "False", "RolledBack"),
    "rejected with an obstacle": (
        scene().rejected().target(recreate=True),
        "Stalled",
        "RolledBack",
        "False",
        "RolledBack",
    ),
    "releasing": (scene().held("v1").decide(), "Reconciling", "Reverted", "True", "Releasing"),
    "replacing": (scene().shifting().held("v3").decide(), "Reconciling", "Superseded", "True", "Replacing"),
    "suspended": (scene().shifting().spec(suspend=True), "Reconciling", "Suspended", "Unknown", "Suspended"),
    "suspended at first sight": (first_sight().spec(suspend=True).decide(), "Ready", "Promoted", "False", "Idle"),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_conditions_of(name: str) -> None:
    """As the table of the design says: the one that is true, its reason, Progressing, and the phase."""
    before, kind, reason, progressing, phase = TABLE[name]
    assert before.condition(kind) == ("True", reason)
    assert before.condition("Progressing")[0] == progressing
    assert before.report().phase == phase
    assert before.report().observed_generation == 1


def test_the_hold_is_told() -> None:
    """With why it is not there."""
    assert scene().condition("HoldInstalled") == ("True", "HoldInstalled")
    without = scene().world(held=False, hold_message="Kubernetes 1.36 is needed")
    assert without.condition("HoldInstalled") == ("False", "HoldNotInstalled")
    assert scene().world(hold_message="").report().conditions[-1].message == "HoldInstalled"


def again(before: Scene, status: CanaryRolloutStatus) -> Scene:
    """The next pass: the status as it was written and read back, a little later."""
    read = CanaryRolloutStatus.model_validate(compact(status))
    return replace(before, state=read).at(17).decide()


@pytest.mark.parametrize("name", TABLE)
def test_nothing_is_written_when_nothing_changed(name: str) -> None:
    """A pass over what was just written gives it again, to the byte."""
    before = TABLE[name][0].decide()
    written = before.report()
    settled = again(before, written).report()
    assert again(before, settled).report() == settled
    assert compact(again(before, settled).report()) == compact(settled)


def full(name_length: int = 12) -> CanaryRolloutStatus:
    """Ten gates with evidence, long messages everywhere, a full history."""
    gate = scene().shifting().interval(30, canary=(3, 98_765_432), baseline=(4, 987_654_321)).at(70).decide()
    one = gate.state.gates[0].model_copy(update={"message": "x" * 300})
    gates = [one.model_copy(update={"name": f"{i}" * name_length}) for i in range(10)]
    entry = HistoryEntry(
        digest="d" * 10,
        image="registry.example/some/where/web:" + "f" * 90,
        result="RolledBack",
        reason=Reason.GATE_FAILED,
        at=stamp(0),
        message="m" * 200,
    )
    return gate.state.model_copy(
        update={
            "gates": gates,
            "history": [entry] * 10,
            "promoted_revisions": [f"{i:010d}" for i in range(12)],
            "rejected_revisions": [f"{i:010d}" for i in range(10)],
            "last_action": ActionStatus(token="t" * 40, accepted=False, message="r" * 300, at=stamp(0)),
            "forecast": Forecast(requests_needed=10**9, decision_by="", gate="g" * name_length),
        }
    )


@pytest.mark.parametrize("name_length", [12, 63])
@pytest.mark.parametrize("action", [Action.ROLL_BACK, Action.HOLD])
def test_status_is_small(name_length: int, action: Action) -> None:
    """Under 16 KiB whatever is in it, and once cut it is cut the same way again."""
    before = replace(scene().shifting(), state=full(name_length)).decision(action, Reason.GATE_FAILED, LONG[:1024])
    before = before.spec(analysis={"gates": [{**ERRORS, "name": g.name} for g in before.state.gates]})
    written = before.report()
    assert size(written) <= LIMIT_BYTES < 16 * 1024
    assert len(written.gates) == 10
    assert (
        replace(before, state=written).report()
        == replace(before, state=replace(before, state=written).report()).report()
    )


def test_what_fits_is_not_cut() -> None:
    """Nothing is taken from a status that is small."""
    status = scene().decide().report()
    assert fit(status) == status


def test_the_oldest_outcome_goes_first() -> None:
    """The last one is kept whatever happens; then the conditions are cut."""
    cut = fit(full(63).model_copy(update={"conditions": []}))
    assert 0 < len(cut.history) < 10
    much = full(63).model_copy(
        update={
            "gates": [g.model_copy(update={"message": "x" * 1000}) for g in full(63).gates],
            "conditions": [
                Condition(
                    type="Ready",
                    status="False",
                    reason="R",
                    message="c" * 512,
                    last_transition_time=stamp(0),
                    observed_generation=1,
                )
            ],
        }
    )
    assert len(fit(much).history) == 1
    assert len(fit(much).conditions[0].message) == 100


def test_status_reads_back_as_it_was() -> None:
    """Pruned of what is empty, it is still the same."""
    for status in (full(), CanaryRolloutStatus(), scene().shifting().decide().report(), scene().rejected().report()):
        assert CanaryRolloutStatus.model_validate(compact(status)) == status
    assert compact(CanaryRolloutStatus(gates=[GateStatus(name="g", canary=Counts(bad=0, total=5))]))["gates"] == [
        {
            "name": "g",
            "verdict": "NoData",
            "dryRun": False,
            "canary": {"bad": 0, "total": 5},
            "baseline": {"bad": 0, "total": 0},
        }
    ]


def test_an_invalid_spec_is_stalled() -> None:
    """The evidence stays, the generation is seen, and the second look writes nothing."""
    before = scene().shifting().report()
    after = invalid(before, 7, "spec.steps: too many", NOW)
    told = {c.type: (c.status, c.reason) for c in after.conditions}
    assert told["Ready"] == ("False", "InvalidSpec")
    assert told["Stalled"] == ("True", "InvalidSpec")
    assert told["HoldInstalled"] == ("True", "HoldInstalled")
    assert (after.phase, after.observed_generation) == ("Invalid", 7)
    assert after.gates == before.gates
    assert invalid(after, 7, "spec.steps: too many", NOW) == after
    assert invalid(CanaryRolloutStatus(), 1, LONG, NOW).conditions[0].message.endswith("…")


def test_one_event_per_decision() -> None:
    """A decision that was not there before is told, with its time; a new sentence is not."""
    before = scene().shifting()
    after = before.canary(restarts=9).decide()
    news = happening(before.state, after.state)
    assert news is not None
    assert (news.type, news.reason, news.action, news.at) == ("Warning", Reason.GATE_FAILED, Action.ROLL_BACK, NOW)
    assert happening(after.state, after.state) is None
    reworded = after.decision(Action.ROLL_BACK, Reason.GATE_FAILED, "other words")
    assert happening(after.state, reworded.state) is None
    assert happening(before.state, CanaryRolloutStatus()) is None
    promoted = happening(before.state, scene().promoting().at(3).state)
    assert promoted is not None
    assert promoted.type == "Normal"


def test_what_metrics_show() -> None:
    """The phase, the applied weight, the step, and the gates that have evidence."""
    before = scene().shifting().interval(30).at(70).decide()
    shown = sample(before.context)
    assert (shown.namespace, shown.name, shown.phase, shown.weight_percent, shown.step) == (
        "shop",
        "web",
        "Analyzing",
        25,
        0,
    )
    assert [g[0] for g in shown.gates] == ["errors"]


def test_reasons_that_stall_are_no_reasons_of_an_analysis() -> None:
    """A canary is only ever stalled by an obstacle, which is told as such."""
    assert Reason.ANALYZING not in STALLED
    assert Action.PROMOTE not in IN_FLIGHT
    assert report(scene().gate("errors", Verdict.PASS).context).conditions[0].type == "Ready"


def test_what_follows_from_a_step_is_no_event_of_its_own() -> None:
    """That a weight is applied is expected; that metrics are back is news. A restarted operator knows, too."""
    analyzing = scene().held("v2").shifting().decision(Action.SHIFT, Reason.ANALYZING, at=1).state
    for before, expected in ((Reason.STEP_WEIGHT, True), (Reason.PROVIDER_UNREACHABLE, False)):
        last = scene().shifting().decision(Action.SHIFT, before).state
        applied = followed(analyzing, last.last_decision)
        for seen in (last, CanaryRolloutStatus()):  # by the process that decided, and by one that comes after it
            told = happening(seen, applied)
            assert told is not None
            assert told.expected is expected
