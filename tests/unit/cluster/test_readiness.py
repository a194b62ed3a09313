"""Ready means: it answers now; what the API remembers from before does not count."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.readiness import has_condition, pod_problem, target_problem
from cluster.status import overall


def pod(phase: str = "Running", ready: str = "True", container: str = "containerd://abc") -> dict[str, Any]:
    """A pod with one container."""
    return {
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": ready}],
            "containerStatuses": [{"name": "main", "containerID": container}],
        }
    }


def target(namespace: str, health: str = "up") -> dict[str, Any]:
    """A scrape target."""
    return {"labels": {"namespace": namespace}, "health": health, "scrapeUrl": "http://10.0.0.1/metrics"}


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (pod(), ""),
        (pod(phase="Succeeded", ready="False"), ""),
        (pod(phase="Pending", ready="False"), "not Ready (Pending)"),
        (pod(container="containerd://before"), "container main does not run"),
    ],
    ids=["ready", "a finished job", "starting", "said to run since before a cold start"],
)
def test_pod(found: dict[str, Any], problem: str) -> None:
    """A pod is ready when the API says so and its containers have processes."""
    assert pod_problem(found, {"abc"}) == problem


@pytest.mark.parametrize(
    ("targets", "problem"),
    [
        ([target("monitoring"), target("envoy")], ""),
        ([target("monitoring")], "no scrape target in envoy"),
        ([target("monitoring"), target("envoy", "down")], "scrape targets down: http://10.0.0.1/metrics"),
        ([target("monitoring"), target("envoy"), target("shop", "down")], ""),
    ],
    ids=["all up", "one missing", "one down", "a user's pod down"],
)
def test_scrape_targets(targets: list[dict[str, Any]], problem: str) -> None:
    """Only the add-ons' own targets count."""
    assert target_problem({"data": {"activeTargets": targets}}, {"monitoring", "envoy"}) == problem


def test_no_conditions_is_not_ready() -> None:
    """A fresh object has none."""
    assert not has_condition({}, "Ready")


@pytest.mark.parametrize(
    ("built", "processes", "problems", "state"),
    [
        (False, {}, {}, "not built"),
        (True, {"etcd": None}, {}, "down"),
        (True, {"etcd": 1, "kubelet": None}, {}, "degraded"),
        (True, {"etcd": 1}, {"dns": "no answer"}, "degraded"),
        (True, {"etcd": 1}, {}, "ready"),
    ],
)
def test_state(built: bool, processes: dict[str, int | None], problems: dict[str, str], state: str) -> None:
    """One word for the whole."""
    assert overall(built=built, processes=processes, problems=problems) == state
