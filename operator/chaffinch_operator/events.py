"""Events (events.k8s.io/v1) for people. A fact told twice is one Event: its name is made of what it says."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import structlog

from chaffinch_operator.errors import ChaffinchError
from chaffinch_operator.resources import EVENTS, Resource

CONTROLLER = "chaffinch.dev/operator"
MAX_NOTE = 1024
"""Bytes, as the API server counts."""
MAX_WORD = 128
_MAX_NAME = 253
_log = structlog.get_logger("chaffinch.events")


@dataclass(frozen=True, slots=True)
class Event:
    """One fact."""

    type: Literal["Normal", "Warning"]
    reason: str
    action: str
    note: str
    at: datetime
    """When it became true, as the status says it: a replay after a crash gives the same Event."""


class EventSink(Protocol):
    """What `emit` needs of `kube.Kube`."""

    async def create(self, resource: Resource, obj: dict[str, Any]) -> dict[str, Any] | None:
        """Create an object; None when it exists."""
        ...


def build(regarding: dict[str, Any], event: Event, instance: str) -> dict[str, Any]:
    """Build the Event about an object, given whole; pure."""
    meta = regarding["metadata"]
    digest = hashlib.sha256("\0".join((meta["uid"], event.reason, event.at.isoformat())).encode()).hexdigest()[:16]
    reference = {
        "apiVersion": regarding["apiVersion"],
        "kind": regarding["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
    }
    if meta.get("namespace"):
        reference["namespace"] = meta["namespace"]
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {
            "name": f"{meta['name'][: _MAX_NAME - len(digest) - 1]}.{digest}",
            "namespace": meta.get("namespace") or "default",
        },
        "eventTime": event.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": CONTROLLER,
        "reportingInstance": (instance or CONTROLLER)[:MAX_WORD],
        "type": event.type,
        "reason": event.reason[:MAX_WORD],
        "action": event.action[:MAX_WORD],
        "note": _note(event.note),
        "regarding": reference,
    }


def _note(text: str) -> str:
    raw = text.encode()
    return text if len(raw) <= MAX_NOTE else raw[: MAX_NOTE - len("…".encode())].decode(errors="ignore") + "…"


async def emit(kube: EventSink, regarding: dict[str, Any], event: Event, instance: str = "") -> None:
    """Create the Event unless it is there. An Event that cannot be written is logged and never stops a rollout."""
    try:
        await kube.create(EVENTS, build(regarding, event, instance))
    except ChaffinchError as error:
        _log.warning("event_not_written", reason=event.reason, note=event.note, error=str(error))
