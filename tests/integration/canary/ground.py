"""An API server on which Chaffinch is installed but for the operator's Deployment, with a log of who wrote what."""

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from cluster.apiserver import ApiServer, available
from integration.core.processes import REAL, ROOT, Process, start
from integration.core.server import OPERATOR
from support.audit import AuditLog
from support.crd import wait_established

GROUPS = ("system:serviceaccounts", "system:serviceaccounts:chaffinch-system", "system:authenticated")


@dataclass(slots=True)
class Ground:
    """A server on which Chaffinch is installed but for the operator's Deployment."""

    api: ApiServer
    audit: AuditLog
    folder: Path
    started: list[Process] = field(default_factory=list)

    def kubectl(self, *arguments: str | Path, text: str = "") -> str:
        """Run kubectl as administrator."""
        command = [self.api.kubectl, "--kubeconfig", self.api.kubeconfig, *arguments]
        done = subprocess.run(command, input=text, text=True, check=False, capture_output=True, timeout=60)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    def _look(self, *arguments: str | Path) -> str:
        """The same, and nothing when it fails: kubectl does not find what a server that just started does not tell."""
        try:
            return self.kubectl(*arguments)
        except AssertionError:
            return ""

    def install(self) -> None:
        """CRDs, namespace, account, rights."""
        self.kubectl("apply", "--server-side", "-k", ROOT / "crds")
        wait_established(self._look)
        objects = yaml.safe_load_all(self.kubectl("kustomize", ROOT / "manifests/base"))
        self.kubectl(
            "apply",
            "--server-side",
            "-f",
            "-",
            text=yaml.safe_dump_all(o for o in objects if o["kind"] not in {"Deployment", "Service"}),
        )

    def operator(self, identity: str = "a", **settings: str) -> Process:
        """Start the operator."""
        kubeconfig = self.api.kubeconfig_for(OPERATOR, GROUPS)
        process = start(REAL, identity, kubeconfig, self.folder, {"POD_NAMESPACE": "chaffinch-system", **settings})
        self.started.append(process)
        return process

    def stop(self) -> None:
        """End what was started."""
        for process in self.started:
            process.popen.kill()
            process.popen.wait(10)


def ground(folder: Path, *flags: str, controllers: bool, controller_flags: Sequence[str] = ()) -> Iterator[Ground]:
    """An API server of our own with an audit log."""
    if not available():
        pytest.skip("no etcd and kube-apiserver: make cluster-build")
    audit = AuditLog(folder)
    with ApiServer(
        with_controller_manager=controllers, flags=(*audit.flags, *flags), controller_flags=controller_flags
    ) as api:
        made = Ground(api, audit, folder)
        made.install()
        try:
            yield made
        finally:
            made.stop()
