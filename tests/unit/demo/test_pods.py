"""Which stable pods were touched."""

from typing import Any

from chaffinch_operator.canary.clock import stamp
from demo.pods import StablePods
from unit.demo.builders import BEGIN, at


def pod(uid: str, *, restarts: int = 0, deleted_at: float | None = None, track: str = "") -> dict[str, Any]:
    """A pod; its grace period is 30 seconds."""
    meta: dict[str, Any] = {"uid": uid, "name": uid, "labels": {"app": "shop"}}
    if track:
        meta["labels"]["chaffinch.dev/track"] = track
    if deleted_at is not None:
        meta |= {"deletionTimestamp": stamp(at(deleted_at + 30)), "deletionGracePeriodSeconds": 30}
    return {"metadata": meta, "status": {"containerStatuses": [{"restartCount": restarts}]}}


def begun(*uids: str) -> StablePods:
    """Stable pods at the beginning of a release."""
    pods = StablePods()
    for uid in uids:
        pods.see("ADDED", pod(uid, restarts=1), BEGIN)
    pods.begin()
    return pods


def test_pods_that_are_left_alone_are_not_touched() -> None:
    """Status updates change nothing."""
    pods = begun("a", "b")
    pods.see("MODIFIED", pod("a", restarts=1), at(5))
    assert pods.touched() == 0


def test_a_restart_in_place_counts() -> None:
    """Only restarts since the beginning."""
    pods = begun("a", "b")
    pods.see("MODIFIED", pod("a", restarts=2), at(5))
    assert pods.touched() == 1


def test_a_deletion_counts_from_when_it_was_asked_for() -> None:
    """The timestamp in the object is the end of the grace period."""
    pods = begun("a", "b")
    pods.see("MODIFIED", pod("a", restarts=1, deleted_at=50), at(51))
    pods.see("DELETED", pod("a", restarts=1, deleted_at=50), at(80))
    assert pods.touched(until=at(49)) == 0
    assert pods.touched(until=at(51)) == 1
    assert pods.touched() == 1


def test_a_pod_that_vanishes_between_two_looks_counts() -> None:
    """Without a timestamp the time of the event is taken."""
    pods = begun("a")
    pods.see("DELETED", pod("a", restarts=1), at(10))
    assert pods.touched() == 1


def test_canary_pods_and_later_pods_are_none_of_ours() -> None:
    """Only those that were stable at the beginning."""
    pods = begun("a")
    pods.see("ADDED", pod("c", track="canary"), at(1))
    pods.see("DELETED", pod("c", track="canary"), at(2))
    pods.see("ADDED", pod("late"), at(1))
    pods.see("DELETED", pod("late"), at(2))
    assert pods.touched() == 0


def test_the_next_release_begins_with_the_pods_that_are_left() -> None:
    """After a promotion those are the new ones."""
    pods = begun("a")
    pods.see("ADDED", pod("b"), at(1))
    pods.see("DELETED", pod("a"), at(2))
    pods.begin()
    assert pods.touched() == 0
