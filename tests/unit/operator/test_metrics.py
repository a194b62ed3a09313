"""Metrics show what is, and nothing of what is gone."""

from dataclasses import dataclass

from chaffinch_operator.metrics import KindMetrics, Metrics


@dataclass(frozen=True)
class Sample:
    """A rollout as the slice reports it."""

    namespace: str = "shop"
    name: str = "web"
    phase: str = "Analyzing"
    weight_percent: int = 25
    step: int = 1
    gates: tuple[tuple[str, float, float], ...] = (("errors", 0.5, -1.5),)


def lines(metrics: Metrics, prefix: str) -> list[str]:
    """Lines of the page that begin so."""
    return sorted(line for line in metrics.render().decode().splitlines() if line.startswith(prefix))


def test_a_rollout_is_shown_with_its_evidence() -> None:
    """Phase, weight, step, and both sides of each gate."""
    metrics = Metrics()
    metrics.show(Sample())
    assert lines(metrics, "chaffinch_rollout_") == [
        'chaffinch_rollout_gate_log_e{gate="errors",name="web",namespace="shop",side="harm"} 0.5',
        'chaffinch_rollout_gate_log_e{gate="errors",name="web",namespace="shop",side="safe"} -1.5',
        'chaffinch_rollout_phase{name="web",namespace="shop",phase="Analyzing"} 1.0',
        'chaffinch_rollout_step{name="web",namespace="shop"} 1.0',
        'chaffinch_rollout_weight_percent{name="web",namespace="shop"} 25.0',
    ]


def test_posts_and_alerts_are_counted() -> None:
    """By what was answered, and by what they lead to."""
    metrics = Metrics()
    metrics.alert_post(401)
    metrics.alert_recorded("Rollback")
    assert lines(metrics, "chaffinch_alert_posts_total") == ['chaffinch_alert_posts_total{code="401"} 1.0']
    recorded = lines(metrics, "chaffinch_alerts_recorded_total")
    assert recorded == ['chaffinch_alerts_recorded_total{outcome="Rollback"} 1.0']


def test_former_phases_and_gates_are_dropped() -> None:
    """A rollout is in one phase."""
    metrics = Metrics()
    metrics.show(Sample())
    metrics.show(Sample(phase="Idle", gates=()))
    assert lines(metrics, "chaffinch_rollout_phase") == [
        'chaffinch_rollout_phase{name="web",namespace="shop",phase="Idle"} 1.0'
    ]
    assert lines(metrics, "chaffinch_rollout_gate") == []


def test_a_rollout_that_is_gone_leaves_no_series() -> None:
    """Also when it is forgotten twice, or was never shown."""
    metrics = Metrics()
    metrics.show(Sample())
    metrics.show(Sample(name="other"))
    for name in ("web", "web", "never"):
        metrics.forget("shop", name)
    assert all('name="other"' in line for line in lines(metrics, "chaffinch_rollout_"))
    assert len(lines(metrics, "chaffinch_rollout_")) == 5


def test_passes_requests_and_decisions_are_counted() -> None:
    """By result, by verb and code, by action and reason."""
    metrics = Metrics()
    KindMetrics(metrics, "CanaryRollout").passed(0.1, "ok")
    metrics.request("apply", "services", 200, 0.01)
    metrics.queried("ok")
    metrics.decided("RollBack", "GateFailed")
    metrics.objects("CanaryRollout", 3)
    metrics.leading(True)
    metrics.hold_installed(True)
    page = metrics.render().decode()
    for line in (
        'chaffinch_reconcile_total{kind="CanaryRollout",result="ok"} 1.0',
        'chaffinch_api_requests_total{code="200",resource="services",verb="apply"} 1.0',
        'chaffinch_prometheus_queries_total{result="ok"} 1.0',
        'chaffinch_rollout_decisions_total{action="RollBack",reason="GateFailed"} 1.0',
        'chaffinch_objects{kind="CanaryRollout"} 3.0',
        "chaffinch_leader 1.0",
        "chaffinch_hold_installed 1.0",
    ):
        assert line in page
