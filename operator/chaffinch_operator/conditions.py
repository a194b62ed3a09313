"""Kubernetes conditions: merging, and the kstatus trio Ready, Reconciling, Stalled.

Pure: the caller brings the time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Status = Literal["True", "False", "Unknown"]
MAX_MESSAGE = 2048


@dataclass(frozen=True, slots=True)
class NewCondition:
    """A condition as it is found now."""

    type: str
    status: Status
    reason: str
    message: str
    observed_generation: int


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition as it stands in status: with the time its status last changed (RFC 3339, UTC, seconds)."""

    type: str
    status: Status
    reason: str
    message: str
    observed_generation: int
    last_transition_time: str


def rfc3339(moment: datetime) -> str:
    """Write a moment as Kubernetes does: UTC, whole seconds, Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parsed(text: str) -> datetime | None:
    """The moment of a time that `rfc3339` wrote; None for any other text."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def cut(text: str, length: int = MAX_MESSAGE) -> str:
    """Return at most `length` characters, the last one an ellipsis when something was cut."""
    return text if len(text) <= length else text[: length - 1] + "…"


def merge(old: Sequence[Condition], new: Sequence[NewCondition], now: datetime) -> list[Condition]:
    """Put the new conditions in the place of the old ones.

    `last_transition_time` moves only when `status` changes. Types that are not in `new` are kept as they were, the
    order of `old` is kept, unknown types come last in the order given: equal input gives an equal list.
    """
    before = {condition.type: condition for condition in old}
    merged = {**before, **{fresh.type: _dated(fresh, before.get(fresh.type), now) for fresh in new}}
    return list(merged.values())


def _dated(fresh: NewCondition, before: Condition | None, now: datetime) -> Condition:
    same = before is not None and before.status == fresh.status
    since = before.last_transition_time if before is not None and same else rfc3339(now)
    return Condition(
        type=fresh.type,
        status=fresh.status,
        reason=fresh.reason,
        message=cut(fresh.message),
        observed_generation=fresh.observed_generation,
        last_transition_time=since,
    )


def trio(
    *, ready: bool, reconciling: bool, stalled: bool, reason: str, message: str, generation: int
) -> list[NewCondition]:
    """Conditions that kstatus, Flux, Argo CD and `kubectl wait` read, all with one reason and one message.

    ValueError when ready goes with stalled or reconciling: kstatus calls such an object both Current and not.
    """
    if ready and (reconciling or stalled):
        raise ValueError("an object cannot be Ready while it is Reconciling or Stalled")
    states: Iterable[tuple[str, bool]] = (("Ready", ready), ("Reconciling", reconciling), ("Stalled", stalled))
    return [
        NewCondition(
            type=name,
            status="True" if value else "False",
            reason=reason,
            message=message,
            observed_generation=generation,
        )
        for name, value in states
    ]
