"""As whom `plan`, `backtest` and `report` ask Prometheus: by the spec's Secret, or by what the command line says."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import Result

from chaffinch_operator.errors import Refused
from chaffinch_operator.resources import SECRETS
from support.fake_prometheus import EMPTY, FakePrometheus
from unit.cli import builders
from unit.cli.conftest import Run
from unit.cli.fakes import FakeCluster

BACKTEST = ("backtest", "-f", "FILE", "--from", "35m")
REPORT = ("report", "checkout", "-o", "PAGE")
PLAN = ("plan", "checkout")
COMMANDS = {"backtest": BACKTEST, "report": REPORT, "plan": PLAN, "plan of a file": ("plan", "-f", "FILE")}
GATES = [{"name": "errors", "ratio": {"bad": "bad_total", "total": "all_total"}}]


@pytest.fixture
def prometheus() -> Iterator[FakePrometheus]:
    """A server that remembers how it was asked."""
    with FakePrometheus() as server:
        server.answer("shop", EMPTY)
        yield server


def spec(address: str) -> dict[str, Any]:
    """With a Secret and a tenant."""
    provider = {
        "address": address,
        "authSecretRef": {"name": "prom"},
        "headers": [{"name": "X-Scope-OrgID", "value": "shop"}],
    }
    return builders.spec(analysis={"interval": "1m", "provider": {"prometheus": provider}, "gates": GATES})


def rollout(address: str) -> dict[str, Any]:
    """One whose canary was looked at, without counts that `plan` could use."""
    times = {"analysisStartedAt": builders.ago(minutes=10), "intervalEnd": builders.ago(minutes=2)}
    return builders.rollout(spec=spec(address), status=builders.rejected(**times))


def secret(**data: str) -> dict[str, Any]:
    """The Secret that the spec names."""
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    return {"metadata": {"name": "prom", "namespace": "shop"}, "data": encoded}


def asked(run: Run, cluster: FakeCluster, address: str, command: str, tmp_path: Path, *more: str) -> Result:
    """Run a command whose spec has this address."""
    file = tmp_path / "rollout.yaml"
    file.write_text(yaml.safe_dump(builders.rollout(spec=spec(address))))
    places = {"FILE": str(file), "PAGE": str(tmp_path / "page.html")}
    return run(cluster, *(places.get(word, word) for word in COMMANDS[command]), *more)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_secret_and_the_headers_of_the_spec_are_used(
    run: Run, prometheus: FakePrometheus, tmp_path: Path, command: str
) -> None:
    """As the operator does; nothing of the Secret is printed."""
    address = prometheus.address("shop")
    cluster = FakeCluster(rollout(address))
    cluster.put(SECRETS, secret(token="s3cr3t\n"))
    done = asked(run, cluster, address, command, tmp_path)
    assert prometheus.headers["authorization"] == "Bearer s3cr3t"
    assert prometheus.headers["x-scope-orgid"] == "shop"
    assert "s3cr3t" not in done.stdout + done.stderr


PROBLEMS: dict[str, tuple[Refused | None, dict[str, str] | None, str]] = {
    "forbidden": (Refused(403, "Forbidden", "secrets is forbidden"), None, "you may not read Secret shop/prom"),
    "absent": (None, None, "there is no Secret shop/prom"),
    "half of a pair": (None, {"username": "me"}, "Secret shop/prom has username but no password"),
    "no certificate": (None, {"tls.crt": "x", "tls.key": "y"}, "Secret shop/prom has keys for TLS, but"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_secret_that_cannot_be_used_is_named_with_the_way_out(
    run: Run, prometheus: FakePrometheus, tmp_path: Path, command: str, problem: str
) -> None:
    """Prometheus is not asked without it; `report` still writes the evidence that the status has."""
    raised, data, said = PROBLEMS[problem]
    address = prometheus.address("shop")
    cluster = FakeCluster(rollout(address))
    if raised:
        cluster.raises["get", "secrets"] = raised
    if data:
        cluster.put(SECRETS, secret(**data))
    done = asked(run, cluster, address, command, tmp_path)
    assert done.exit_code == (0 if command == "report" else 1)
    assert said in done.stderr
    assert "--token-file FILE" in done.stderr
    assert not prometheus.asked


@pytest.mark.parametrize("command", COMMANDS)
def test_a_token_in_a_file_stands_in_for_the_secret(
    run: Run, prometheus: FakePrometheus, tmp_path: Path, command: str
) -> None:
    """For who may not read it; it is not even tried."""
    address = prometheus.address("shop")
    cluster = FakeCluster(rollout(address))
    cluster.raises["get", "secrets"] = Refused(403, "Forbidden", "secrets is forbidden")
    token = tmp_path / "token"
    token.write_text("mine\n")
    done = asked(run, cluster, address, command, tmp_path, "--token-file", str(token))
    assert prometheus.headers["authorization"] == "Bearer mine"
    assert prometheus.headers["x-scope-orgid"] == "shop"
    assert "Secret" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_named_by_hand_never_gets_the_secret(
    run: Run, prometheus: FakePrometheus, tmp_path: Path, command: str
) -> None:
    """It was made for another one."""
    cluster = FakeCluster(rollout("https://prometheus.example"))
    cluster.put(SECRETS, secret(token="s3cr3t"))
    named = ("--prometheus", prometheus.address("shop"))
    asked(run, cluster, "https://prometheus.example", command, tmp_path, *named)
    assert prometheus.asked["shop"]
    assert "authorization" not in prometheus.headers


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        (None, (), "cannot read --token-file"),
        ("", (), "holds no token"),
        ("two words", (), "holds no token"),
        ("good", ("--header", "authorization: Basic x"), "both say who asks"),
    ],
)
def test_a_token_file_that_makes_no_sense_is_refused(
    run: Run, tmp_path: Path, text: str | None, more: tuple[str, ...], said: str
) -> None:
    """Before anything is asked."""
    path = tmp_path / "token"
    if text is not None:
        path.write_text(text)
    done = run(FakeCluster(rollout("http://127.0.0.1:1")), "plan", "checkout", "--token-file", str(path), *more)
    assert (done.exit_code, said in " ".join(done.stderr.split())) == (2, True), done.stderr
