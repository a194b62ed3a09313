"""Conditions keep the time of their last change and never contradict each other."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from chaffinch_operator.conditions import Condition, NewCondition, Status, cut, merge, rfc3339, trio

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EARLIER = "2026-01-01T00:00:00Z"


def found(kind: str = "Ready", status: Status = "True", reason: str = "Promoted", message: str = "ok") -> NewCondition:
    """A condition as it is found now."""
    return NewCondition(kind, status, reason, message, 7)


def stood(kind: str = "Ready", status: Status = "True", reason: str = "Promoted") -> Condition:
    """A condition as it stood before."""
    return Condition(kind, status, reason, "before", 6, EARLIER)


def test_a_first_condition_is_dated_now() -> None:
    """What was not there before changed now."""
    assert merge([], [found()], NOW) == [Condition("Ready", "True", "Promoted", "ok", 7, "2026-01-02T03:04:05Z")]


def test_the_time_stays_while_the_status_stays() -> None:
    """Reason, message and generation may change without moving lastTransitionTime."""
    assert merge([stood()], [found(reason="Reverted")], NOW) == [
        Condition("Ready", "True", "Reverted", "ok", 7, EARLIER)
    ]


def test_the_time_moves_with_the_status() -> None:
    """True to False is a transition."""
    assert merge([stood(status="False")], [found()], NOW)[0].last_transition_time == rfc3339(NOW)


def test_other_conditions_and_their_order_stay() -> None:
    """A condition that is not looked at is kept as it was, at its place."""
    kept = stood("HoldInstalled")
    merged = merge([kept, stood()], [found(), found("Stalled")], NOW)
    assert [c.type for c in merged] == ["HoldInstalled", "Ready", "Stalled"]
    assert merged[0] == kept


def test_merging_twice_changes_nothing() -> None:
    """The second pass over the same facts writes nothing."""
    once = merge([stood()], [found(status="False")], NOW)
    assert merge(once, [found(status="False")], NOW + timedelta(hours=1)) == once


def test_long_messages_are_cut_with_an_ellipsis() -> None:
    """A message is never refused for its length."""
    message = merge([], [found(message="x" * 3000)], NOW)[0].message
    assert len(message) == 2048
    assert message.endswith("…")
    assert cut("short") == "short"


def test_the_trio_shares_reason_and_message() -> None:
    """Ready, Reconciling and Stalled tell one story."""
    three = trio(ready=False, reconciling=True, stalled=False, reason="Analyzing", message="m", generation=3)
    assert [(c.type, c.status) for c in three] == [("Ready", "False"), ("Reconciling", "True"), ("Stalled", "False")]
    assert {(c.reason, c.message, c.observed_generation) for c in three} == {("Analyzing", "m", 3)}


@pytest.mark.parametrize(("reconciling", "stalled"), [(True, False), (False, True)])
def test_ready_excludes_the_other_two(reconciling: bool, stalled: bool) -> None:
    """Else kstatus would call such an object both Current and not."""
    with pytest.raises(ValueError, match="cannot be Ready"):
        trio(ready=True, reconciling=reconciling, stalled=stalled, reason="r", message="m", generation=1)


def test_times_are_written_in_utc() -> None:
    """A moment of another zone is the same moment in Z."""
    assert rfc3339(NOW.astimezone(timezone(timedelta(hours=5)))) == "2026-01-02T03:04:05Z"
