"""What holds in every state, reachable or not: of a decision, of its report, and of its writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from chaffinch_operator.canary.plan import Apply, Delete, Isolate, Unisolate, Unpause
from chaffinch_operator.canary.reasons import IN_FLIGHT, Action, Reason, Verdict
from chaffinch_operator.canary.report import LIMIT_BYTES, size
from chaffinch_operator.canary.status import AlertStatus, CanaryRolloutStatus, StepStatus
from chaffinch_operator.schema import compact
from unit.canary.builders import ERRORS, RESTARTS, Scene, digest, first_sight, moment, replica_set, rev, scene, stamp

Change = Callable[[Scene], Scene]
STEPS = [{"setWeight": 25}, {"pause": {"duration": "1m"}}, {"setWeight": 50}, {"pause": {}}, {"setWeight": 75}]


def step(index: int) -> Change:
    """At another step, or beyond them."""
    return lambda s: s.status(step=StepStatus(index=index))


def desired(weight: int) -> Change:
    """Another decided weight."""
    return lambda s: s.status(weight=s.state.weight.model_copy(update={"desired": weight}))


def alerted(s: Scene, outcome: str) -> Scene:
    """An alert in the status, as long as one can be."""
    entry = AlertStatus(
        fingerprint="f" * 16,
        name="A" * 100,
        starts_at=stamp(5),
        received_at=stamp(6),
        outcome=outcome,
        message="m" * 300,
    )
    return s.status(alerts=[entry] * 5)


STAGES: dict[str, Scene] = {
    "never seen": first_sight(),
    "at rest": scene(),
    "held": scene().held("v2"),
    "starting": scene().starting(),
    "prepared": scene().prepared(),
    "at step 1": scene().shifting(),
    "at the last step": scene().shifting(index=1).judged(300).at(301),
    "holding": scene().holding(),
    "paused": scene().shifting().decision(Action.PAUSE, Reason.PAUSED),
    "waiting for approval": scene().shifting().decision(Action.PAUSE, Reason.APPROVAL_REQUIRED),
    "paused by a person": scene().shifting().decision(Action.PAUSE, Reason.PAUSED_BY_USER),
    "paused by an alert": scene().shifting().decision(Action.PAUSE, Reason.PAUSED_BY_ALERT),
    "promoting": scene().promoting(),
    "rolling back": scene().rolling_back(),
    "rejected": scene().rejected(),
    "releasing": scene().held("v1").decide(),
    "releasing mid-flight": scene().shifting().held("v1").decide(),
    "replacing": scene().shifting().held("v3").decide(),
    "by replicas": scene().by_replicas().shifting(),
}
STAGES |= {f"{name}, with a baseline": stage.with_baseline() for name, stage in STAGES.items()}
CHANGES: dict[str, Change] = {
    **{f"held {v}": lambda s, v=v: s.held(v) for v in ("v0", "v1", "v2", "v3")},  # type: ignore[misc]
    **{f"rolled {v}": lambda s, v=v: s.rolled(v) for v in ("v1", "v2", "v3")},  # type: ignore[misc]
    **{
        f"ask {verb}": lambda s, verb=verb: s.ask(verb, "new")  # type: ignore[misc]
        for verb in ("promote", "promote-force", "abort", "retry", "pause", "resume", "dance")
    },
    **{
        f"{gate} {v}": lambda s, gate=gate, v=v: s.gate(gate, v)  # type: ignore[misc]
        for gate in ("errors", "restarts")
        for v in Verdict
    },
    **{
        f"blocked {r}": lambda s, r=r: s.blocker(r)  # type: ignore[misc]
        for r in (Reason.TARGET_CONFLICT, Reason.NAME_TAKEN, Reason.HOLD_NOT_INSTALLED, Reason.GATEWAY_API_MISSING)
    },
    **{f"at {t}": lambda s, t=t: s.at(t) for t in (-500, 45, 130, 700, 8000)},  # type: ignore[misc]
    **{f"alert {o}": lambda s, o=o: alerted(s, o) for o in ("Rollback", "Pause", "Paused")},  # type: ignore[misc]
    "a canary": lambda s: s.canary(),
    "no canary": lambda s: s.world(canary=None),
    "a canary that is not available": lambda s: s.canary(available=0, ready=0, ready_endpoints=0),
    "a canary that restarts": lambda s: s.canary(restarts=7),
    "a canary that leaves": lambda s: s.canary(deleting=True),
    "a canary without Service": lambda s: s.canary(service_exists=False),
    "no baseline": lambda s: s.world(baseline=None),
    "a baseline that is not available": lambda s: s.baseline(available=0, ready=0, ready_endpoints=0),
    "a baseline that leaves": lambda s: s.baseline(deleting=True),
    "a baseline without Service": lambda s: s.baseline(service_exists=False),
    "a baseline of another stable": lambda s: s.baseline(digest=digest("v0")),
    "a route without the baseline": lambda s: s.route(baseline=False),
    "compare with a baseline": lambda s: s.spec(canary={"baseline": "Dedicated"}),
    "compare with stable": lambda s: s.spec(canary={"baseline": "None"}),
    "no route": lambda s: s.world(route=None),
    "route none": lambda s: s.route(canary_weight=None),
    "route 0": lambda s: s.route(canary_weight=0, weight_since=moment(-9)),
    "route fading": lambda s: s.route(canary_weight=0, fading=True, weight_since=moment(-9)),
    "route 50": lambda s: s.route(canary_weight=50, weight_since=moment(20)),
    "route not accepted": lambda s: s.route(accepted=False),
    "route refused": lambda s: s.route(accepted=False, problem="no").blocker(Reason.ROUTE_NOT_ACCEPTED),
    "route edited": lambda s: s.route(current=False),
    "no Service": lambda s: s.world(service=None),
    "narrowed": lambda s: s.service(selector={"app": "web", "pod-template-hash": "hv1"}, isolated_note="web"),
    "widened": lambda s: s.service(selector={"app": "web"}, isolated_note=""),
    "another port": lambda s: s.service(ports=(81,)),
    "no target": lambda s: s.world(target=None),
    "un-paused": lambda s: s.target(paused=False),
    "Recreate": lambda s: s.target(recreate=True),
    "stuck": lambda s: s.target(stuck="timed out"),
    "mixed": lambda s: s.running(replica_set("v1", 2), replica_set("v2", 2)),
    "no pods": lambda s: s.running(),
    "no replicas": lambda s: s.target(replicas=0),
    "Prometheus away": lambda s: s.unreachable(),
    "an interval": lambda s: s.interval(30),
    "a bad interval": lambda s: s.interval(30, canary=(80, 100)),
    "no candidate": lambda s: s.status(candidate=None),
    "no stable": lambda s: s.status(stable=None),
    "rejected before": lambda s: s.status(rejected_revisions=[digest("v2"), digest("v3")]),
    "known before": lambda s: s.status(promoted_revisions=[digest("v1"), digest("v0")]),
    "no clocks": lambda s: s.status(analysis_started_at="", interval_end="", candidate_since="", step=StepStatus()),
    "no gates": lambda s: s.status(gates=[]),
    "step 2": step(1),
    "step 9": step(8),
    "desired 0": desired(0),
    "desired 50": desired(50),
    "other stable": lambda s: s.status(stable=rev("v0")),
    "suspended": lambda s: s.spec(suspend=True),
    "other steps": lambda s: s.spec(steps=STEPS),
    "one step": lambda s: s.spec(steps=[{"setWeight": 10}]),
    "Duration": lambda s: s.spec(promotion={"require": "Duration"}),
    "Promote": lambda s: s.spec(promotion={"onInconclusive": "Promote"}),
    "Rollback": lambda s: s.spec(promotion={"onInconclusive": "Rollback"}),
    "dry run": lambda s: s.spec(analysis={"gates": [{**ERRORS, "dryRun": True}, RESTARTS]}),
    "restarts alone": lambda s: s.spec(analysis={"gates": [RESTARTS]}),
    "deleting": lambda s: s.world(deleting=True),
    "namespace deleting": lambda s: s.world(deleting=True, namespace_deleting=True),
}


def changed(before: Scene, name: str) -> Scene:
    """The scene after a change, or as it was where the change has nothing to change."""
    try:
        return CHANGES[name](before)
    except (AssertionError, KeyError):
        return before


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """A stage with a few things changed, sensible or not."""
    before = STAGES[draw(st.sampled_from(sorted(STAGES)))]
    for name in draw(st.lists(st.sampled_from(sorted(CHANGES)), max_size=5)):
        before = changed(before, name)
    return before


@settings(max_examples=200, deadline=None)
@given(scenes())
def test_a_decision_is_always_one(before: Scene) -> None:
    """It never raises, is the same each time, small, reads back, and comes to rest while the world stands still."""
    after = before.decide()
    assert before.decide() == after
    written = after.report()
    assert size(written) <= LIMIT_BYTES
    assert CanaryRolloutStatus.model_validate(compact(written)) == written
    seen = [written]
    quiet = replace(after, state=written)
    for _ in range(6):
        quiet = quiet.decide()
        quiet = replace(quiet, state=quiet.report())
        seen.append(quiet.state)
    assert seen[-1] == seen[-2], [s.last_decision for s in seen]


@settings(max_examples=200, deadline=None)
@given(scenes())
def test_weights_rise_one_step_at_a_time(before: Scene) -> None:
    """A decision takes the weight to zero, leaves it, or takes it to the next step's; never higher in between."""
    after = before.decide()
    weights = {s.set_weight for s in before.model.steps if s.set_weight}
    old, new = before.state.weight.desired, after.state.weight.desired
    assert new in {0, old} | weights
    if new > old:
        first = before.verdict[0] is Action.START
        assert after.state.step.index == (0 if first else before.state.step.index + 1)
        assert new == after.step_weight(after.state.step.index)
        assert after.verdict == (Action.SHIFT, Reason.STEP_WEIGHT)


def allowed_to_promote(before: Scene, after: Scene) -> bool:
    """Whether a promotion was earned, or wanted."""
    acting = [g.verdict for g in after.state.gates if not g.dry_run]
    known = Verdict.NO_DATA not in acting and Verdict.FAIL not in acting
    target = before.snap.target
    match after.verdict[1]:
        case Reason.GATES_PASSED:
            return bool(acting) and set(acting) == {Verdict.PASS}
        case Reason.DURATION_ELAPSED:
            return before.model.promotion.require == "Duration" and known
        case Reason.INCONCLUSIVE:
            return before.model.promotion.on_inconclusive == "Promote" and known and not before.snap.provider_problem
        case Reason.PROMOTED_BY_USER:
            return before.snap.request == "promote-force@new" or (target is not None and not target.paused)
        case _:
            return False


def allowed_to_roll_back(before: Scene, after: Scene) -> bool:
    """Whether harm was proven, or a person, an alert or the spec wanted it."""
    verdicts = [g.verdict for g in after.state.gates if not g.dry_run]
    match after.verdict[1]:
        case Reason.GATE_FAILED:
            return Verdict.FAIL in verdicts
        case Reason.ABORTED:
            return before.snap.request == "abort@new"
        case Reason.INCONCLUSIVE:
            choice = before.model.promotion.on_inconclusive
            return choice == "Rollback" and Verdict.NO_DATA not in verdicts and not before.snap.provider_problem
        case Reason.DEADLINE_EXCEEDED:
            return before.now >= moment(600)
        case Reason.ALERT_FIRING:
            return "Rollback" in {a.outcome for a in before.state.alerts}
        case _:
            return False


@settings(max_examples=250, deadline=None)
@given(scenes())
def test_nothing_is_promoted_or_rolled_back_without_cause(before: Scene) -> None:
    """Proof, harm, a person, an alert, or the spec; never missing data."""
    after = before.decide()
    if before.verdict[0] in IN_FLIGHT and after.verdict[0] is Action.PROMOTE:
        assert allowed_to_promote(before, after), after.verdict
    if before.verdict[0] in IN_FLIGHT and after.verdict[0] is Action.ROLL_BACK:
        assert allowed_to_roll_back(before, after), after.verdict


@settings(max_examples=250, deadline=None)
@given(scenes())
def test_writes_are_safe_and_in_order(before: Scene) -> None:
    """The route first, then the canary, then the Service, then the release; each only when nothing rests on it."""
    after = before.decide()
    operations = after.plan()
    kinds = ["route" if isinstance(op, Apply) and op.kind == "HTTPRoute" else type(op).__name__ for op in operations]
    rank = {"route": 0, "Apply": 1, "Delete": 1, "Isolate": 2, "Unisolate": 2, "Unpause": 3}
    assert [rank[k] for k in kinds] == sorted(rank[k] for k in kinds)
    target, service, route = after.snap.target, after.snap.service, after.snap.route
    for operation in operations:
        match operation:
            case Unpause():
                assert target is not None
                assert service is None or not service.narrowed
                assert target.revision.digest in {r.digest for r in (after.state.candidate, after.state.stable) if r}
                assert after.verdict[0] in {Action.PROMOTE, Action.RELEASE, Action.ABANDON}
            case Delete():
                assert route is None or route.canary_weight is None
                assert after.verdict[0] not in IN_FLIGHT
            case Apply("HTTPRoute", body):
                shares = [b["weight"] for b in body["spec"]["rules"][0]["backendRefs"]]
                assert shares[0] > 0
                assert not (route and route.baseline and (route.canary_weight or 0) > 0) or len(shares) == 3
            case Apply("Deployment", body):
                assert after.verdict[0] in IN_FLIGHT
                wanted = after.state.isolated_hash
                assert not wanted or (service is not None and service.selector.get("pod-template-hash") == wanted)
                assert body["spec"]["replicas"] > 0
            case Isolate():
                assert after.verdict[0] in IN_FLIGHT | {Action.ROLL_BACK, Action.ABANDON, Action.RELEASE}
                assert target is not None
                assert after.state.isolated_hash in {r.revision.hash for r in target.replica_sets}
            case Unisolate():
                assert after.state.isolated_hash == ""


def test_a_forged_past_does_not_raise() -> None:
    """A status that a person wrote by hand is only ever a wrong answer to a question, never a crash."""
    odd = scene().shifting().status(interval_end="never", candidate_since="x", analysis_started_at="?")
    odd = odd.status(step=StepStatus(index=99, started_at="soon"), isolated_hash="nope", drained_at="gone")
    assert odd.decide().verdict[0] is Action.SHIFT
    assert odd.status(interval_end=stamp(30)).interval(30).decide().verdict[0] is Action.SHIFT
