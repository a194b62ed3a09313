"""The operator as a process of its own on this machine, in the cluster's network, with the rights of its manifests.

It runs beside the operators of other test sessions: each has its own Lease and its own list of namespaces.
"""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

import yaml

from cluster import Access
from support.crd import wait_established
from support.kubectl import Kubectl, Object

REPOSITORY = Path(__file__).resolve().parents[2]
NAMESPACE = "chaffinch-system"
ACCOUNT = "chaffinch-operator"
CRD = "canaryrollouts.chaffinch.dev"
_DEPLOYMENT = "deployment/chaffinch-operator"
_READY_SECONDS = 60.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.2
_FETCH = (
    "import sys, urllib.request, urllib.error\n"
    "try: answer = urllib.request.urlopen(sys.argv[1], timeout=5)\n"
    "except urllib.error.HTTPError as error: answer = error\n"
    "print(answer.status, answer.read().decode(), end='')\n"
)


def install(kubectl: Kubectl) -> None:
    """CRDs, namespace, account and rights from the manifests; not the Deployment."""
    kubectl.apply_folder(str(REPOSITORY / "crds"))
    wait_established(kubectl)
    found = yaml.safe_load_all(kubectl("kustomize", str(REPOSITORY / "manifests" / "base")))
    kubectl.apply(*(o for o in found if o["kind"] not in {"Deployment", "Service"}), *_lease_rights())


def _lease_rights() -> tuple[Object, Object]:
    """The manifests name the one Lease there is; tests have Leases of their own."""
    meta = {"name": "chaffinch-test-leases", "namespace": NAMESPACE}
    rule = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "watch", "update"]}
    account = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": meta["name"]}
    version = "rbac.authorization.k8s.io/v1"
    return (
        {"apiVersion": version, "kind": "Role", "metadata": meta, "rules": [rule]},
        {"apiVersion": version, "kind": "RoleBinding", "metadata": meta, "roleRef": role, "subjects": [account]},
    )


@contextlib.contextmanager
def without_deployed_operator(kubectl: Kubectl) -> Iterator[None]:
    """Scale an operator that runs in the cluster to zero, and back at the end."""
    body = kubectl.get("deployment", "chaffinch-operator", NAMESPACE)
    replicas = int(body["spec"]["replicas"]) if body else 0
    if not replicas:
        yield
        return
    kubectl("scale", f"--namespace={NAMESPACE}", _DEPLOYMENT, "--replicas=0")
    try:
        kubectl(
            "wait",
            f"--namespace={NAMESPACE}",
            "--for=delete",
            "pod",
            "--selector=app.kubernetes.io/name=chaffinch-operator",
            "--timeout=60s",
            seconds=70,
        )
        yield
    finally:
        kubectl("scale", f"--namespace={NAMESPACE}", _DEPLOYMENT, f"--replicas={replicas}")


class Operator:
    """One operator. It may be killed and started again; its log goes on."""

    def __init__(self, access: Access, namespaces: Sequence[str], *, environ: Mapping[str, str] | None = None) -> None:
        self._access, self._kubectl = access, Kubectl(access)
        self.namespaces = tuple(namespaces)
        self._folder = Path(tempfile.mkdtemp(prefix="chaffinch-operator-"))
        self._log_file = self._folder / "log"
        self._environ = {
            "KUBECONFIG": str(self._folder / "kubeconfig"),
            "CHAFFINCH_LEASE_NAME": f"test-{secrets.token_hex(4)}",
            "CHAFFINCH_WATCH_NAMESPACES": ",".join(namespaces),
            "CHAFFINCH_HTTP_HOST": "127.0.0.1",
            "CHAFFINCH_HTTP_PORT": "0",
            **(environ or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._log_start = 0

    def start(self) -> Self:
        """Start it; returns at once."""
        assert not self.alive, "it runs already"
        file = Path(self._environ["KUBECONFIG"])
        if not file.exists():
            file.write_text(json.dumps(kubeconfig(self._kubectl)))
            file.chmod(0o600)
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("CHAFFINCH_", "POD_"))}
        paths = os.pathsep.join(str(REPOSITORY / part) for part in ("operator", "services"))
        self._output = self._log_file.open("ab")
        self._log_start = self._output.tell()
        self._process = subprocess.Popen(
            [*_dies_with_us(), *self._access.command_prefix, sys.executable, "-m", "chaffinch_operator"],
            env={**environ, **self._environ, "PYTHONPATH": paths},
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        return self

    def wait_ready(self, seconds: float = _READY_SECONDS) -> Self:
        """Return once it leads and /readyz says so."""
        end, said = time.monotonic() + seconds, "nothing"
        while time.monotonic() < end:
            if not self.alive:
                raise AssertionError(f"the operator ended with status {self.exit_status}:\n{self.tail()}")
            status, said = self.fetch("/readyz") if self.port else (0, said)
            if status == 200 and said.startswith("leader"):
                return self
            time.sleep(_POLL_SECONDS)
        raise AssertionError(f"the operator is not ready after {seconds:.0f} s; /readyz: {said}\n{self.tail()}")

    def fetch(self, path: str) -> tuple[int, str]:
        """Status and text of one of its HTTP endpoints; (0, reason) when it does not answer."""
        command = [*self._access.command_prefix, sys.executable, "-c", _FETCH, f"http://127.0.0.1:{self.port}{path}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=15, check=False)
        if done.returncode:
            return 0, done.stderr.strip().rpartition("\n")[2]
        status, _, text = done.stdout.partition(" ")
        return int(status), text

    def kill(self) -> None:
        """SIGKILL: no Lease is given back, nothing is finished."""
        self._end(kill=True)

    def terminate(self) -> int:
        """SIGTERM, as kubelet does; the exit status."""
        self._end(kill=False)
        return self.exit_status if self.exit_status is not None else -1

    def remove(self) -> None:
        """End it and remove its files."""
        self._end(kill=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_status(self) -> int | None:
        """Exit status of the process that ran last."""
        return self._process.poll() if self._process else None

    @property
    def process_id(self) -> int:
        """Id of the process that was started last."""
        assert self._process is not None
        return self._process.pid

    @property
    def lease_name(self) -> str:
        """Name of its Lease in chaffinch-system."""
        return self._environ["CHAFFINCH_LEASE_NAME"]

    @property
    def port(self) -> int:
        """Port of its HTTP endpoints on loopback in the cluster's network; 0 until it listens."""
        started = [e for e in self.events(since=self._log_start) if e.get("event") == "operator_started"]
        return int(started[-1]["port"]) if started else 0

    def log(self) -> str:
        """All it has written, also before a restart."""
        return self._log_file.read_text(errors="replace") if self._log_file.exists() else ""

    def events(self, since: int = 0) -> list[dict[str, Any]]:
        """The log's lines as data, from a byte offset on; what is no JSON is left out."""
        found = []
        for line in self.log().encode()[since:].decode(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return [e for e in found if isinstance(e, dict)]

    def tail(self, lines: int = 25) -> str:
        """The end of the log, for messages."""
        return "\n".join(line[:600] for line in self.log().splitlines()[-lines:])

    def _end(self, *, kill: bool) -> None:
        process = self._process
        if process is None:
            return
        (process.kill if kill else process.terminate)()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"no end on SIGTERM in {_STOP_SECONDS:.0f} s:\n{self.tail()}") from None
        finally:
            if self._output is not None:
                self._output.close()


def kubeconfig(kubectl: Kubectl) -> Object:
    """The administrator's, with a token of the operator's account in place of its credentials."""
    view = json.loads(kubectl("config", "view", "--minify", "--raw", "--output=json"))
    token = kubectl("create", "token", ACCOUNT, f"--namespace={NAMESPACE}", "--duration=4h").strip()
    context = {"cluster": view["clusters"][0]["name"], "user": "operator"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": view["clusters"],
        "current-context": "test",
        "users": [{"name": "operator", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": context}],
    }


def _dies_with_us() -> list[str]:
    """A prefix by which a process ends when its parent does, however that happens."""
    return ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
