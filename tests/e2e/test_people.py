"""What people do with the real kubectl-chaffinch on a real cluster: approve, pause, abort, retry; what it answers."""

import re
from dataclasses import dataclass

import pytest

from chaffinch_operator.canary.reasons import Action, Reason
from support.rollouts import Said, Shop, Street
from support.timeline import doing

pytestmark = pytest.mark.cluster

SPEC = {
    "steps": [{"setWeight": 34, "minDuration": "10m"}, {"pause": {}}],
    "analysis": {
        "provider": None,
        "interval": "1s",
        "queryOffset": "1s",
        "warmup": "1s",
        "gates": [{"name": "restarts", "podRestarts": {"max": 0}}],
    },
}
QUICK = {"steps": [{"setWeight": 34, "minDuration": "1s"}, {"pause": {}}]}


@dataclass(frozen=True, slots=True)
class Record:
    """What the commands said, in their order."""

    idle_abort: Said
    early_promote: Said
    pause: Said
    paused_status: Said
    resume: Said
    abort: Said
    rejected_status: Said
    retry: Said
    waiting_status: Said
    promote: Said
    unknown: Said
    decisions: list[tuple[Action, Reason]]
    pods_kept: bool


@pytest.fixture(scope="module")
def shop(street: Street) -> Shop:
    """One shop; its first step is long, so that a person is faster."""
    return street.open(spec=SPEC)


@pytest.fixture(scope="module")
def record(shop: Shop) -> Record:
    """A release as people steer it."""
    idle_abort, before = shop.chaffinch("abort", shop.name), shop.stable_pods()
    position = shop.release("v2")
    shop.wait(doing(Action.SHIFT, Reason.ANALYZING, weight=34), 60, "a canary with traffic")
    early_promote = shop.chaffinch("promote", shop.name)
    pause = shop.chaffinch("pause", shop.name)
    shop.wait(doing(Action.PAUSE, Reason.PAUSED_BY_USER), 20, "the pause")
    paused_status = shop.chaffinch("status", shop.name)
    resume = shop.chaffinch("resume", shop.name)
    shop.wait(doing(Action.SHIFT), 20, "the end of the pause")
    abort = shop.chaffinch("abort", shop.name)
    shop.wait(doing(Action.ROLL_BACK, Reason.ABORTED), 20, "the abort")
    shop.wait(doing(Action.REJECTED), 40, "rest after the abort")
    rejected_status, kept = shop.chaffinch("status", shop.name), before == shop.stable_pods()
    shop.configure(QUICK)
    retry = shop.chaffinch("retry", shop.name)
    shop.wait(doing(Action.PAUSE, Reason.APPROVAL_REQUIRED), 60, "the pause step")
    waiting_status = shop.chaffinch("status", shop.name)
    promote = shop.chaffinch("promote", shop.name)
    shop.wait_promoted(60)
    return Record(
        idle_abort,
        early_promote,
        pause,
        paused_status,
        resume,
        abort,
        rejected_status,
        retry,
        waiting_status,
        promote,
        shop.chaffinch("abort", "nobody"),
        shop.timeline.decisions(position),
        kept,
    )


def test_accepted_actions_exit_with_zero_and_say_so(record: Record) -> None:
    """Pause, resume, abort, retry and promote are accepted where they make sense, with exit status 0."""
    for verb in ("pause", "resume", "abort", "retry", "promote"):
        said: Said = getattr(record, verb)
        assert said.exit_status == 0, (verb, said)
        assert f"{verb} accepted" in said.output, (verb, said)


def test_refused_actions_exit_with_one_and_say_why(record: Record) -> None:
    """Abort at rest and promote before the gates passed are refused, with the reason and exit status 1."""
    assert (record.idle_abort.exit_status, record.early_promote.exit_status) == (1, 1)
    assert "no canary is under way" in record.idle_abort.errors
    assert "the gates have not passed yet" in record.early_promote.errors
    assert "promote shop --force" in record.early_promote.errors


def test_unknown_rollout_is_named(record: Record) -> None:
    """An action on a CanaryRollout that is not there fails and names it."""
    assert record.unknown.exit_status != 0
    assert "nobody" in record.unknown.errors


def test_status_shows_where_it_stands(record: Record) -> None:
    """One screen says that it is paused by a person, rolled back, or waits for one."""
    for said, word in (
        (record.paused_status, "[Pp]aused"),
        (record.rejected_status, "[Rr]olled ?[Bb]ack"),
        (record.waiting_status, "promote"),
    ):
        assert re.search(word, said.output), said


def test_abort_rolls_back_and_touches_no_stable_pod(record: Record) -> None:
    """Abort is a rollback for the reason Aborted, and stable's pods are the same."""
    assert (Action.ROLL_BACK, Reason.ABORTED) in record.decisions
    assert record.pods_kept


def test_retry_starts_over(record: Record) -> None:
    """After a rollback, retry starts a canary of the same candidate."""
    rejected = record.decisions.index((Action.REJECTED, Reason.ROLLED_BACK))
    assert (Action.START, Reason.INITIALIZING) in record.decisions[rejected:]


def test_pause_step_waits_for_approval(record: Record) -> None:
    """A pause step without a duration goes on by kubectl chaffinch promote, and the gates' evidence promotes."""
    waiting = record.decisions.index((Action.PAUSE, Reason.APPROVAL_REQUIRED))
    assert (Action.PROMOTE, Reason.GATES_PASSED) in record.decisions[waiting:]
