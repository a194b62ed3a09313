"""Specs, snapshots and answers of evaluations for tests."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from chaffinch_operator.children.seen import Found, JobState, Pods
from chaffinch_operator.children.workload import Workload
from chaffinch_operator.children.writes import Apply, Delete
from chaffinch_operator.names import ANNOTATION_DIGEST
from chaffinch_operator.shadow.decide import Decision, decide
from chaffinch_operator.shadow.model import ShadowEvaluationSpec
from chaffinch_operator.shadow.plan import MakeSecret, PatchRoute, plan
from chaffinch_operator.shadow.report import report
from chaffinch_operator.shadow.snapshot import Route, Snapshot
from chaffinch_operator.shadow.status import ShadowEvaluationStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UID = "6f0f5b5e-0000-4000-8000-000000000001"
NEW = ShadowEvaluationStatus()
ADOPT = {"mirror": {"mode": "Adopt", "httpRouteRef": {"name": "waf"}, "percent": 20}}
REPLAY = {"replay": {"source": {"configMap": {"name": "recorded"}}}}
BACKENDS = [{"name": "waf", "port": 80}]


def spec(**changes: Any) -> ShadowEvaluationSpec:
    """A mirror into which the user's own route sends, and the given fields instead."""
    fields: dict[str, Any] = {
        "control": {"serviceRef": {"name": "waf", "port": 80}},
        "candidate": {"serviceRef": {"name": "waf-next", "port": 80}},
        "traffic": {"mirror": {}},
    }
    return ShadowEvaluationSpec.model_validate(fields | changes)


def snapshot(**changes: Any) -> Snapshot:
    """Both versions run, and nothing of ours is there yet."""
    fields: dict[str, Any] = {
        "namespace": "shop",
        "name": "waf-rules",
        "uid": UID,
        "generation": 1,
        "image": "chaffinch:1",
        "postgres_image": "postgres:15",
        "services": {"waf": (80,), "waf-next": (80,)},
        "workloads": {"waf": Workload("waf", ("waf:1",), "d1"), "waf-next": Workload("waf-next", ("waf:2",), "d2")},
    }
    return Snapshot(**fields | changes)


def up(**changes: Any) -> Snapshot:
    """Database, schema and service are ready."""
    pods = Pods(1, 1, current=True)
    made = {name: frozenset({"dsn", "token"}) for name in ("waf-rules-postgres", "waf-rules-token")}
    return snapshot(**{"migration": JobState.SUCCEEDED, "database": pods, "service": pods, "secrets": made} | changes)


def route(*rules: dict[str, Any], rollout: str = "") -> Route:
    """The HTTPRoute waf; by default with one rule that has no filter."""
    return Route("waf", "7", rules or ({"backendRefs": BACKENDS},), rollout)


def answer(verdict: str = "Inconclusive", **changes: Any) -> dict[str, Any]:
    """What the service says."""
    sides = {"positive": {"lost": 3, "gained": 9}, "negative": {"lost": 2, "gained": 1}}
    metric = {"name": "mcc", "control": 0.9, "candidate": 0.95, "difference": 0.05, "interval": [0.01, 0.09]}
    said: dict[str, Any] = {
        "uid": UID,
        "generation": 1,
        "cells": [85, 1, 10, 17, 1853, 902, 104, 34103],
        "requests": 37075,
        "labelled": 37075,
        "discordant": {"pAlwaysValid": 0.25, **sides},
        "metrics": [metric],
        "auc": {"control": "NotAvailable", "why": "no scores"},
        "strata": [],
        "coverage": {"received": "40000", "pairs": "37075", "share": "0.9991", "dropped": []},
        "verdict": verdict,
        "reasons": [{"reason": "HypothesisUndecided", "message": "more requests are needed"}],
    }
    return said | changes


def step(
    wanted: ShadowEvaluationSpec, before: ShadowEvaluationStatus, world: Snapshot, now: datetime = NOW
) -> tuple[Decision, ShadowEvaluationStatus]:
    """A decision, and the status after it."""
    decision = decide(wanted, before, world, now)
    return decision, report(wanted, before, world, decision, now)


def carried_out(
    wanted: ShadowEvaluationSpec, before: ShadowEvaluationStatus, world: Snapshot, decision: Decision
) -> Snapshot:
    """What the world looks like after the writes of a decision."""
    objects, secrets, routes = dict(world.objects), dict(world.secrets), dict(world.routes)
    for operation in plan(wanted, before, world, decision):
        match operation:
            case Apply(kind, body):
                objects[kind, body["metadata"]["name"]] = Found(body["metadata"]["annotations"][ANNOTATION_DIGEST])
            case Delete(kind, name):
                objects.pop((kind, name), None)
            case MakeSecret(_, name):
                secrets[name] = frozenset({"dsn", "token"})
            case PatchRoute(name, patch):
                routes[name] = patched(routes[name], list(patch))
            case _:
                pass
    return replace(world, objects=objects, secrets=secrets, routes=routes)


def patched(before: Route, patch: list[dict[str, Any]]) -> Route:
    """The route after a JSON patch of its filters, as an API server applies it."""
    test, *changes = patch
    assert test == {"op": "test", "path": "/metadata/resourceVersion", "value": before.resource_version}
    rules = [dict(rule) for rule in before.rules]
    for change in changes:
        _, _, _, index, last = change["path"].split("/")
        assert last == "filters"
        if change["op"] == "remove":
            del rules[int(index)]["filters"]
        else:
            rules[int(index)]["filters"] = change["value"]
    return replace(before, rules=tuple(rules), resource_version=before.resource_version + "1")
