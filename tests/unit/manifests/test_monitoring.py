"""Alerts speak of metrics that exist, and lead to a page that helps."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaffinch_operator.canary import report
from chaffinch_operator.metrics import Metrics

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "manifests/components/monitoring"
GROUPS = yaml.safe_load((MONITORING / "rules.yaml").read_text())["spec"]["groups"]
ALERTS: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]


def names() -> set[str]:
    """Names of all series that the operator can expose."""
    return {
        name
        for family in Metrics().registry.collect()
        for name in (family.name, *(f"{family.name}_{suffix}" for suffix in ("total", "count", "sum", "bucket")))
    }


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_uses_metrics_that_exist(alert: dict[str, Any]) -> None:
    """A renamed metric cannot silence an alert."""
    used = set(re.findall(r"chaffinch_\w+", alert["expr"]))
    assert used
    assert used <= names()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_leads_to_its_runbook(alert: dict[str, Any]) -> None:
    """The link is a page of the alert's name."""
    assert alert["annotations"]["runbook_url"] == f"docs/runbooks/{alert['alert']}.md"
    assert (ROOT / alert["annotations"]["runbook_url"]).is_file()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_has_severity_summary_and_description(alert: dict[str, Any]) -> None:
    """Whoever is woken up reads at once what it is."""
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert {"summary", "description", "runbook_url"} <= alert["annotations"].keys()


def test_alerts_name_phases_that_exist() -> None:
    """A phase in a selector is one that the operator reports."""
    source = Path(report.__file__).read_text()
    selectors = re.findall(r'phase=~?"([^"]+)"', " ".join(alert["expr"] for alert in ALERTS))
    phases = {phase for selector in selectors for phase in selector.split("|")}
    assert phases
    assert [phase for phase in phases if f'"{phase}"' not in source] == []


def test_the_pod_monitor_finds_the_operators_port() -> None:
    """Labels and port are those of the Deployment."""
    (endpoint,) = (spec := yaml.safe_load((MONITORING / "pod_monitor.yaml").read_text())["spec"])["podMetricsEndpoints"]
    template = yaml.safe_load((ROOT / "manifests/base/deployment.yaml").read_text())["spec"]["template"]
    assert spec["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert endpoint["port"] in {port["name"] for port in template["spec"]["containers"][0]["ports"]}
