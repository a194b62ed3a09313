"""I/O: write what counts of the alerts told into the status of every CanaryRollout they are about. Decides nothing.

Any replica may do it, leader or not: the status is the hand-over, and the leader acts on its change.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from pydantic import ValidationError

from chaffinch_operator.canary import alerts, matchers, parse
from chaffinch_operator.canary.apply import write_status
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import IN_FLIGHT
from chaffinch_operator.canary.report import fit
from chaffinch_operator.errors import Conflict, NotFound, Unavailable
from chaffinch_operator.kube import CANARYROLLOUTS, Kube
from chaffinch_operator.schema import compact
from chaffinch_operator.webhook import Alert

Object = Mapping[str, Any]
ATTEMPTS = 10
"""The leader may write the status at the same moment: it is read again then."""
_PAUSE = 0.05
_log = structlog.get_logger("chaffinch.alerts")


@dataclass(frozen=True, slots=True)
class _Listener:
    """A CanaryRollout under way that listens to alerts."""

    body: Object
    spec: CanaryRolloutSpec
    conditions: tuple[matchers.Matcher, ...]

    @property
    def place(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.body["metadata"]["namespace"], self.body["metadata"]["name"]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether all its matchers do."""
        return matchers.all_match(self.conditions, labels)


@dataclass(frozen=True, slots=True)
class Inbox:
    """Where alerts are put, by the receiver and by whoever asks Alertmanager."""

    kube: Kube
    namespaces: Sequence[str]
    """None: all."""
    written: Callable[[str, str, Object], object]
    """Told the namespace and name of a CanaryRollout, and its status with the alerts in it."""
    counted: Callable[[str], object] = lambda _: None
    """Told the outcome of each alert that was written."""
    _turns: dict[tuple[str, str], asyncio.Lock] = field(default_factory=dict)

    async def put(self, found: Sequence[Alert], at: datetime) -> int:
        """Write what counts; return how many entries are new. ChaffinchError when not all of it could be written."""
        firing = [(alert, at) for alert in found if alert.firing]
        if not firing:
            return 0
        listeners = await self._listeners()
        done = await asyncio.gather(*(self._tell(each, firing) for each in listeners), return_exceptions=True)
        for result in done:
            if isinstance(result, BaseException):
                raise result
        return sum(result for result in done if isinstance(result, int))

    async def wanted(self) -> list[tuple[str, ...]]:
        """The matchers of rollouts under way, each set once."""
        sets = (tuple(map(str, each.conditions)) for each in await self._listeners())
        return list(dict.fromkeys(sets))

    async def _listeners(self) -> list[_Listener]:
        found = await asyncio.gather(*(self.kube.list(CANARYROLLOUTS, ns) for ns in self.namespaces or (None,)))
        return list(_listening(body for bodies in found for body in bodies))

    async def _tell(self, listener: _Listener, found: Sequence[tuple[Alert, datetime]]) -> int:
        relevant = [(alert, at) for alert, at in found if listener.matches(alert.labels)]
        if not relevant:
            return 0
        lock = self._turns.setdefault(listener.place, asyncio.Lock())
        try:
            async with lock:
                return await self._write(listener, relevant)
        finally:
            if not lock.locked():
                self._turns.pop(listener.place, None)

    async def _write(self, listener: _Listener, found: Sequence[tuple[Alert, datetime]]) -> int:
        namespace, name = listener.place
        for attempt in range(ATTEMPTS):
            before = parse.status(listener.body)
            after = fit(alerts.recorded(listener.spec, before, listener.place, found, listener.matches))
            if after.alerts == before.alerts:
                return 0
            try:
                await write_status(self.kube, listener.body, after)
            except NotFound:
                return 0
            except Conflict:
                await asyncio.sleep(_PAUSE * attempt)
                body = await self.kube.get(CANARYROLLOUTS, name, namespace)
                again = next(_listening([body] if body else []), None)
                if again is None:
                    return 0
                listener = again
            else:
                self.written(namespace, name, compact(after))
                return self._tell_people(listener, before.alerts, after.alerts)
        raise Unavailable(f"the status changed {ATTEMPTS} times while alerts were written", f"{namespace}/{name}")

    def _tell_people(self, listener: _Listener, before: Sequence[Any], after: Sequence[Any]) -> int:
        news = [entry for entry in after if entry not in before]
        for entry in news:
            self.counted(entry.outcome)
            _log.info(
                "alert_recorded",
                key="/".join(listener.place),
                alert=entry.name,
                fingerprint=entry.fingerprint,
                starts_at=entry.starts_at,
                outcome=entry.outcome,
            )
        return len(news)


def _listening(bodies: Iterable[Object]) -> Iterator[_Listener]:
    """Those under way that listen; one whose spec cannot be read says so in its own status."""
    for body in bodies:
        action = ((body.get("status") or {}).get("lastDecision") or {}).get("action")
        if action not in IN_FLIGHT or not body["spec"].get("alerts") or "deletionTimestamp" in body["metadata"]:
            continue
        try:
            spec = CanaryRolloutSpec.model_validate(body["spec"])
            given = spec.alerts.matchers if spec.alerts else ()
            yield _Listener(body, spec, matchers.parse_all(given, "spec.alerts.matchers"))
        except (ValidationError, matchers.BadMatcherError):
            continue
