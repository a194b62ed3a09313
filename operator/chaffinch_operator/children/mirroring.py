"""The RequestMirror filter of Gateway API: who puts it into a route, and who only reads it, mean the same. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KIND = "RequestMirror"
Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mirror:
    """Copies of so many percent of the requests go to a Service of the route's namespace."""

    service: str
    port: int
    percent: int = 100


def mirror_filter(mirror: Mirror) -> Body:
    """The filter, with the defaults that an API server fills in."""
    found: Body = {"backendRef": {"group": "", "kind": "Service", "name": mirror.service, "port": mirror.port}}
    if mirror.percent < 100:
        found["percent"] = mirror.percent
    return {"type": KIND, "requestMirror": found}


def target(each: Mapping[str, Any]) -> str:
    """The Service that a filter copies requests to; empty for another filter, or another namespace's Service."""
    backend = ((each.get("requestMirror") or {}).get("backendRef")) or {}
    return str(backend.get("name", "")) if each.get("type") == KIND and not backend.get("namespace") else ""
