"""All states of one CanaryRollout that a watch shows, each checked for what must hold in any state."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from chaffinch_operator.canary.reasons import Action, Reason
from chaffinch_operator.canary.status import CanaryRolloutStatus
from support.kubectl import Kubectl, Object

KIND = "canaryrollouts.chaffinch.dev"
MOST_BYTES = 16 * 1024
_TRIO = ("Ready", "Reconciling", "Stalled")
_EXPECTED = {Action.IDLE: "Ready", Action.REJECTED: "Stalled"}
_NEXT_SECONDS = 0.5
Predicate = Callable[[CanaryRolloutStatus], bool]


@dataclass(frozen=True, slots=True)
class Seen:
    """One state of the object."""

    at: float
    """When we saw it, in seconds since the epoch."""
    gone: bool
    deleting: bool
    generation: int
    status: CanaryRolloutStatus

    @property
    def action(self) -> Action:
        """What was decided last."""
        return self.status.last_decision.action

    @property
    def reason(self) -> Reason:
        """Why."""
        return self.status.last_decision.reason


def doing(action: Action, reason: Reason | None = None, *, weight: int | None = None) -> Predicate:
    """A predicate: the decision, its reason, and a weight that is decided and read back."""

    def holds(status: CanaryRolloutStatus) -> bool:
        last = status.last_decision
        weights = {status.weight.desired, status.weight.applied}
        return (
            last.action is action
            and bool(last.at)
            and reason in (None, last.reason)
            and (weight is None or weights == {weight})
        )

    return holds


def contradictions(status: CanaryRolloutStatus, size: int) -> list[str]:
    """What must not be in any state: conditions that kstatus cannot understand, a status that is too large."""
    found = {c.type: c.status for c in status.conditions}
    wrong = [f"the status has {size} bytes, more than {MOST_BYTES}"] if size > MOST_BYTES else []
    if not found:
        return wrong
    true = [kind for kind in _TRIO if found.get(kind) == "True"]
    if len(true) != 1:
        wrong.append(f"exactly one of {', '.join(_TRIO)} must be True, not {true or 'none'}")
    if found.get("Ready") not in {"True", "False"}:
        wrong.append(f"Ready is {found.get('Ready')}")
    wanted = _EXPECTED.get(status.last_decision.action)
    if wanted is not None and true not in ([wanted], ["Stalled"]):
        wrong.append(f"{status.last_decision.action} must be {wanted}, not {true}")
    return wrong


@dataclass(slots=True)
class Timeline:
    """Watches one object in a thread of its own; `wait` reads on from where the last wait found what it wanted."""

    kubectl: Kubectl
    namespace: str
    name: str
    states: list[Seen] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    _cursor: int = 0
    _news: threading.Condition = field(default_factory=threading.Condition)
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        if self._thread is not None:
            self._thread.join(20)

    @property
    def last(self) -> Seen | None:
        """The latest state seen."""
        return self.states[-1] if self.states else None

    def mark(self) -> int:
        """From now on `wait` looks only at states that come later; returns the position."""
        with self._news:
            self._cursor = len(self.states)
            return self._cursor

    def since(self, position: int) -> list[Seen]:
        """The states from a position on."""
        with self._news:
            return self.states[position:]

    def find(self, holds: Callable[[Seen], bool], seconds: float) -> Seen | None:
        """The next state that matches, from the cursor on; the cursor moves there. None when none came in time."""
        end, position = time.monotonic() + seconds, self._cursor
        with self._news:
            while True:
                for place in range(position, len(self.states)):
                    if holds(self.states[place]):
                        self._cursor = place
                        return self.states[place]
                position = len(self.states)
                if self.wrong or not self._news.wait(max(0.0, end - time.monotonic())):
                    return None

    def decisions(self, position: int = 0) -> list[tuple[Action, Reason]]:
        """What was decided one after the other, each once."""
        return list(_without_repeats((s.action, s.reason) for s in self.since(position) if s.status.last_decision.at))

    def describe(self) -> str:
        """The course so far, a line each."""
        lines: dict[str, None] = {}
        for seen in self.states:
            last, weight = seen.status.last_decision, seen.status.weight
            lines[
                f"{last.at} {last.action}/{last.reason} weight {weight.desired}/{weight.applied} "
                f"step {seen.status.step.index}: {last.message[:300]}"
            ] = None
        return "\n".join(lines)

    def _follow(self) -> None:
        with self.kubectl.watch(KIND, self.namespace) as watch:
            while not self._ending.is_set():
                event = watch.next(_NEXT_SECONDS)
                if event is not None and event.object["metadata"]["name"] == self.name:
                    self._see(event.object, gone=event.type == "DELETED")

    def _see(self, body: Object, *, gone: bool) -> None:
        raw = body.get("status") or {}
        meta = body["metadata"]
        status = CanaryRolloutStatus.model_validate(raw)
        seen = Seen(time.time(), gone, "deletionTimestamp" in meta, int(meta["generation"]), status)
        size = len(json.dumps(raw, separators=(",", ":")).encode())
        with self._news:
            self.states.append(seen)
            self.wrong += [
                f"{w} ({status.last_decision.action}/{status.last_decision.reason})"
                for w in contradictions(status, size)
            ]
            self._news.notify_all()


def _without_repeats(items: Iterator[tuple[Action, Reason]]) -> Iterator[tuple[Action, Reason]]:
    before = None
    for item in items:
        if item != before:
            yield item
        before = item
