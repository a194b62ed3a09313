"""One leads at a time, whatever the network does. In virtual time, against a Lease with resourceVersions."""

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from chaffinch_operator.errors import Conflict, Unavailable
from chaffinch_operator.leader import Elector, LeaseLost
from chaffinch_operator.resources import Resource
from chaffinch_operator.settings import Settings

Run = Callable[[Any], Any]


class Leases:
    """The one Lease of an API server, and its troubles."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.down = False
        self.hanging = False
        self.writes = 0
        self.broken_watches = 0

    async def get(self, resource: Resource, name: str, namespace: str) -> dict[str, Any] | None:
        """Return the Lease."""
        await self._answer()
        return copy.deepcopy(self.lease)

    async def create(
        self,
        resource: Resource,
        obj: dict[str, Any],
        *,
        manager: str,
    ) -> dict[str, Any] | None:
        """Create the Lease."""
        await self._answer()
        return None if self.lease else self.put(obj)

    async def update(
        self,
        resource: Resource,
        obj: dict[str, Any],
        *,
        manager: str,
    ) -> dict[str, Any]:
        """Replace the Lease."""
        await self._answer()
        if self.lease is None or obj["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise Conflict("the object has been modified")
        return self.put(obj)

    async def watch(
        self,
        resource: Resource,
        namespace: str,
        *,
        fields: str,
        timeout: float,
    ) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yield the Lease once; break the first times if asked to."""
        if self.broken_watches:
            self.broken_watches -= 1
            raise Unavailable("the watch broke")
        assert fields == "metadata.name=chaffinch-operator"
        if self.lease is not None:
            yield "ADDED", copy.deepcopy(self.lease)

    def put(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Write whatever the precondition."""
        self.version += 1
        self.writes += 1
        self.lease = copy.deepcopy(obj)
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        return copy.deepcopy(self.lease)

    @property
    def holder(self) -> str:
        """Who holds it."""
        return str(self.lease["spec"]["holderIdentity"]) if self.lease else ""

    async def _answer(self) -> None:
        if self.down:
            raise Unavailable("down")
        if self.hanging:
            await asyncio.Event().wait()


def elector(leases: Leases, identity: str) -> Elector:
    """One process."""
    return Elector(
        leases,
        Settings(identity=identity),
        clock=lambda: asyncio.get_running_loop().time(),
        now=lambda: datetime.fromtimestamp(asyncio.get_running_loop().time(), UTC),
    )


def now() -> float:
    """Virtual seconds."""
    return asyncio.get_running_loop().time()


def test_the_first_one_creates_the_lease(virtually: Run) -> None:
    """A fresh cluster has a leader at once."""

    async def scenario() -> None:
        leases = Leases()
        await elector(leases, "a").acquire()
        assert (leases.holder, now()) == ("a", 0)

    virtually(scenario())


def test_only_one_of_two_leads(virtually: Run) -> None:
    """While the leader renews, the other waits, for an hour if need be."""

    async def scenario() -> None:
        leases = Leases()
        first, second = elector(leases, "a"), elector(leases, "b")
        await first.acquire()
        holding = asyncio.create_task(first.hold())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1800):
                await second.acquire()
        assert leases.holder == "a"
        holding.cancel()

    virtually(scenario())


def test_a_silent_leader_is_followed_within_twenty_seconds(virtually: Run) -> None:
    """After kill -9: fifteen seconds of silence and one look every two."""

    async def scenario() -> None:
        leases = Leases()
        first, second = elector(leases, "a"), elector(leases, "b")
        await first.acquire()
        waiting = asyncio.create_task(second.acquire())
        holding = asyncio.create_task(first.hold())
        await asyncio.sleep(31)
        holding.cancel()
        died = now()
        await waiting
        assert 13 <= now() - died < 20
        assert leases.lease is not None
        assert leases.lease["spec"]["leaseTransitions"] == 1

    virtually(scenario())


def test_a_released_lease_is_taken_at_the_next_look(virtually: Run) -> None:
    """SIGTERM: the other need not wait for fifteen seconds."""

    async def scenario() -> None:
        leases = Leases()
        first, second = elector(leases, "a"), elector(leases, "b")
        await first.acquire()
        waiting = asyncio.create_task(second.acquire())
        await asyncio.sleep(1)
        await first.release()
        await waiting
        assert (leases.holder, now()) == ("b", 2)

    virtually(scenario())


def test_a_leader_that_cannot_renew_gives_up_before_others_may_take_over(virtually: Run) -> None:
    """Ten seconds from the last renewal, and the others wait for fifteen."""

    async def scenario() -> None:
        leases = Leases()
        first = elector(leases, "a")
        await first.acquire()
        leases.down = True
        with pytest.raises(LeaseLost):
            await first.hold()
        assert now() <= 12

    virtually(scenario())


def test_a_request_that_hangs_counts_as_one_that_failed(virtually: Run) -> None:
    """The deadline interrupts it."""

    async def scenario() -> None:
        leases = Leases()
        first = elector(leases, "a")
        await first.acquire()
        leases.hanging = True
        with pytest.raises(LeaseLost):
            await first.hold()
        assert now() == 10

    virtually(scenario())


def test_a_short_outage_is_survived(virtually: Run) -> None:
    """Six seconds without an answer change nothing."""

    async def scenario() -> None:
        leases = Leases()
        first = elector(leases, "a")
        await first.acquire()
        holding = asyncio.create_task(first.hold())
        await asyncio.sleep(11)
        leases.down = True
        await asyncio.sleep(6)
        leases.down = False
        await asyncio.sleep(600)
        assert not holding.done()
        holding.cancel()

    virtually(scenario())


def test_a_lease_that_another_took_is_lost_at_once(virtually: Run) -> None:
    """No second chance: the other one is leading already."""

    async def scenario() -> None:
        leases = Leases()
        first = elector(leases, "a")
        await first.acquire()
        assert leases.lease is not None
        leases.put({"metadata": {}, "spec": {**leases.lease["spec"], "holderIdentity": "b"}})
        with pytest.raises(LeaseLost, match='held by "b"'):
            await first.hold()
        assert now() == 2

    virtually(scenario())


def test_a_deleted_lease_is_lost_at_once(virtually: Run) -> None:
    """Another process may have made a new one by now."""

    async def scenario() -> None:
        leases = Leases()
        first = elector(leases, "a")
        await first.acquire()
        leases.lease = None
        with pytest.raises(LeaseLost, match="nobody"):
            await first.hold()

    virtually(scenario())


def test_a_foreign_annotation_on_the_lease_is_no_loss(virtually: Run) -> None:
    """Still ours: renewed with the new resourceVersion."""

    async def scenario() -> None:
        leases = Leases()
        first = elector(leases, "a")
        await first.acquire()
        assert leases.lease is not None
        leases.put({**leases.lease, "metadata": {"annotations": {"a": "b"}}})
        holding = asyncio.create_task(first.hold())
        await asyncio.sleep(30)
        assert not holding.done()
        holding.cancel()

    virtually(scenario())


def test_a_restarted_container_resumes_its_own_lease(virtually: Run) -> None:
    """Same pod, same identity: the former process is dead."""

    async def scenario() -> None:
        leases = Leases()
        await elector(leases, "a").acquire()
        await elector(leases, "a").acquire()
        assert now() == 0
        assert leases.lease is not None
        assert leases.lease["spec"]["leaseTransitions"] == 0

    virtually(scenario())


def test_of_two_that_see_an_expired_lease_one_wins(virtually: Run) -> None:
    """The resourceVersion decides."""

    async def scenario() -> None:
        leases = Leases()
        await elector(leases, "dead").acquire()
        racers = [asyncio.create_task(elector(leases, name).acquire()) for name in ("b", "c")]
        await asyncio.sleep(17)
        assert [task.done() for task in racers].count(True) == 1
        for task in racers:
            task.cancel()

    virtually(scenario())


def test_a_standby_outlasts_an_api_server_that_is_down(virtually: Run) -> None:
    """It goes on asking."""

    async def scenario() -> None:
        leases = Leases()
        leases.down = True
        waiting = asyncio.create_task(elector(leases, "a").acquire())
        await asyncio.sleep(100)
        leases.down = False
        await waiting
        assert now() <= 102

    virtually(scenario())


def test_releasing_what_one_never_had_writes_nothing(virtually: Run) -> None:
    """A standby that is stopped leaves the Lease alone."""

    async def scenario() -> None:
        leases = Leases()
        await elector(leases, "a").release()
        assert leases.writes == 0

    virtually(scenario())


def test_a_release_that_hangs_does_not_delay_the_exit(virtually: Run) -> None:
    """Best effort, for two seconds."""

    async def scenario() -> None:
        leases = Leases()
        first = elector(leases, "a")
        await first.acquire()
        leases.hanging = True
        await first.release()
        assert now() == 2

    virtually(scenario())


def test_renewals_are_seen_through_a_watch_that_is_opened_again(virtually: Run) -> None:
    """A watch ends now and then, and breaks now and then."""

    async def scenario() -> None:
        leases, seen = Leases(), []
        first = elector(leases, "a")
        await first.acquire()
        leases.broken_watches = 2
        tasks = [
            asyncio.create_task(first.hold()),
            asyncio.create_task(first.watch_renewals(lambda: seen.append(now()))),
        ]
        await asyncio.sleep(9)
        assert seen == [4, 6, 8]
        for task in tasks:
            task.cancel()

    virtually(scenario())


def test_the_same_renewal_counts_once(virtually: Run) -> None:
    """A watch that shows old news again and again proves nothing."""

    async def scenario() -> None:
        leases, seen = Leases(), []
        first = elector(leases, "a")
        await first.acquire()
        watching = asyncio.create_task(first.watch_renewals(lambda: seen.append(now())))
        await asyncio.sleep(60)
        assert seen == [0]
        watching.cancel()

    virtually(scenario())


def test_a_release_wins_over_a_renewal_that_was_cut_off(virtually: Run) -> None:
    """The exit interrupts a renewal, which arrives all the same: the Lease is given back nevertheless."""

    async def scenario() -> None:
        leases = Leases()
        first = elector(leases, "a")
        await first.acquire()
        assert leases.lease is not None
        leases.put(leases.lease)
        await first.release()
        assert leases.holder == ""

    virtually(scenario())


def test_a_release_leaves_the_lease_of_another_alone(virtually: Run) -> None:
    """Lost while exiting: nothing is written."""

    async def scenario() -> None:
        leases = Leases()
        first = elector(leases, "a")
        await first.acquire()
        assert leases.lease is not None
        leases.put({"metadata": {}, "spec": {**leases.lease["spec"], "holderIdentity": "b"}})
        await first.release()
        assert leases.holder == "b"

    virtually(scenario())


def test_renewals_of_others_do_not_count(virtually: Run) -> None:
    """Only our own prove that we are heard and hear."""

    async def scenario() -> None:
        leases, seen = Leases(), []
        await elector(leases, "b").acquire()
        watching = asyncio.create_task(elector(leases, "a").watch_renewals(lambda: seen.append(True)))
        await asyncio.sleep(9)
        assert seen == []
        watching.cancel()

    virtually(scenario())
