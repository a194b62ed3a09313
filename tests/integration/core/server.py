"""What the tests of the core share: kubectl as users run it, builders of objects, waiting with a deadline."""

import asyncio
import json
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

Object = dict[str, Any]
OPERATOR = "system:serviceaccount:chaffinch-system:chaffinch-operator"
SECONDS = 60.0
POLL_SECONDS = 0.05
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """What kubectl said."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Kubectl:
    """Kubectl of one user in one namespace."""

    program: Path
    kubeconfig: Path
    namespace: str

    def __call__(self, *arguments: str, given: Object | None = None) -> Answer:
        """Run it; `given` is an object on standard input."""
        done = subprocess.run(
            [self.program, f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}", *arguments],
            text=True,
            capture_output=True,
            check=False,
            timeout=SECONDS,
            input=json.dumps(given) if given else "",
        )
        return Answer(done.returncode, done.stdout + done.stderr)

    def apply(self, obj: Object, *flags: str) -> Answer:
        """Apply an object."""
        return self("apply", *flags, "-f", "-", given=obj)

    def diff(self, obj: Object, *flags: str) -> Answer:
        """Compare an object with the live one: code 0 is no difference."""
        return self("diff", *flags, "-f", "-", given=obj)


async def until(look: Callable[[], Awaitable[T]], seconds: float = SECONDS) -> T:
    """Look again and again until what is seen is true; return it. TimeoutError shows what was seen last."""
    end = time.monotonic() + seconds
    while not (seen := await look()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s; last seen: {seen}")
        await asyncio.sleep(POLL_SECONDS)
    return seen


def deployment(name: str = "web", version: str = "1", **spec: Any) -> Object:
    """A Deployment as a user writes it."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            **spec,
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": "app", "env": [{"name": "V", "value": version}]}]},
            },
        },
    }


def service(name: str = "web", port: int = 8080, app: str = "web") -> Object:
    """A Service as a user writes it."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": app}, "ports": [{"port": 80, "targetPort": port}]},
    }


def rollout(name: str = "web", target: str = "web") -> Object:
    """A small CanaryRollout that needs no Gateway and no Prometheus."""
    return {
        "apiVersion": "chaffinch.dev/v1alpha1",
        "kind": "CanaryRollout",
        "metadata": {"name": name},
        "spec": {
            "targetRef": {"name": target},
            "serviceRef": {"name": target, "port": 80},
            "trafficRouting": {"replicas": {}},
            "analysis": {"gates": [{"name": "restarts", "podRestarts": {"max": 2}}]},
        },
    }


def in_namespace(obj: Object, namespace: str) -> Object:
    """The same object with its namespace, as `kube.Kube` wants it."""
    return {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}
