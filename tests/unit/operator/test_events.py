"""Events tell people a fact, once."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from chaffinch_operator.errors import Refused
from chaffinch_operator.events import Event, build, emit
from chaffinch_operator.resources import Resource

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ABOUT = {
    "apiVersion": "chaffinch.dev/v1alpha1",
    "kind": "CanaryRollout",
    "metadata": {"name": "web", "namespace": "shop", "uid": "u1"},
}


def event(reason: str = "GateFailed", note: str = "errors: 4.0x", at: datetime = AT) -> Event:
    """A fact."""
    return Event("Warning", reason, "RollBack", note, at)


@dataclass
class Sink:
    """Takes Events, or refuses."""

    error: Exception | None = None
    taken: list[dict[str, Any]] = field(default_factory=list)

    async def create(self, resource: Resource, obj: dict[str, Any]) -> dict[str, Any] | None:
        """Take it."""
        if self.error:
            raise self.error
        self.taken.append(obj)
        return obj


def test_an_event_says_what_happened_to_whom() -> None:
    """All that events.k8s.io/v1 requires is there."""
    built = build(ABOUT, event(), "pod-1")
    assert built["metadata"]["namespace"] == "shop"
    assert built["eventTime"] == "2026-01-02T03:04:05.678901Z"
    assert built["regarding"] == {
        "apiVersion": "chaffinch.dev/v1alpha1",
        "kind": "CanaryRollout",
        "name": "web",
        "namespace": "shop",
        "uid": "u1",
    }
    assert (built["type"], built["reason"], built["action"], built["note"]) == (
        "Warning",
        "GateFailed",
        "RollBack",
        "errors: 4.0x",
    )


def test_the_same_fact_has_the_same_name() -> None:
    """A replay after a crash meets the Event of before; another fact is another Event."""
    name = build(ABOUT, event(), "pod-1")["metadata"]["name"]
    assert build(ABOUT, event(note="other words"), "pod-2")["metadata"]["name"] == name
    assert build(ABOUT, event(reason="Aborted"), "pod-1")["metadata"]["name"] != name
    assert build(ABOUT, event(at=AT + timedelta(seconds=1)), "pod-1")["metadata"]["name"] != name


def test_notes_are_cut_by_bytes() -> None:
    """The API server counts bytes: a message in any language is taken."""
    note = build(ABOUT, event(note="ü" * 2000), "")["note"]
    assert len(note.encode()) <= 1024
    assert note.endswith("ü…")


def test_long_names_are_cut() -> None:
    """An object of 253 characters has Events too."""
    about = {**ABOUT, "metadata": {**ABOUT["metadata"], "name": "n" * 253}}  # type: ignore[dict-item]
    assert len(build(about, event(), "")["metadata"]["name"]) == 253


def test_events_of_cluster_wide_objects_go_to_default() -> None:
    """As Kubernetes has it."""
    about = {**ABOUT, "metadata": {"name": "web", "uid": "u1"}}
    built = build(about, event(), "")
    assert built["metadata"]["namespace"] == "default"
    assert "namespace" not in built["regarding"]


async def test_an_event_is_created() -> None:
    """Once per call; the API server knows whether it is there already."""
    sink = Sink()
    await emit(sink, ABOUT, event())
    assert len(sink.taken) == 1


async def test_an_event_that_is_refused_stops_nothing() -> None:
    """A rollout goes on without the right to tell of it."""
    await emit(Sink(Refused(403, "Forbidden", "no")), ABOUT, event())
