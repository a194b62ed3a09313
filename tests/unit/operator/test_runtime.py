"""Who is woken by what, and when an object may be let go. In virtual time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chaffinch_operator.loop import Outcome
from chaffinch_operator.runtime import Key, Runtime, alerts_in
from chaffinch_operator.settings import Settings

Run = Callable[[Any], Any]


@dataclass
class Work:
    """A slice that notes its passes and is idle, or finished once told so."""

    passes: list[str] = field(default_factory=list)
    finished: bool = False

    async def reconcile(self, namespace: str, name: str) -> Outcome:
        """One pass."""
        self.passes.append(f"{namespace}/{name}")
        await asyncio.sleep(0)
        return Outcome(finished=self.finished)

    def passed(self, seconds: float, result: str) -> None:
        """Not looked at here."""


def rollout(name: str = "web", target: str = "web", uid: str = "u1", **meta: object) -> dict[str, Any]:
    """A CanaryRollout as a watch shows it."""
    return {
        "metadata": {"namespace": "shop", "name": name, "uid": uid, "generation": 1, **meta},
        "spec": {"targetRef": {"name": target}},
        "status": {},
    }


async def settle() -> None:
    """Let everything happen that can happen within a second."""
    await asyncio.sleep(1)


class Scenario:
    """A runtime with one object under a framework's task."""

    def __init__(self, body: dict[str, Any] | None = None, **hooks: Any) -> None:
        self.work = Work()
        self.body = body or rollout()
        self.runtime = Runtime(Settings(), self.work, self.work, **hooks)
        self.stopped = asyncio.Event()

    async def start(self) -> asyncio.Task[None]:
        """See the object and start its task, as the framework does."""
        self.runtime.rollout_changed(self.body)
        task = asyncio.create_task(self.runtime.look_after(self.body, self.stopped.wait))
        await settle()
        self.work.passes.clear()
        return task


def test_a_change_of_spec_or_annotations_wakes_the_loop(virtually: Run) -> None:
    """What a person asks for is looked at when it is heard of."""

    async def scenario() -> None:
        s = Scenario()
        await s.start()
        for body in (rollout(generation=2), rollout(generation=2, annotations={"chaffinch.dev/action": "abort@1"})):
            s.runtime.rollout_changed(body)
            await settle()
        assert s.work.passes == ["shop/web"] * 2

    virtually(scenario())


def test_a_change_of_status_alone_does_not(virtually: Run) -> None:
    """Our own status write does not come back as work."""

    async def scenario() -> None:
        s = Scenario()
        await s.start()
        s.runtime.rollout_changed({**s.body, "status": {"phase": "Idle"}})
        await settle()
        assert s.work.passes == []

    virtually(scenario())


def alerted(*starts: str) -> dict[str, Any]:
    """The object with alerts in its status."""
    return {**rollout(), "status": {"alerts": [{"fingerprint": "f", "startsAt": start} for start in starts]}}


def test_alerts_in_the_status_do(virtually: Run) -> None:
    """Any replica may have written them; once is enough, and when they go there is nothing to do."""

    async def scenario() -> None:
        s = Scenario()
        await s.start()
        for body, passes in ((alerted("1"), 1), (alerted("1"), 0), (alerted("1", "2"), 1), (alerted(), 0)):
            s.work.passes.clear()
            s.runtime.rollout_changed(body)
            await settle()
            assert len(s.work.passes) == passes

    virtually(scenario())


def test_alerts_that_this_process_wrote_are_no_news(virtually: Run) -> None:
    """The pass begins at once, and is not cut off when the watch shows the same a moment later."""

    async def scenario() -> None:
        s = Scenario()
        await s.start()
        s.runtime.alerts_written(Key("shop", "web"), alerts_in(alerted("1")["status"]))
        s.runtime.alerts_written(Key("shop", "other"), alerts_in(alerted("1")["status"]))
        await settle()
        s.runtime.rollout_changed(alerted("1"))
        await settle()
        assert s.work.passes == ["shop/web"]

    virtually(scenario())


def test_target_canary_and_baseline_wake_their_rollout(virtually: Run) -> None:
    """By name, or by the label of a child whose name was cut."""

    async def scenario() -> None:
        s = Scenario()
        await s.start()
        for name, labels in (
            ("web", {}),
            ("web-canary", {}),
            ("web-baseline", {}),
            ("other", {"chaffinch.dev/rollout": "web"}),
        ):
            s.runtime.deployment_changed("shop", name, labels)
            await settle()
        assert len(s.work.passes) == 4

    virtually(scenario())


def test_other_deployments_wake_nobody(virtually: Run) -> None:
    """Not those of other names, nor those of the same name in another namespace."""

    async def scenario() -> None:
        s = Scenario()
        await s.start()
        s.runtime.deployment_changed("shop", "db", {})
        s.runtime.deployment_changed("test", "web", {})
        await settle()
        assert s.work.passes == []

    virtually(scenario())


def test_two_rollouts_of_one_target_are_both_woken(virtually: Run) -> None:
    """The one that conflicts wants to know when it no longer does."""

    async def scenario() -> None:
        s = Scenario()
        await s.start()
        other = rollout("web2", uid="u2")
        s.runtime.rollout_changed(other)
        task = asyncio.create_task(s.runtime.look_after(other, s.stopped.wait))
        await settle()
        s.work.passes.clear()
        s.runtime.deployment_changed("shop", "web", {})
        await settle()
        assert sorted(s.work.passes) == ["shop/web", "shop/web2"]
        task.cancel()

    virtually(scenario())


def test_a_rollout_is_woken_when_an_evaluation_wants_something_else_of_its_route(virtually: Run) -> None:
    """Copies from now on, or no more; counts in the status of the evaluation are none of its business."""

    async def story() -> None:
        it = Scenario()
        task = await it.start()
        for change, passes in (({}, 1), ({"requests": 9}, 0), ({"mirror": {"active": False}}, 1)):
            it.runtime.mirrored(evaluation(**change))
            await settle()
            assert len(it.work.passes) == passes, change
            it.work.passes.clear()
        it.runtime.mirrored(evaluation(), gone=True)
        await settle()
        assert len(it.work.passes) == 1
        task.cancel()

    virtually(story())


def evaluation(**status: object) -> dict[str, Any]:
    """A ShadowEvaluation that adopts the route web, as a watch shows it."""
    return {
        "metadata": {"namespace": "shop", "name": "rules", "uid": "e1", "generation": 1},
        "spec": {"traffic": {"mirror": {"mode": "Adopt", "httpRouteRef": {"name": "web"}}}},
        "status": {"mirror": {"active": True}, **status},
    }


def test_a_deletion_waits_for_the_cleanup(virtually: Run) -> None:
    """The framework may take the finalizer off only when clean_up has returned."""

    async def scenario() -> None:
        s = Scenario()
        task = await s.start()
        cleaning = asyncio.create_task(s.runtime.clean_up(s.body))
        await asyncio.sleep(10)
        assert not cleaning.done()
        s.work.finished = True
        await cleaning
        s.stopped.set()
        await task

    virtually(scenario())


def test_a_deletion_that_began_under_a_former_process_is_cleaned_up(virtually: Run) -> None:
    """Then the framework starts no task for the object, so the event does the work."""

    async def scenario() -> None:
        s = Scenario(rollout(deletionTimestamp="2026-01-01T00:00:00Z"))
        s.runtime.rollout_changed(s.body)
        s.work.finished = True
        await s.runtime.clean_up(s.body)
        assert s.work.passes == ["shop/web"]
        await s.runtime.clean_up(s.body)
        assert s.work.passes == ["shop/web"]

    virtually(scenario())


def test_an_exit_during_a_cleanup_keeps_the_finalizer(virtually: Run) -> None:
    """clean_up never returns then: the next process cleans up."""

    async def scenario() -> None:
        s = Scenario()
        task = await s.start()
        cleaning = asyncio.create_task(s.runtime.clean_up(s.body))
        await settle()
        s.stopped.set()
        await task
        await asyncio.sleep(60)
        assert not cleaning.done()
        cleaning.cancel()

    virtually(scenario())


def test_a_deletion_heard_of_while_exiting_is_left_to_the_next_process(virtually: Run) -> None:
    """Not even a pass is started."""

    async def scenario() -> None:
        s = Scenario()
        s.runtime.stop()
        cleaning = asyncio.create_task(s.runtime.clean_up(s.body))
        await asyncio.sleep(60)
        assert not cleaning.done()
        assert s.work.passes == []
        cleaning.cancel()

    virtually(scenario())


def test_the_operators_exit_ends_every_loop(virtually: Run) -> None:
    """At once, without cleanup."""

    async def scenario() -> None:
        s = Scenario()
        task = await s.start()
        s.stopped.set()
        await task
        assert s.work.passes == []

    virtually(scenario())


def test_a_loop_that_the_framework_forgot_to_stop_ends_all_the_same(virtually: Run) -> None:
    """It began while the framework was exiting: that must not delay the hand-over."""

    async def scenario() -> None:
        s = Scenario()
        task = await s.start()
        s.runtime.stop()
        await task
        late = rollout("late", uid="u2")
        await s.runtime.look_after(late, s.stopped.wait)
        assert s.work.passes == []

    virtually(scenario())


def test_an_object_that_vanished_ends_its_task(virtually: Run) -> None:
    """Somebody took the finalizer off by hand: nothing is left behind, not even in the map of targets."""

    async def scenario() -> None:
        counts: list[int] = []
        s = Scenario(counted=counts.append)
        task = await s.start()
        s.runtime.gone(s.body)
        await task
        s.runtime.deployment_changed("shop", "web", {})
        await settle()
        assert s.work.passes == []
        assert counts == [1, 0]

    virtually(scenario())


def test_synced_once_every_first_object_had_a_pass(virtually: Run) -> None:
    """Ready means: everything that was there at the start was looked at."""

    async def scenario() -> None:
        synced: list[bool] = []
        s = Scenario(synced=lambda: synced.append(True))
        s.runtime.expect([Key("shop", "web"), Key("shop", "other")])
        await s.start()
        assert synced == []
        s.runtime.rollout_changed(rollout("other", uid="u2"))
        s.runtime.gone(rollout("other", uid="u2"))
        assert synced == [True]

    virtually(scenario())


def test_synced_at_once_when_there_is_nothing() -> None:
    """An empty cluster is a synced one."""
    synced: list[bool] = []
    Runtime(Settings(), Work(), Work(), synced=lambda: synced.append(True)).expect([])
    assert synced == [True]


def test_keys_are_written_as_people_write_them() -> None:
    """Logs say namespace/name."""
    assert str(Key("shop", "web")) == "shop/web"
