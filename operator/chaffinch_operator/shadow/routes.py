"""The RequestMirror filter in the rules of an HTTPRoute: put in, and exactly it taken out again. Pure.

Patches carry a test of the resourceVersion that was seen, so that what another writes meanwhile is never lost.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chaffinch_operator.children.mirroring import target
from chaffinch_operator.shadow.snapshot import Route

Body = dict[str, Any]
Rule = Mapping[str, Any]


def carries(route: Route, service: str) -> bool:
    """Whether any rule has a filter towards this Service."""
    return any(target(each) == service for rule in route.rules for each in rule.get("filters") or ())


def mirrored(route: Route, wanted: Body) -> bool:
    """Whether every rule with backends has exactly this filter towards its Service."""
    return not adopt(route, wanted)


def adopt(route: Route, wanted: Body) -> list[Body]:
    """JSON patch that puts the filter into every rule with backends; empty when there is nothing to do."""
    service = target(wanted)
    changes = []
    for index, rule in enumerate(route.rules):
        own = [each for each in rule.get("filters") or () if target(each) == service]
        if rule.get("backendRefs") and own != [wanted]:
            changes.append(_filters(index, [*_others(rule, service), wanted]))
    return _fenced(route, changes)


def release(route: Route, service: str) -> list[Body]:
    """JSON patch that takes the filters towards this Service out; empty when there are none."""
    changes = []
    for index, rule in enumerate(route.rules):
        others = _others(rule, service)
        if len(others) == len(rule.get("filters") or ()):
            continue
        removal = {"op": "remove", "path": f"/spec/rules/{index}/filters"}
        changes.append(_filters(index, others) if others else removal)
    return _fenced(route, changes)


def _others(rule: Rule, service: str) -> list[Rule]:
    return [each for each in rule.get("filters") or () if target(each) != service]


def _filters(index: int, filters: Sequence[Rule]) -> Body:
    return {"op": "add", "path": f"/spec/rules/{index}/filters", "value": list(filters)}


def _fenced(route: Route, changes: list[Body]) -> list[Body]:
    test = {"op": "test", "path": "/metadata/resourceVersion", "value": route.resource_version}
    return [test, *changes] if changes else []
