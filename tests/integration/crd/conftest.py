"""One real API server with everything of manifests/overlays/default, for all tests of the API surface."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.apiserver import ApiServer, available
from support.crd import wait_established

ROOT = Path(__file__).parents[3]
OPERATOR = "system:serviceaccount:chaffinch-system:chaffinch-operator"


@dataclass(frozen=True, slots=True)
class Answer:
    """What kubectl said."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Kubectl:
    """Run kubectl as one user."""

    program: Path
    kubeconfig: Path

    def __call__(self, *arguments: str | Path, given: Mapping[str, Any] | None = None) -> Answer:
        """Run it; `given` is an object on standard input."""
        done = subprocess.run(
            [self.program, "--kubeconfig", self.kubeconfig, *arguments],
            text=True,
            capture_output=True,
            check=False,
            timeout=60,
            input=None if given is None else json.dumps(given),
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def json(self, *arguments: str | Path, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Run it with -o json and parse the answer; fail with what it said otherwise."""
        answer = self(*arguments, "-o", "json", given=given)
        assert answer.code == 0, answer.err
        parsed: dict[str, Any] = json.loads(answer.out)
        return parsed


@pytest.fixture(scope="session")
def api() -> Iterator[ApiServer]:
    """An API server of our own."""
    if not available():
        pytest.skip("no etcd and kube-apiserver: make cluster-build")
    with ApiServer() as server:
        yield server


@pytest.fixture(scope="session")
def installed(api: ApiServer) -> Answer:
    """What the one documented command of installing said."""
    kubectl = Kubectl(api.kubectl, api.kubeconfig)
    answer = kubectl("apply", "--server-side", "-k", ROOT / "manifests/overlays/default")
    wait_established(lambda *asked: kubectl(*asked).out)
    return answer


@pytest.fixture(scope="session")
def kubectl(api: ApiServer, installed: Answer) -> Kubectl:
    """Kubectl of an administrator on a server where Chaffinch is installed."""
    assert installed.code == 0, installed.err
    return Kubectl(api.kubectl, api.kubeconfig)


@pytest.fixture(scope="session")
def as_operator(api: ApiServer, kubectl: Kubectl) -> Kubectl:
    """Kubectl with exactly the operator's rights."""
    groups = ["system:serviceaccounts", "system:serviceaccounts:chaffinch-system", "system:authenticated"]
    return Kubectl(kubectl.program, api.kubeconfig_for(OPERATOR, groups))
