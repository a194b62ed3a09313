"""`status -w`: lines on change, and the ends it waits for."""

from typing import Any

import pytest

from chaffinch_operator.errors import Refused, Unavailable
from chaffinch_operator.resources import CANARYROLLOUTS, DEPLOYMENTS
from unit.cli.builders import at_rest, gate, rejected, rollout, status
from unit.cli.conftest import Run
from unit.cli.fakes import FakeCluster


def _cluster(first: dict[str, Any], *, held: bool = False) -> FakeCluster:
    cluster = FakeCluster(rollout(status=first))
    cluster.put(DEPLOYMENTS, {"metadata": {"name": "checkout", "namespace": "shop"}, "spec": {"paused": held}})
    return cluster


def _becomes(cluster: FakeCluster, seconds: float, status: dict[str, Any]) -> None:
    cluster.at.append((seconds, lambda: cluster.read(CANARYROLLOUTS, "checkout").update(status=status)))


def _release(cluster: FakeCluster) -> None:
    cluster.read(DEPLOYMENTS, "checkout")["spec"]["paused"] = False


STALLED = status(
    "Wait",
    "ServiceNotFound",
    "there is no Service checkout",
    conditions=[
        {
            "type": "Stalled",
            "status": "True",
            "reason": "ServiceNotFound",
            "message": "m",
            "observedGeneration": 3,
            "lastTransitionTime": "",
        }
    ],
)


@pytest.mark.parametrize(("end", "code"), [(at_rest(), 0), (rejected(), 3), (STALLED, 4)])
def test_the_exit_code_tells_how_it_ended(run: Run, end: dict[str, Any], code: int) -> None:
    """0 promoted, 3 rolled back, 4 stalled."""
    cluster = _cluster(status())
    _becomes(cluster, 30, end)
    assert run(cluster, "status", "checkout", "--until-done").exit_code == code


def test_a_candidate_taken_back_is_no_success(run: Run) -> None:
    """Whoever waits for a release must not be told that it happened."""
    cluster = _cluster(status())
    _becomes(
        cluster,
        30,
        at_rest(history=[{"digest": "b", "result": "Reverted", "reason": "Reverted", "at": "2026-11-24T12:00:30Z"}]),
    )
    assert run(cluster, "status", "checkout", "--until-done").exit_code == 3


def test_an_end_from_the_start_must_settle(run: Run) -> None:
    """A rollback of yesterday is not the answer to the template applied a second ago."""
    cluster = _cluster(rejected())
    _becomes(cluster, 2, status())
    _becomes(cluster, 30, at_rest())
    assert run(cluster, "status", "checkout", "--until-done").exit_code == 0


def test_a_rollout_at_rest_ends_after_settling(run: Run) -> None:
    """Nothing under way is a good end, seen for five seconds."""
    cluster = _cluster(at_rest())
    assert run(cluster, "status", "checkout", "--until-done").exit_code == 0
    assert (cluster.now - _cluster(at_rest()).now).total_seconds() == 5


def test_a_held_template_that_the_operator_has_not_seen_is_no_end(run: Run) -> None:
    """The Deployment is paused in the very write that changes its template, also while the operator is down."""
    cluster = _cluster(at_rest(), held=True)
    _becomes(cluster, 60, status())
    _becomes(cluster, 90, at_rest())
    cluster.at.append((90, lambda: _release(cluster)))
    assert run(cluster, "status", "checkout", "--until-done", "--timeout", "5m").exit_code == 0
    assert (cluster.now - FakeCluster().now).total_seconds() == 90


def test_who_may_not_read_deployments_can_still_wait(run: Run) -> None:
    """The check is skipped, not failed."""
    cluster = _cluster(at_rest(), held=True)
    cluster.raises["get", "deployments"] = Refused(403, "Forbidden", "no")
    assert run(cluster, "status", "checkout", "--until-done").exit_code == 0


def test_time_is_up(run: Run) -> None:
    """Exit code 1, and where it stands."""
    result = run(_cluster(status()), "status", "checkout", "--until-done", "--timeout", "1m")
    assert result.exit_code == 1
    assert "shop/checkout is not over after 60 s: it is Analyzing" in result.stderr


def test_without_a_terminal_each_change_is_one_line(run: Run) -> None:
    """Equal states are not repeated."""
    cluster = _cluster(status())
    _becomes(cluster, 10, status(gates=[gate("errors", "Pass")]))
    _becomes(cluster, 20, at_rest())
    lines = run(cluster, "status", "checkout", "--until-done").stdout.splitlines()
    assert [line.split("  ")[:3] for line in lines] == [
        ["2026-11-24T12:00:00Z", "shop/checkout", "Shift (Analyzing)"],
        ["2026-11-24T12:00:10Z", "shop/checkout", "Shift (Analyzing)"],
        ["2026-11-24T12:00:20Z", "shop/checkout", "Idle (Promoted)"],
    ]


def test_a_short_absence_of_the_api_server_is_waited_out(run: Run) -> None:
    """A restart of the control plane does not end a watch."""
    cluster = _cluster(status())
    cluster.at.append((5, lambda: cluster.raises.update({("get", "canaryrollouts"): Unavailable("no answer")})))
    cluster.at.append((40, cluster.raises.clear))
    _becomes(cluster, 50, at_rest())
    assert run(cluster, "status", "checkout", "--until-done").exit_code == 0


def test_a_long_absence_of_the_api_server_ends_the_watch(run: Run) -> None:
    """With the reason, after a minute."""
    cluster = _cluster(status())
    cluster.at.append((5, lambda: cluster.raises.update({("get", "canaryrollouts"): Unavailable("no answer")})))
    result = run(cluster, "status", "checkout", "-w")
    assert result.exit_code == 1
    assert "cannot reach the API server" in result.stderr


def test_a_rollout_that_is_deleted_meanwhile_ends_the_watch(run: Run) -> None:
    """There is nothing left to watch."""
    cluster = _cluster(status())
    cluster.at.append((5, cluster.objects.clear))
    result = run(cluster, "status", "checkout", "-w")
    assert result.exit_code == 1
    assert "was deleted meanwhile" in result.stderr


def test_watching_all_prints_a_line_per_change(run: Run) -> None:
    """Each rollout on its own; here until the API server goes away."""
    cluster = _cluster(status())
    cluster.put(CANARYROLLOUTS, rollout("cart", status=at_rest()))
    _becomes(cluster, 10, rejected())
    cluster.at.append((20, lambda: cluster.raises.update({("list", "canaryrollouts"): Unavailable("no answer")})))
    lines = run(cluster, "status", "-w").stdout.splitlines()
    assert [line.split("  ")[1] for line in lines] == ["shop/cart", "shop/checkout", "shop/checkout"]
