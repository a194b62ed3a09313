"""Times, digests, sizes and durations: the words the flow is made of."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_operator.canary import clock, revision
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.sizing import canary_replicas, first_weight, weight_at
from chaffinch_operator.schema import seconds
from unit.canary.builders import SPEC, merged, template

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def spec(**change: object) -> CanaryRolloutSpec:
    """A spec with fields laid over it."""
    return CanaryRolloutSpec.model_validate(merged(SPEC, change))


@given(MOMENTS)
def test_a_stamp_reads_back(at: datetime) -> None:
    """To the microsecond, and in the form Kubernetes writes where there is no fraction."""
    assert clock.parse(clock.stamp(at)) == at
    assert clock.stamp(at.replace(microsecond=0)).endswith("Z")
    assert "." not in clock.stamp(at.replace(microsecond=0))


def test_damaged_times_are_no_times() -> None:
    """An empty or damaged text gives None, one without zone is UTC."""
    assert clock.parse("") is None
    assert clock.parse("yesterday") is None
    assert clock.parse("2026-01-01T12:00:00") == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert clock.elapsed("", datetime(2026, 1, 1, tzinfo=UTC)) == 0.0
    assert clock.elapsed("2026-01-01T00:00:00Z", datetime(2026, 1, 1, 0, 1, tzinfo=UTC)) == 60.0


@given(MOMENTS, st.integers(1, 3_600_000))
def test_the_grid_is_one_for_all(at: datetime, milliseconds: int) -> None:
    """The next multiple of the step since the epoch, at or after the time, and a fixpoint."""
    step = milliseconds / 1000
    up = clock.ceil_to_grid(at, step)
    assert timedelta(0) <= up - at < timedelta(milliseconds=milliseconds)
    assert (up - clock.EPOCH) % timedelta(milliseconds=milliseconds) == timedelta(0)
    assert clock.ceil_to_grid(up, step) == up


def shuffled(value: object) -> object:
    """The same JSON with its keys the other way round."""
    if isinstance(value, dict):
        return {k: shuffled(value[k]) for k in reversed(list(value))}
    return [shuffled(v) for v in value] if isinstance(value, list) else value


TEMPLATES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), TEMPLATES, max_size=3), st.text(max_size=10))
def test_a_digest_does_not_see_order_nor_the_hash(body: dict[str, object], pod_hash: str) -> None:
    """What a ReplicaSet adds, and how a server sorts, make no other revision."""
    one = {**template("v1"), "spec": {"containers": [{"image": "a"}], "more": body}}
    other = json.loads(json.dumps(shuffled(one)))
    other["metadata"]["labels"]["pod-template-hash"] = pod_hash
    other["metadata"]["creationTimestamp"] = None
    assert revision.digest(other) == revision.digest(one)
    assert "pod-template-hash" not in revision.bare(other)["metadata"]["labels"]


def test_a_digest_sees_everything_else() -> None:
    """Ten hex digits; an annotation, as `kubectl rollout restart` sets it, is another revision."""
    one = template("v1")
    restarted = {**one, "metadata": {**one["metadata"], "annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}
    assert len(revision.digest(one)) == 10
    assert len({revision.digest(one), revision.digest(restarted), revision.digest(template("v2"))}) == 3


def test_an_image_is_that_of_the_first_container() -> None:
    """Empty where there is none."""
    assert revision.image(template("v1")) == "shop/web:v1"
    assert revision.image({"spec": {"containers": []}}) == ""
    assert revision.image({}) == ""
    assert revision.bare({})["metadata"] == {}


@given(st.integers(0, 1000), st.integers(1, 99), st.integers(1, 20), st.integers(0, 20), st.booleans())
def test_sizes_keep_their_bounds(stable: int, weight: int, low: int, more: int, by_route: bool) -> None:
    """Within minReplicas and maxReplicas, and never fewer pods for a larger weight."""
    routing: dict[str, object] = {} if by_route else {"gatewayAPI": None, "replicas": {}}
    sized = spec(canary={"minReplicas": low, "maxReplicas": low + more}, trafficRouting=routing)
    pods = canary_replicas(sized, stable, weight)
    assert low <= pods <= low + more
    assert pods >= canary_replicas(sized, stable, max(1, weight - 1))
    assert canary_replicas(spec(canary={"replicas": 3}), stable, weight) == 3


@pytest.mark.parametrize(("stable", "weight", "pods"), [(4, 25, 1), (4, 26, 2), (10, 50, 5), (0, 50, 1), (100, 50, 10)])
def test_by_route_a_canary_pod_carries_what_a_stable_pod_does(stable: int, weight: int, pods: int) -> None:
    """Rounded up."""
    assert canary_replicas(spec(), stable, weight) == pods


@pytest.mark.parametrize(("stable", "weight", "pods"), [(4, 25, 1), (4, 50, 4), (9, 10, 1), (1, 75, 3)])
def test_by_replicas_the_share_of_pods_is_closest(stable: int, weight: int, pods: int) -> None:
    """Weight over the rest."""
    assert canary_replicas(spec(trafficRouting={"gatewayAPI": None, "replicas": {}}), stable, weight) == pods


def test_the_weight_of_a_pause_is_that_of_the_step_before() -> None:
    """None before the first."""
    steps = spec(steps=[{"pause": {}}, {"setWeight": 5}, {"pause": {}}, {"setWeight": 50}])
    assert [weight_at(steps, i) for i in range(4)] == [0, 5, 5, 50]
    assert first_weight(steps) == 5
    assert first_weight(spec(steps=[{"pause": {}}])) == 1


@given(st.integers(0, 3_600_000))
def test_durations_are_exact(milliseconds: int) -> None:
    """A threshold must meet a bucket boundary exactly: 9ms is 0.009, not 9 * 0.001."""
    assert seconds(f"{milliseconds}ms") == milliseconds / 1000
    assert seconds(f"1h2m3s{milliseconds}ms") == (3_723_000 + milliseconds) / 1000


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "1.5s", "-5s", "5sx", "5d"])
def test_a_bad_duration_is_named(text: str) -> None:
    """With the way to write it."""
    with pytest.raises(ValueError, match="is no duration: write it like 30s, 5m or 1h30m"):
        seconds(text)
