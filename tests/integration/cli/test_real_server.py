"""The plugin as a program against a real API server: status, actions, errors and clean-up."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chaffinch_operator.canary import hold
from cluster.apiserver import ApiServer, available
from support.crd import wait_established
from unit.cli.builders import rollout, status

pytestmark = pytest.mark.apiserver

_ROOT = Path(__file__).parents[3]
_SOURCES = os.pathsep.join(str(_ROOT / root) for root in ("operator", "services"))
_ACTION = "chaffinch.dev/action"
_HASH = "6c5d4f7b9"
_DEADLINE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Server:
    """A real API server and the two programs that speak to it."""

    api: ApiServer
    before_install: subprocess.CompletedProcess[str]

    def kubectl(self, *args: str, given: Any = None) -> str:
        """Run kubectl; fail with what it says."""
        done = subprocess.run(
            [self.api.kubectl, "--kubeconfig", self.api.kubeconfig, *args],
            capture_output=True,
            text=True,
            check=False,
            input=None if given is None else json.dumps(given),
            timeout=_DEADLINE_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def read(self, *args: str) -> dict[str, Any]:
        """An object as it is now."""
        obj: dict[str, Any] = json.loads(self.kubectl("get", *args, "-o", "json"))
        return obj

    def plugin(self, *args: str, kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run the plugin to its end."""
        return _plugin(kubeconfig or self.api.kubeconfig, *args)

    def create(self, name: str, namespace: str, with_status: dict[str, Any], **meta: Any) -> None:
        """A CanaryRollout with a status, in a namespace of its own."""
        self.kubectl("create", "namespace", namespace)
        obj = rollout(name, namespace, **meta)
        for given_by_server in ("creationTimestamp", "generation"):
            del obj["metadata"][given_by_server]
        self.kubectl("create", "-f", "-", given=obj)
        self.set_status(name, namespace, with_status)

    def set_status(self, name: str, namespace: str, values: dict[str, Any]) -> None:
        """What an operator would write."""
        self.kubectl(
            "patch",
            "canaryrollout",
            name,
            "-n",
            namespace,
            "--subresource=status",
            "--type=merge",
            "-p",
            json.dumps({"status": values}),
        )


def _command(kubeconfig: Path, *args: str) -> list[str]:
    return [sys.executable, "-m", "chaffinch_operator.cli", "--kubeconfig", str(kubeconfig), *args]


def _plugin(kubeconfig: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(kubeconfig, *args),
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
        env={**os.environ, "PYTHONPATH": _SOURCES},
    )


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """An API server with the CRD and the hold's policies; the plugin is asked once before they are there."""
    if not available():
        pytest.skip("no etcd and kube-apiserver: make cluster-build")
    with ApiServer() as api:
        made = Server(api, _plugin(api.kubeconfig, "status"))
        made.kubectl("apply", "--server-side", "-f", str(_ROOT / "crds" / "chaffinch.dev_canaryrollouts.yaml"))
        wait_established(made.kubectl)
        uid = made.read("crd", "canaryrollouts.chaffinch.dev")["metadata"]["uid"]
        for resource, obj in hold.objects("system:serviceaccount:chaffinch-system:chaffinch-operator", uid):
            body = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
            made.kubectl("apply", "--server-side", "-f", "-", given=body)
        yield made


def test_without_the_crd_it_says_that_chaffinch_is_not_installed(server: Server) -> None:
    """And how to go on."""
    done = server.before_install
    assert done.returncode == 1
    assert "Chaffinch is not installed there" in done.stderr


def test_status_shows_what_the_server_stored(server: Server) -> None:
    """The whole status survives the schema, the client and the plugin."""
    server.create("checkout", "stored", status(), finalizers=["chaffinch.dev/finalizer"])
    shown = json.loads(server.plugin("status", "checkout", "-n", "stored", "-o", "json").stdout)
    assert shown["status"] == server.read("canaryrollout", "checkout", "-n", "stored")["status"]
    assert [gate["name"] for gate in shown["computed"]["gates"]] == ["errors", "slow", "slo", "split", "restarts"]
    assert shown["computed"]["notUnderstood"] == []


def test_a_typo_and_a_stranger_get_words(server: Server) -> None:
    """Not found names what is there; forbidden names who was refused."""
    server.create("checkout", "errors", status())
    typo = server.plugin("status", "chekout", "-n", "errors")
    assert (typo.returncode, "did you mean checkout?" in typo.stderr) == (1, True)
    stranger = server.plugin("abort", "checkout", "-n", "errors", kubeconfig=server.api.kubeconfig_for("eve"))
    assert stranger.returncode == 1
    assert stranger.stderr.startswith("error: forbidden: ")
    assert 'User "eve" cannot get resource' in stranger.stderr
    assert "Traceback" not in stranger.stderr


def test_an_action_is_answered_through_the_status(server: Server) -> None:
    """The annotation reaches the operator, its answer reaches the person."""
    server.create("checkout", "actions", status())
    asked = subprocess.Popen(
        _command(server.api.kubeconfig, "abort", "checkout", "-n", "actions", "--timeout", "30"),
        text=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": _SOURCES},
    )
    token = _asked_for(server, "actions")
    answer = {"token": token, "accepted": True, "message": "rolling back"}
    server.set_status("checkout", "actions", {"lastAction": answer})
    out, _ = asked.communicate(timeout=60)
    assert (asked.returncode, out) == (0, "actions/checkout: abort accepted. rolling back\n")
    assert token.startswith("abort@")


def _asked_for(server: Server, namespace: str) -> str:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while time.monotonic() < deadline:
        annotations = server.read("canaryrollout", "checkout", "-n", namespace)["metadata"].get("annotations", {})
        if _ACTION in annotations:
            return str(annotations[_ACTION])
        time.sleep(0.2)
    raise AssertionError("the annotation was never written")


def test_on_a_terminal_the_screen_is_redrawn_until_interrupted(server: Server) -> None:
    """With colours and cursor movements; Ctrl-C ends it without a traceback."""
    server.create("checkout", "watched", status())
    ours, theirs = pty.openpty()
    watching = subprocess.Popen(
        _command(server.api.kubeconfig, "status", "checkout", "-n", "watched", "-w"),
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": _SOURCES, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "40"},
    )
    os.close(theirs)
    shown = _read_until(ours, b"Shift", 2)
    watching.send_signal(signal.SIGINT)
    shown += _read_until(ours, b"\x1b[?25h", 1)
    assert watching.wait(timeout=30) == 130
    os.close(ours)
    assert b"\x1b[1A" in shown
    assert b"\x1b[1;36mAnalyzing" in shown
    assert b"Traceback" not in shown


def _read_until(terminal: int, text: bytes, times: int) -> bytes:
    """What the program shows, up to some text; the terminal ends with the program."""
    shown, deadline = b"", time.monotonic() + _DEADLINE_SECONDS
    while shown.count(text) < times and time.monotonic() < deadline:
        if select.select([terminal], [], [], 1.0)[0]:
            shown += os.read(terminal, 65536)
    return shown


def test_cleanup_lets_a_rollout_go_whose_operator_is_gone(server: Server) -> None:
    """With the hold's policies in force: Service restored, canary away, finalizer off, hold ended, nothing released."""
    _abandon(server, "left")
    done = server.plugin("cleanup", "checkout", "-n", "left", "--yes")
    assert done.returncode == 0, done.stderr
    service = server.read("service", "checkout", "-n", "left")
    assert service["spec"]["selector"] == {"app": "checkout"}
    assert server.read("deployments", "-n", "left")["items"][0]["metadata"]["name"] == "checkout"
    assert server.read("deployment", "checkout", "-n", "left")["spec"]["paused"] is True
    assert server.kubectl("get", "canaryrollouts", "-n", "left", "-o", "name") == ""
    assert "chaffinch.dev/hold" not in server.read("namespace", "left")["metadata"]["labels"]
    server.kubectl("rollout", "resume", "deployment/checkout", "-n", "left")


def _abandon(server: Server, namespace: str) -> None:
    """Leave behind what an operator had made, with its CanaryRollout waiting for a finalizer nobody removes."""
    server.create("checkout", namespace, status(isolatedHash=_HASH), finalizers=["chaffinch.dev/finalizer"])
    server.kubectl("label", "namespace", namespace, "chaffinch.dev/hold=enabled")
    server.kubectl("create", "-f", "-", given=_deployment("checkout", namespace, {}))
    mine = {"chaffinch.dev/rollout": "checkout"}
    server.kubectl("create", "-f", "-", given=_deployment("checkout-canary", namespace, mine))
    server.kubectl(
        "create",
        "-f",
        "-",
        given={
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": "checkout",
                "namespace": namespace,
                "annotations": {"chaffinch.dev/isolated": "checkout"},
            },
            "spec": {"selector": {"app": "checkout"}, "ports": [{"port": 80}]},
        },
    )
    _wait_until_narrowed(server, namespace)
    server.kubectl("patch", "deployment", "checkout", "-n", namespace, "-p", json.dumps({"spec": {"paused": True}}))
    server.kubectl("delete", "canaryrollout", "checkout", "-n", namespace, "--wait=false")


def _wait_until_narrowed(server: Server, namespace: str) -> None:
    """The policy narrows the selector with the first write after it has noticed the status."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while time.monotonic() < deadline:
        server.kubectl("annotate", "service", "checkout", "-n", namespace, f"touched={time.monotonic()}", "--overwrite")
        if server.read("service", "checkout", "-n", namespace)["spec"]["selector"].get("pod-template-hash") == _HASH:
            return
        time.sleep(0.5)
    raise AssertionError("the policy never narrowed the Service's selector")


def _deployment(name: str, namespace: str, labels: dict[str, str]) -> dict[str, Any]:
    pods = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "selector": {"matchLabels": pods},
            "template": {"metadata": {"labels": pods}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}},
        },
    }
