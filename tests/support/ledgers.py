"""A CreditsLedger for tests: the sample, as a user applies it, and a client of it in a pod beside it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster import Access
from cluster.deadline import wait_until
from support.kubectl import Kubectl, Object
from support.operator import REPOSITORY, Operator

SAMPLE = REPOSITORY / "manifests" / "samples" / "credits.yaml"
NAME = "api-credits"
IMAGE, POSTGRES = "localhost/chaffinch:dev", "localhost/chaffinch-postgres:dev"
NEXT = "localhost/chaffinch:next"
KIND = "creditsledgers.chaffinch.dev"
_CLIENT = Path(__file__).with_name("ledger_client.py")
_SECONDS = 180.0


def build_images(access: Access, *services: str) -> None:
    """Build the service under each of these names, and PostgreSQL, unless they are there."""
    for tag in services:
        access.build_image(REPOSITORY / "Containerfile", tag, REPOSITORY)
        access.load_image(tag)
    folder = REPOSITORY / "containers" / "postgres"
    access.build_image(folder / "Containerfile", POSTGRES, folder)
    access.load_image(POSTGRES)


def operator_of(access: Access, namespaces: list[str], image: str = IMAGE) -> Operator:
    """An operator whose ledgers run this image."""
    environ = {"CHAFFINCH_CREDITS_IMAGE": image, "CHAFFINCH_POSTGRES_IMAGE": POSTGRES}
    return Operator(access, namespaces, environ=environ)


class Ledger:
    """One CreditsLedger in a namespace of its own."""

    def __init__(self, kubectl: Kubectl, namespace: str, name: str = NAME) -> None:
        self.kubectl, self.namespace, self.name = kubectl, namespace, name

    def apply_sample(self) -> None:
        """As the docs say."""
        self.kubectl("apply", "--server-side", f"--namespace={self.namespace}", f"--filename={SAMPLE}")

    def body(self) -> Object:
        """The object; empty when there is none."""
        return self.kubectl.get(KIND, self.name, self.namespace) or {}

    def status(self) -> Object:
        """Its status."""
        found: Object = self.body().get("status") or {}
        return found

    def reason(self) -> str:
        """Why it is in the state it is in."""
        return str((self.status().get("lastDecision") or {}).get("reason", ""))

    def wait_reason(self, reason: str, seconds: float = 60.0) -> Object:
        """Wait for a reason about the present generation; the status then."""

        def reached() -> bool:
            body = self.body()
            status = body.get("status") or {}
            seen = status.get("observedGeneration") == body.get("metadata", {}).get("generation")
            return bool(seen and (status.get("lastDecision") or {}).get("reason") == reason)

        wait_until(reached, f"{self.name} to be {reason}", seconds=seconds, explain=self.now)
        return self.status()

    def wait_ready(self, image: str = IMAGE, seconds: float = _SECONDS) -> Object:
        """Wait until it serves this image; the status then."""
        wait_until(
            lambda: self.status().get("image") == image and self.reason() == "Serving",
            f"{self.name} to serve {image}",
            seconds=seconds,
            explain=self.now,
        )
        return self.wait_reason("Serving")

    def backup_reason(self) -> str:
        """Of its condition BackupHealthy."""
        found = self.status().get("conditions") or ()
        return next((str(each["reason"]) for each in found if each["type"] == "BackupHealthy"), "")

    def now(self) -> str:
        """What the operator found last, for the messages of tests."""
        status = self.status()
        said = [each["message"] for each in status.get("conditions") or () if each["type"] == "BackupHealthy"]
        return f"{status.get('lastDecision')} {said}"

    def patch(self, spec: Object) -> None:
        """Change the spec."""
        change = json.dumps({"spec": spec})
        self.kubectl("patch", f"--namespace={self.namespace}", KIND, self.name, "--type=merge", f"--patch={change}")

    def count_pods(self) -> int:
        """Pods of the service, those that end included."""
        mine = f"--selector=chaffinch.dev/ledger={self.name},chaffinch.dev/component=service"
        return len(self.kubectl("get", "pods", f"--namespace={self.namespace}", mine, "--output=name").split())

    # its client

    def start_client(self) -> None:
        """A pod that can be asked to ask."""
        meta = {"name": "client", "namespace": self.namespace}
        config = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": meta,
            "data": {_CLIENT.name: _CLIENT.read_text()},
        }
        self.kubectl.apply(config, self._pod("client", ["sleep", "infinity"]))
        self.kubectl.wait("condition=Ready", "pod/client", self.namespace, seconds=60)

    def ask(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> tuple[int, Any]:
        """Status and answer of one request, from within the namespace."""
        text = [json.dumps(body)] if body is not None else []
        other = [f"OTHER_KEY={key}"] if key is not None else []
        command = ["env", *other, "python", f"/client/{_CLIENT.name}", "ask", method, path, *text]
        said = json.loads(self.kubectl("exec", f"--namespace={self.namespace}", "client", "--", *command))
        return said["status"], said["body"]

    def verify(self, key: str) -> tuple[int, str]:
        """Exit status and words of the verifier, which runs beside the service and reads the database's rows."""
        command = f"chaffinch-credits verify {self.name} --key '{key}'; echo \"status $?\""
        said = self.kubectl("exec", f"--namespace={self.namespace}", f"deploy/{self.name}", "--", "sh", "-c", command)
        words, _, status = said.rpartition("status ")
        return int(status), words.strip()

    def as_superuser(self, statement: str) -> str:
        """SQL in the database's pod, past every right and trigger that the service has to live with."""
        psql = (
            "psql",
            "--username=postgres",
            "--dbname=credits",
            "--no-psqlrc",
            "--tuples-only",
            "--no-align",
            "--quiet",
        )
        pod = f"{self.name}-postgres-0"
        return self.kubectl(
            "exec", f"--namespace={self.namespace}", pod, "--", *psql, "--set=ON_ERROR_STOP=1", f"--command={statement}"
        ).strip()

    @contextmanager
    def load(self) -> Iterator["LoadPod"]:
        """Steady load while the block runs."""
        pod = LoadPod(self)
        self.kubectl.apply(self._pod("load", ["python", f"/client/{_CLIENT.name}", "load"]))
        try:
            wait_until(lambda: pod.counts()["done"] > 0, "the first transfer", seconds=60)
            yield pod
        finally:
            self.kubectl.delete("pod", "load", self.namespace, seconds=30)

    def _pod(self, name: str, command: list[str]) -> Object:
        key = {"secretKeyRef": {"name": f"{self.name}-keys", "key": "admin"}}
        env = {"URL": f"https://{self.name}.{self.namespace}.svc", "LEDGER": self.name, "CA": "/tls/ca.crt"}
        volumes = [
            {"name": "client", "configMap": {"name": "client"}},
            {
                "name": "tls",
                "secret": {"secretName": f"{self.name}-tls", "items": [{"key": "ca.crt", "path": "ca.crt"}]},
            },
        ]
        container = {
            "name": name,
            "image": IMAGE,
            "command": command,
            "env": [*({"name": k, "value": v} for k, v in env.items()), {"name": "API_KEY", "valueFrom": key}],
            "volumeMounts": [{"name": v["name"], "mountPath": f"/{v['name']}"} for v in volumes],
        }
        spec = {
            "containers": [container],
            "volumes": volumes,
            "terminationGracePeriodSeconds": 5,
            "enableServiceLinks": False,
            "automountServiceAccountToken": False,
        }
        meta = {"name": name, "namespace": self.namespace}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


class LoadPod:
    """Steady load, as its pod tells of it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def said(self) -> str:
        """Its last line."""
        where = f"--namespace={self._ledger.namespace}"
        return self._ledger.kubectl("logs", where, "load", "--tail=1", "--ignore-errors").strip()

    def counts(self) -> dict[str, Any]:
        """Requests done, refused with Retry-After, and failed so far."""
        line = self.said() if self._started() else ""
        found: dict[str, Any] = json.loads(line) if line.startswith("{") else {"done": 0, "failed": 0, "refused": 0}
        return found

    def _started(self) -> bool:
        pod = self._ledger.kubectl.get("pod", "load", self._ledger.namespace) or {}
        phase = (pod.get("status") or {}).get("phase")
        assert phase != "Failed", self.said()
        return phase == "Running"
