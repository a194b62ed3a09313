"""Alerts of ledgers speak of metrics that the service has, lead to a page that helps, and reach somebody."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaffinch_credits.api.metrics import Metrics

ROOT = Path(__file__).parents[3]
LEDGERS = ROOT / "manifests/components/ledgers"
GROUPS = yaml.safe_load((LEDGERS / "rules.yaml").read_text())["spec"]["groups"]
ALERTS: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
CONFIG = yaml.safe_load((LEDGERS / "alertmanager_config.yaml").read_text())["spec"]
each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])


def names() -> set[str]:
    """Names of all series that the service can expose."""
    return {
        name
        for family in Metrics().registry.collect()
        for name in (family.name, *(f"{family.name}_{suffix}" for suffix in ("total", "count", "sum", "bucket")))
    }


@each_alert
def test_an_alert_uses_metrics_that_exist(alert: dict[str, Any]) -> None:
    """A renamed metric cannot silence an alert."""
    used = set(re.findall(r"chaffinch_credits_\w+", alert["expr"]))
    assert used
    assert used <= names()


@each_alert
def test_an_alert_leads_to_its_runbook(alert: dict[str, Any]) -> None:
    """A page of its name, listed with its severity, that says what to do step by step."""
    assert alert["annotations"]["runbook_url"] == f"docs/runbooks/{alert['alert']}.md"
    page = (ROOT / alert["annotations"]["runbook_url"]).read_text()
    assert page.startswith(f"# {alert['alert']}\n")
    assert "\n1. " in page
    listed = (ROOT / "docs/runbooks/README.md").read_text()
    assert f"| [{alert['alert']}]({alert['alert']}.md) | {alert['labels']['severity']} |" in listed


@each_alert
def test_an_alert_has_severity_summary_and_description(alert: dict[str, Any]) -> None:
    """Whoever is woken up reads at once what it is."""
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert {"summary", "description", "runbook_url"} <= alert["annotations"].keys()


@pytest.mark.parametrize(
    "metric",
    [
        "requests_total",
        "request_seconds_bucket",
        "queue_age_seconds",
        "breaker_open",
        "checkpoint_age_seconds",
        "unsound",
        "verified_age_seconds",
        "key_age_seconds",
        "certificate_ends_timestamp_seconds",
    ],
)
def test_what_a_ledger_can_suffer_from_has_an_alert(metric: str) -> None:
    """Errors, latency, queue, database, signing, verification, keys and certificates."""
    assert any(f"chaffinch_credits_{metric}" in alert["expr"] for alert in ALERTS)


def test_every_alert_reaches_somebody() -> None:
    """The route takes all of them; critical ones page, and each receiver has its key from the Secret."""
    (matcher,) = CONFIG["route"]["matchers"]
    assert all(re.fullmatch(matcher["value"], alert["alert"]) for alert in ALERTS)
    receivers = {receiver["name"]: receiver for receiver in CONFIG["receivers"]}
    page, say = CONFIG["route"]["routes"]
    assert page["matchers"] == [{"name": "severity", "matchType": "=", "value": "critical"}]
    assert (page["continue"], say["receiver"], CONFIG["route"]["receiver"]) == (True, "slack", "slack")
    assert receivers[page["receiver"]]["pagerdutyConfigs"][0]["routingKey"]["name"] == "chaffinch-oncall"
    assert receivers["slack"]["slackConfigs"][0]["apiURL"]["name"] == "chaffinch-oncall"


def test_the_pod_monitor_finds_the_pods_of_ledgers() -> None:
    """By the label and the port that the operator gives them."""
    spec = yaml.safe_load((LEDGERS / "pod_monitor.yaml").read_text())["spec"]
    assert spec["selector"]["matchLabels"] == {"chaffinch.dev/component": "service"}
    assert [each["port"] for each in spec["podMetricsEndpoints"]] == ["admin"]
