"""What Alertmanager is told to deliver arrives: route, Service, port and token belong together."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from chaffinch_operator.canary.matchers import parse
from chaffinch_operator.settings import Settings

ROOT = Path(__file__).parents[3]
ALERTS = ROOT / "manifests/components/alerts"
DEPLOYMENT = yaml.safe_load((ROOT / "manifests/base/deployment.yaml").read_text())
SERVICE = yaml.safe_load((ROOT / "manifests/base/service.yaml").read_text())
PLAIN = yaml.safe_load((ALERTS / "alertmanager.yml").read_text())
OPERATOR = yaml.safe_load((ALERTS / "alertmanager_config.yaml").read_text())


def container() -> dict[str, Any]:
    """The operator's container."""
    (found,) = DEPLOYMENT["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_service_and_container_have_the_receivers_port() -> None:
    """By name from Service to container, by number to the setting's default."""
    port = next(p for p in SERVICE["spec"]["ports"] if p["name"] == "alerts")
    ports = {p["name"]: p["containerPort"] for p in container()["ports"]}
    assert port["port"] == ports[port["targetPort"]] == Settings().alerts_port


def test_the_token_is_read_from_an_optional_secret() -> None:
    """Without it the operator starts all the same."""
    settings = Settings.from_env({e["name"]: e["value"] for e in container()["env"] if "value" in e})
    mounts = {m["mountPath"]: m["name"] for m in container()["volumeMounts"]}
    volumes = {v["name"]: v for v in DEPLOYMENT["spec"]["template"]["spec"]["volumes"]}
    folder, _, key = settings.alerts_token_file.rpartition("/")
    assert key == "token"
    assert volumes[mounts[folder]]["secret"] == {"secretName": "chaffinch-alerts", "optional": True}


@pytest.mark.parametrize(
    "url",
    [
        PLAIN["receivers"][1]["webhook_configs"][0]["url"],
        OPERATOR["spec"]["receivers"][0]["webhookConfigs"][0]["url"],
    ],
)
def test_receivers_name_the_service(url: str) -> None:
    """Its name, namespace, port and path."""
    meta = SERVICE["metadata"]
    assert url == f"http://{meta['name']}.{meta['namespace']}:{Settings().alerts_port}/alerts"


def test_routes_lead_to_the_receiver_and_on() -> None:
    """People are told as before, and nobody waits."""
    (route,) = PLAIN["route"]["routes"]
    assert route["receiver"] in {r["name"] for r in PLAIN["receivers"]}
    assert (route["continue"], route["group_wait"]) == (True, "0s")
    assert [str(parse(m)) for m in route["matchers"]] == ['severity="critical"']
    assert OPERATOR["spec"]["route"]["groupWait"] == "0s"


def test_the_policy_lets_alertmanager_in() -> None:
    """Its namespace to the port, on the operator's pods."""
    policy = yaml.safe_load((ALERTS / "network_policy.yaml").read_text())["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= DEPLOYMENT["spec"]["template"]["metadata"]["labels"].items()
    names = {p["name"] for p in container()["ports"]}
    assert {rule["port"] for ingress in policy["ingress"] for rule in ingress["ports"]} == names
    patch = yaml.safe_load((ALERTS / "ask_alertmanager.yaml").read_text())
    (given,) = patch["spec"]["template"]["spec"]["containers"][0]["env"]
    assert Settings.from_env({given["name"]: given["value"]}).alertmanager_url


def test_the_local_cluster_has_one_token_on_both_sides() -> None:
    """Its Alertmanager sends the one that the operator's overlay for it brings."""
    overlay = yaml.safe_load((ROOT / "manifests/overlays/local/kustomization.yaml").read_text())
    objects = yaml.safe_load_all((ROOT / "tests/cluster/manifests/alertmanager.yaml").read_text())
    secret = next(o for o in objects if o["kind"] == "Secret")
    (ours,) = overlay["secretGenerator"]
    assert ours["name"] == secret["metadata"]["name"] == "chaffinch-alerts"
    assert ours["literals"] == [f"token={secret['stringData']['token']}"]
    assert ours["options"]["disableNameSuffixHash"]
