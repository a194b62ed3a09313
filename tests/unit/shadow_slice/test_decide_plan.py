"""What is done for an evaluation in every state: order, safety, quiet at rest, and when it is over."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_operator.children.seen import Found, JobState, Pods
from chaffinch_operator.children.workload import Workload
from chaffinch_operator.children.writes import Apply, Delete
from chaffinch_operator.rbac import SHADOW_ROLE
from chaffinch_operator.shadow.decide import Stage, decide
from chaffinch_operator.shadow.model import ShadowEvaluationSpec
from chaffinch_operator.shadow.plan import MakeSecret, Operation, PatchRoute, finished, plan
from chaffinch_operator.shadow.problems import RIGHTS
from chaffinch_operator.shadow.reasons import STALLED, Reason
from chaffinch_operator.shadow.routes import carries
from chaffinch_operator.shadow.snapshot import Snapshot
from chaffinch_operator.shadow.status import RunStatus, ShadowEvaluationStatus
from unit.shadow_slice.builders import ADOPT, NEW, NOW, REPLAY, answer, carried_out, route, snapshot, spec, step, up

EXTERNAL = {"external": {"dsnSecretRef": {"name": "pg", "key": "dsn"}}}
SERVICE = "waf-rules-mirror"
PODS = st.builds(Pods, st.integers(0, 2), st.integers(0, 2), st.booleans())
SPECS = st.builds(
    lambda traffic, more: spec(traffic=traffic, **more),
    st.sampled_from([{"mirror": {}}, ADOPT, REPLAY]),
    st.sampled_from([{}, {"database": EXTERNAL}, {"hypothesis": {"design": "FixedN"}}, {"activeDeadline": "1h"}]),
)
RUNS = st.sampled_from(
    [
        RunStatus(),
        RunStatus(generation=1, started_at="2025-12-31T23:00:00Z"),
        RunStatus(generation=1, started_at="2025-12-31T23:00:00Z", ended_at="2025-12-31T23:59:00Z", cause="Deadline"),
    ]
)
WORLDS = st.builds(
    snapshot,
    deleting=st.booleans(),
    secrets=st.dictionaries(st.sampled_from(["pg"]), st.frozensets(st.sampled_from(["dsn"]))),
    migration=st.sampled_from(JobState),
    replay=st.sampled_from(JobState),
    database=PODS,
    service=PODS,
    routes=st.sampled_from([{}, {"waf": route()}, {"waf": route(rollout="waf")}]),
    said=st.sampled_from([None, answer(), answer("Promote"), answer("Reject"), answer("Hold")]),
)


def planned(wanted: ShadowEvaluationSpec, world: Snapshot, before: ShadowEvaluationStatus = NEW) -> list[Operation]:
    """What a pass writes."""
    return plan(wanted, before, world, decide(wanted, before, world, NOW))


def bodies(operations: list[Operation], kind: str) -> list[dict[str, Any]]:
    """Objects of a kind that are applied."""
    return [o.body for o in operations if isinstance(o, Apply) and o.kind == kind]


def begun(wanted: ShadowEvaluationSpec, **changes: Any) -> tuple[ShadowEvaluationStatus, Snapshot]:
    """The status and the world of an evaluation that takes requests."""
    decision, status = step(wanted, NEW, up(**changes))
    return status, carried_out(wanted, NEW, up(**changes), decision)


@given(SPECS, WORLDS, RUNS)
def test_nothing_is_copied_before_a_service_is_ready_for_it(
    wanted: ShadowEvaluationSpec, world: Snapshot, run: RunStatus
) -> None:
    """Neither by a filter nor by a replay."""
    before = ShadowEvaluationStatus(run=run)
    ready = world.migration is JobState.SUCCEEDED and world.service.current and world.service.ready > 0
    if not ready and not run.started_at:
        operations = planned(wanted, world, before)
        assert not [o for o in operations if isinstance(o, PatchRoute)]
        assert not [b for b in bodies(operations, "Job") if "replay" in b["metadata"]["name"]]


@given(SPECS, WORLDS, RUNS)
def test_a_pass_that_was_carried_out_leaves_nothing_to_write(
    wanted: ShadowEvaluationSpec, world: Snapshot, run: RunStatus
) -> None:
    """At rest nothing is written: after Secrets, and then pods, the same decision plans nothing again."""
    before = ShadowEvaluationStatus(run=run)
    decision = decide(wanted, before, world, NOW)
    once = carried_out(wanted, before, world, decision)
    assert plan(wanted, before, carried_out(wanted, before, once, decision), decision) == []


@given(SPECS, WORLDS, RUNS)
def test_a_stalled_evaluation_is_left_as_it_is(wanted: ShadowEvaluationSpec, world: Snapshot, run: RunStatus) -> None:
    """What runs keeps running while a person repairs a reference."""
    before = ShadowEvaluationStatus(run=run)
    decision = decide(wanted, before, world, NOW)
    if decision.reason in STALLED and decision.reason is not Reason.ROLLOUT_STUCK:
        assert plan(wanted, before, world, decision) == []


@given(SPECS, WORLDS, RUNS)
def test_a_route_that_a_rollout_made_is_never_written(
    wanted: ShadowEvaluationSpec, world: Snapshot, run: RunStatus
) -> None:
    """Two writers of one route never meet."""
    world = replace(world, routes={"waf": route(rollout="waf")})
    assert not [o for o in planned(wanted, world, ShadowEvaluationStatus(run=run)) if isinstance(o, PatchRoute)]


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        (snapshot(), Reason.DATABASE_STARTING),
        (snapshot(database=Pods(1, 1)), Reason.MIGRATING),
        (snapshot(database=Pods(1, 1), migration=JobState.FAILED), Reason.MIGRATION_FAILED),
        (snapshot(database=Pods(1, 1), migration=JobState.SUCCEEDED), Reason.ROLLING_OUT),
        (up(), Reason.COLLECTING),
        (up(service=Pods(1, 0, stuck="timed out")), Reason.ROLLOUT_STUCK),
        (up(services={"waf": (80,)}), Reason.SERVICE_NOT_FOUND),
        (up(services={"waf": (8080,), "waf-next": (80,)}), Reason.SERVICE_NOT_FOUND),
        (up(rights_missing="no"), Reason.RIGHTS_MISSING),
        (up(objects={("Deployment", "waf-rules-shadow"): Found(ours=False)}), Reason.NAME_TAKEN),
    ],
)
def test_each_state_has_its_reason(world: Snapshot, reason: Reason) -> None:
    """Database, schema, service, requests; and what only a person can repair."""
    assert decide(spec(), NEW, world, NOW).reason is reason


@pytest.mark.parametrize(
    ("world", "reason", "way_out"),
    [
        (up(), Reason.ROUTE_NOT_FOUND, "spec.traffic.mirror.httpRouteRef: there is no HTTPRoute waf"),
        (up(routes_served=False), Reason.GATEWAY_API_MISSING, "install the Gateway API"),
    ],
)
def test_a_route_that_is_not_there_is_named(world: Snapshot, reason: Reason, way_out: str) -> None:
    """With the field and the way out."""
    decision = decide(spec(traffic=ADOPT), NEW, world, NOW)
    assert (decision.stage, decision.reason) == (Stage.NOTHING, reason)
    assert way_out in decision.message


def test_secrets_are_made_once_and_pods_wait_for_them() -> None:
    """Else they would be replaced twice."""
    first = planned(spec(), up(secrets={}))
    assert [o.name for o in first if isinstance(o, MakeSecret)] == ["waf-rules-token", "waf-rules-postgres"]
    assert bodies(first, "Deployment") == []
    assert len(bodies(planned(spec(), up()), "Deployment")) == 1


def test_the_filter_is_in_the_route_while_requests_are_taken() -> None:
    """Put in when the service is ready, taken out at the deadline, by the very next pass."""
    wanted = spec(traffic=ADOPT, activeDeadline="1h")
    status, world = begun(wanted, routes={"waf": route()})
    assert carries(world.routes["waf"], SERVICE)
    assert status.mirror is not None
    assert (status.mirror.active, status.mirror.adopted) == (True, ["waf"])
    late = NOW + timedelta(hours=1)
    decision, status = step(wanted, status, world, late)
    assert (decision.reason, decision.run.cause) == (Reason.FINISHING, Reason.DEADLINE)
    assert list(carried_out(wanted, status, world, decision).routes["waf"].rules) == list(route().rules)


def test_a_service_that_restarts_does_not_take_the_filter_away() -> None:
    """Copies are lost for seconds, which coverage tells; the route is not written twice for it."""
    wanted = spec(traffic=ADOPT)
    status, world = begun(wanted, routes={"waf": route()})
    away = replace(world, service=Pods(1, 0, current=True))
    assert decide(wanted, status, away, NOW).reason is Reason.ROLLING_OUT
    assert not [o for o in planned(wanted, away, status) if isinstance(o, PatchRoute)]


def test_another_route_in_the_spec_frees_the_first() -> None:
    """Also when the first attempt to free it was overtaken by another writer."""
    status, world = begun(spec(traffic=ADOPT), routes={"waf": route()})
    moved = spec(traffic={"mirror": {"mode": "Adopt", "httpRouteRef": {"name": "shop"}}})
    other = replace(route(), name="shop")
    world = replace(world, generation=2, routes={**world.routes, "shop": other})
    decision, status = step(moved, status, world)
    assert status.mirror is not None
    assert status.mirror.adopted == ["shop", "waf"]
    after = carried_out(moved, status, world, decision)
    assert [carries(after.routes[name], SERVICE) for name in ("waf", "shop")] == [False, True]


def test_a_filter_that_a_user_wrote_stays_in_mode_external() -> None:
    """It is theirs, though it names our Service."""
    status, _ = begun(spec())
    assert status.mirror is not None
    assert status.mirror.adopted == []
    assert not [o for o in planned(spec(), up(), status) if isinstance(o, PatchRoute)]


def test_a_deletion_waits_until_the_filter_is_out() -> None:
    """Of a user's route by our own patch, of a rollout's by the rollout."""
    wanted = spec(traffic=ADOPT)
    status, world = begun(wanted, routes={"waf": route()})
    going = replace(world, deleting=True)
    assert not finished(going)
    assert finished(carried_out(wanted, status, going, decide(wanted, status, going, NOW)))
    theirs = replace(going, routes={"waf": replace(world.routes["waf"], rollout="waf")})
    assert planned(wanted, theirs, status) == []
    assert not finished(theirs)


@pytest.mark.parametrize(
    ("design", "verdict", "over"),
    [("AlwaysValid", "Promote", True), ("AlwaysValid", "Hold", False), ("FixedN", "Promote", False)],
)
def test_only_an_always_valid_verdict_ends_an_evaluation(design: str, verdict: str, over: bool) -> None:
    """A fixed design has one look, at the end: before that its verdict is not even shown."""
    wanted = spec(hypothesis={"design": design})
    status, world = begun(wanted)
    decision, after = step(wanted, status, replace(world, said=answer(verdict)))
    assert (decision.reason is Reason.CONCLUDED) is over
    assert after.verdict == ("" if design == "FixedN" else verdict)
    assert bool(after.run.concluded_at) is over


def test_a_final_verdict_stays_what_it_was() -> None:
    """Later counts do not change it, nor do they reach the status."""
    status, world = begun(spec())
    _, status = step(spec(), status, replace(world, said=answer("Promote")))
    decision, after = step(spec(), status, replace(world, said=answer("Reject", requests=99)))
    assert decision.reason is Reason.CONCLUDED
    assert (after.verdict, after.requests, after.run) == ("Promote", 37075, status.run)


def test_the_last_look_comes_after_the_last_copies() -> None:
    """Some seconds after the end, and once the filter is seen to be gone."""
    wanted = spec(hypothesis={"design": "FixedN"}, activeDeadline="1h")
    status, world = begun(wanted)
    world, end = replace(world, said=answer("Hold")), NOW + timedelta(hours=1)
    _, status = step(wanted, status, world, end)
    decision, status = step(wanted, status, world, end + timedelta(seconds=1))
    assert decision.reason is Reason.FINISHING
    decision, status = step(wanted, status, world, end + timedelta(seconds=10))
    assert (decision.reason, status.verdict) == (Reason.CONCLUDED, "Hold")


@pytest.mark.parametrize("name", ["waf", "waf-next"])
def test_a_version_that_changes_meanwhile_leaves_no_verdict_but_inconclusive(name: str) -> None:
    """The counts are of no one version; the reason says so before all others."""
    wanted = spec(hypothesis={"design": "FixedN"})
    status, world = begun(wanted)
    other = {**world.workloads, name: Workload(name, ("waf:3",), "d3")}
    world = replace(world, workloads=other, said=answer("Promote"))
    decision, status = step(wanted, status, world)
    assert decision.run.cause == Reason.VERSION_CHANGED
    _, status = step(wanted, status, world, NOW + timedelta(minutes=1))
    assert (status.verdict, status.reasons[0].reason) == ("Inconclusive", "VersionChanged")


def test_a_template_that_is_held_back_changes_no_version() -> None:
    """The pods behind the Service are still those that were compared."""
    status, world = begun(spec())
    held = {**world.workloads, "waf": Workload("waf", ("waf:3",), "")}
    decision, _ = step(spec(), status, replace(world, workloads=held, said=answer()))
    assert decision.reason is Reason.COLLECTING


def test_another_generation_counts_anew() -> None:
    """Nothing of the one before is in its status."""
    status, world = begun(spec())
    _, status = step(spec(), status, replace(world, said=answer("Promote")))
    decision, after = step(spec(), status, replace(world, generation=2))
    assert decision.reason is Reason.COLLECTING
    assert (after.verdict, after.cells, after.run.generation, after.run.ended_at) == ("", [], 2, "")


def test_a_replay_is_one_indexed_job() -> None:
    """As many shards as asked, so many at a time, each with retries of its own."""
    wanted = spec(traffic={"replay": {"source": {"volume": {"claimName": "c"}}, "shards": 7}}, parallelism=2)
    status, _ = begun(wanted)
    jobs = [b for b in bodies(planned(wanted, up(), status), "Job") if "replay" in b["metadata"]["name"]]
    assert [{k: job["spec"][k] for k in ("completionMode", "completions", "parallelism")} for job in jobs] == [
        {"completionMode": "Indexed", "completions": 7, "parallelism": 2}
    ]
    assert jobs[0]["spec"]["backoffLimitPerIndex"] > 0


@pytest.mark.parametrize(
    ("state", "cause", "verdict"),
    [
        (JobState.SUCCEEDED, Reason.REPLAY_COMPLETE, "Promote"),
        (JobState.FAILED, Reason.REPLAY_FAILED, "Inconclusive"),
    ],
)
def test_a_replay_ends_with_its_job(state: JobState, cause: Reason, verdict: str) -> None:
    """A shard that failed for good leaves the evidence damaged."""
    wanted = spec(traffic=REPLAY, hypothesis={"design": "FixedN"})
    status, world = begun(wanted)
    world = replace(world, replay=state, said=answer("Promote"))
    _, status = step(wanted, status, world)
    _, status = step(wanted, status, world, NOW + timedelta(minutes=1))
    assert (status.run.cause, status.verdict) == (cause, verdict)


def test_a_replay_that_goes_on_after_the_end_is_stopped() -> None:
    """Its Job goes; one that is over stays to be looked at."""
    wanted = spec(traffic=REPLAY, activeDeadline="1h")
    status, world = begun(wanted)
    world = replace(world, replay=JobState.RUNNING)
    decision = decide(wanted, status, world, NOW + timedelta(hours=1))
    assert Delete("Job", "waf-rules-replay-1") in plan(wanted, status, world, decision)


def test_every_object_goes_with_its_evaluation() -> None:
    """By owner references; the volume by the StatefulSet's own rule."""
    status, _ = begun(spec(traffic=REPLAY))
    applied = [o for o in planned(spec(traffic=REPLAY), up(), status) if isinstance(o, Apply)]
    assert all(o.body["metadata"]["ownerReferences"][0]["kind"] == "ShadowEvaluation" for o in applied)
    (database,) = [o.body for o in applied if o.kind == "StatefulSet"]
    assert database["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Delete"


def test_copies_come_from_the_namespaces_that_are_named() -> None:
    """The API is asked from here and by the operator."""
    wanted = spec(traffic={"mirror": {"allowFrom": [{"namespace": "gateways"}]}})
    (policy,) = [
        b for b in bodies(planned(wanted, up()), "NetworkPolicy") if b["metadata"]["name"] == "waf-rules-service"
    ]
    by_port = {rule["ports"][0]["port"]: rule.get("from") for rule in policy["spec"]["ingress"]}
    named = {port: [str(f["namespaceSelector"]["matchLabels"]) for f in peers or ()] for port, peers in by_port.items()}
    assert "gateways" in named[8081][0]
    assert len(named[8080]) == 2


def test_rights_have_one_name() -> None:
    """Said where they are bound, and where they are missing."""
    assert RIGHTS == SHADOW_ROLE
