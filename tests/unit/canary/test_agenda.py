"""When a rollout is looked at again: once its interval is ripe, at every turning point, and seldom in between."""

import pytest

from chaffinch_operator.canary import agenda
from chaffinch_operator.canary.reasons import Action, Reason
from unit.canary.builders import Scene, scene


def look(made: Scene) -> float | None:
    """Seconds until the next look."""
    return agenda.next_look(made.context)


def judging(**spec: object) -> Scene:
    """At the first of two steps of two minutes each; the interval from 0 to 60 s is ripe at 75 s."""
    return scene().spec(analysis={"interval": "60s", "queryOffset": "15s"}, **spec).shifting().judged(0)


@pytest.mark.parametrize("action", [Action.IDLE, Action.REJECTED])
def test_at_rest_nothing_is_awaited(action: Action) -> None:
    """A watch tells when a template changes."""
    assert look(scene().decision(action, Reason.PROMOTED)) is None


def test_a_judged_canary_is_looked_at_when_its_interval_is_ripe() -> None:
    """One look an interval, and one in between for what nobody watches."""
    assert look(judging().at(20)) == agenda.UNWATCHED
    assert look(judging().at(50)) == 25
    assert look(judging().judged(60).at(76)) == agenda.UNWATCHED


def test_an_interval_that_is_ripe_already_is_read_at_once() -> None:
    """After a pause of the operator one pass follows the other."""
    assert look(judging().at(500)) == agenda.SOON


def test_a_step_ends_in_time() -> None:
    """It began at 0 and lasts two minutes."""
    assert look(judging().judged(60).at(110)) == 10


def test_what_is_over_already_is_not_awaited() -> None:
    """A step that is over waits for evidence, not for its own end."""
    assert look(judging().judged(120).at(180)) == 15


def test_a_pause_ends_in_time() -> None:
    """Also one that began before the interval."""
    steps = [{"setWeight": 25, "minDuration": "2m"}, {"pause": {"duration": "20s"}}]
    paused = judging(steps=steps).decision(Action.PAUSE, Reason.PAUSED, at=0)
    step = paused.state.step.model_copy(update={"index": 1})
    assert look(paused.status(step=step).at(15)) == 5


def test_the_time_for_a_verdict_ends_in_time() -> None:
    """It counts from the first request."""
    held = judging(promotion={"maxDuration": "1h"}).judged(3600).decision(Action.HOLD, Reason.INSUFFICIENT_EVIDENCE)
    assert look(held.at(3595)) == 5


def test_what_is_on_its_way_is_looked_at_every_second() -> None:
    """A weight that is not applied, a Prometheus that does not answer, a canary that starts or lost its pods."""
    assert look(judging().route(canary_weight=0).at(20)) == agenda.WAITING
    assert look(judging().unreachable().at(20)) == agenda.WAITING
    assert look(judging().canary(available=0).at(20)) == agenda.WAITING
    assert look(judging().canary(ready_endpoints=0).at(20)) == agenda.WAITING
    assert look(scene().starting()) == agenda.WAITING


def test_evidence_alone_brings_it_no_further() -> None:
    """After a pass that only counted, there is nothing to do at once; after a decision there may be."""
    before = judging()
    assert agenda.place(before.judged(60).state) == agenda.place(before.state)
    decided = before.decision(Action.HOLD, Reason.INSUFFICIENT_EVIDENCE)
    assert agenda.place(decided.state) != agenda.place(before.state)
