"""A real API server for integration tests: etcd and kube-apiserver on loopback, without root, ready in seconds.

    with ApiServer(with_controller_manager=True) as api:
        subprocess.run(["kubectl", "--kubeconfig", api.kubeconfig, "get", "namespaces"])

Like envtest for Go: no kubelet, so pods stay Pending. The binaries come from the cache that `python -m cluster build
k8s etcd tools` fills. Each server has its own folder, certificates and free ports, so several can run at once. Its
processes end with the `with` block, and also if the test process dies: each is watched over a pipe that the kernel
closes then.
"""

from __future__ import annotations

import http.client
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from cluster import pki
from cluster.build import Cache
from cluster.config import Config
from cluster.deadline import wait_until
from cluster.errors import ClusterError, NotReadyError
from cluster.pki import Authority, Identity

LOOPBACK = "127.0.0.1"
START_SECONDS = 60
CONTROLLER_SECONDS = 30
STOP_SECONDS = 10
START_ATTEMPTS = 3
LOG_TAIL_CHARACTERS = 2000
COMPONENTS = ("k8s", "etcd", "tools")

# Runs a command and kills it once our end of the pipe on its standard input closes, even if we die by SIGKILL. Not
# PR_SET_PDEATHSIG: that fires when the starting *thread* ends, and fixtures may start us in one.
WATCHED = (
    'exec 3<&0; "$@" 3<&- </dev/null & p=$!; { read -r _ <&3; kill -9 $p; } & w=$!; wait $p; s=$?; kill $w; exit $s'
)


def available(config: Config | None = None) -> bool:
    """Whether the binaries are built; tests skip themselves otherwise."""
    cache = Cache.of((config or Config.from_env()).cache)
    return all(cache.has(name) for name in COMPONENTS)


def kubectl_path(config: Config | None = None) -> Path:
    """The pinned kubectl from the cache."""
    return Cache.of((config or Config.from_env()).cache).program("tools", "kubectl")


def free_ports(count: int) -> list[int]:
    """Loopback ports that are free now; another process may still take one first, so callers try again."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for unbound in sockets:
            unbound.bind((LOOPBACK, 0))
        return [bound.getsockname()[1] for bound in sockets]


class ApiServer:
    """A context manager: starts on entry, stops and forgets everything on exit.

    `flags` are added to kube-apiserver's, later ones win; `folder` keeps the logs, a temporary one is removed.
    """

    def __init__(
        self,
        *,
        with_controller_manager: bool = False,
        flags: Sequence[str] = (),
        controller_flags: Sequence[str] = (),
        folder: Path | None = None,
        config: Config | None = None,
    ) -> None:
        self._cache = Cache.of((config or Config.from_env()).cache)
        self._with_controller_manager = with_controller_manager
        self._flags = tuple(flags)
        self._controller_flags = tuple(controller_flags)
        self._temporary = folder is None
        self.folder = folder or Path()
        self._processes: list[subprocess.Popen[bytes]] = []
        self.port = 0

    @property
    def url(self) -> str:
        """The address of the API server."""
        return f"https://{LOOPBACK}:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "admin.conf"

    @property
    def kubectl(self) -> Path:
        """The pinned kubectl."""
        return self._cache.program("tools", "kubectl")

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig for another user, to test what its roles allow."""
        identity = Identity(user.replace(":", "-"), user, tuple(groups))
        return Authority(self.folder, "ca").issue_kubeconfig(identity, self.url, "apiserver")

    def __enter__(self) -> Self:
        if self._temporary:
            self.folder = Path(tempfile.mkdtemp(prefix="chaffinch-apiserver-"))
        try:
            self._start_on_free_ports()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Kill the processes, newest first; the data is thrown away, so there is nothing to save."""
        for process in reversed(self._processes):
            if process.stdin:
                process.stdin.close()
            process.wait(STOP_SECONDS)
        self._processes.clear()
        if self._temporary and self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)

    def _start_on_free_ports(self) -> None:
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                self._start()
            except NotReadyError as error:
                if attempt == START_ATTEMPTS or "address already in use" not in str(error):
                    raise
                self._stop_keeping_folder()
            else:
                return

    def _stop_keeping_folder(self) -> None:
        temporary, self._temporary = self._temporary, False
        self.stop()
        self._temporary = temporary

    def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, client_port, peer_port = free_ports(3)
        self._spawn("etcd", self._etcd(client_port, peer_port))
        self._create_pki()
        self._spawn("kube-apiserver", self._apiserver(f"http://{LOOPBACK}:{client_port}"))
        wait_until(self._ready, "readiness of kube-apiserver", seconds=START_SECONDS, explain=self._log_tails)
        if self._with_controller_manager:
            self._spawn("kube-controller-manager", self._controller_manager())
            wait_until(self._controllers_work, "the default service account", seconds=CONTROLLER_SECONDS)

    def _create_pki(self) -> None:
        authority = Authority.create(self.folder, "ca")
        authority.issue("apiserver", "/CN=kube-apiserver", "serverAuth", ["DNS:localhost", f"IP:{LOOPBACK}"])
        pki.create_signing_key(self.folder)
        authority.issue_kubeconfig(Identity("admin", "admin", (pki.ADMINISTRATORS,)), self.url, "apiserver")

    def _etcd(self, client_port: int, peer_port: int) -> list[str]:
        client, peer = f"http://{LOOPBACK}:{client_port}", f"http://{LOOPBACK}:{peer_port}"
        return [
            str(self._cache.program("etcd", "etcd")),
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def _apiserver(self, etcd: str) -> list[str]:
        # without a controller-manager nobody makes the service accounts that this plugin insists on
        disabled = () if self._with_controller_manager else ("--disable-admission-plugins=ServiceAccount",)
        return [
            str(self._cache.program("k8s", "kube-apiserver")),
            f"--etcd-servers={etcd}",
            f"--bind-address={LOOPBACK}",
            f"--advertise-address={LOOPBACK}",
            f"--secure-port={self.port}",
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.0.0.0/24",
            f"--tls-cert-file={self.folder / 'apiserver.crt'}",
            f"--tls-private-key-file={self.folder / 'apiserver.key'}",
            f"--client-ca-file={self.folder / 'ca.crt'}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={self.folder / 'sa.pub'}",
            f"--service-account-signing-key-file={self.folder / 'sa.key'}",
            "--authorization-mode=RBAC",
            "--allow-privileged",
            *disabled,
            *self._flags,
        ]

    def _controller_manager(self) -> list[str]:
        return [
            str(self._cache.program("k8s", "kube-controller-manager")),
            f"--kubeconfig={self.kubeconfig}",
            f"--service-account-private-key-file={self.folder / 'sa.key'}",
            f"--root-ca-file={self.folder / 'ca.crt'}",
            "--use-service-account-credentials",
            "--leader-elect=false",
            "--secure-port=0",
            *self._controller_flags,
        ]

    def _spawn(self, name: str, command: list[str]) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            watched = ["sh", "-c", WATCHED, name, *command]
            self._processes.append(
                subprocess.Popen(watched, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)
            )

    def _ready(self) -> bool:
        for process in self._processes:
            if process.poll() is not None:
                raise NotReadyError(f"a process ended with status {process.returncode}\n{self._log_tails()}")
        return self._get("/readyz") == http.HTTPStatus.OK

    def _controllers_work(self) -> bool:
        return self._get("/api/v1/namespaces/default/serviceaccounts/default") == http.HTTPStatus.OK

    def _get(self, path: str) -> int:
        trust = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        trust.load_cert_chain(self.folder / "admin.crt", self.folder / "admin.key")
        connection = http.client.HTTPSConnection(LOOPBACK, self.port, context=trust, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def _log_tails(self) -> str:
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{log.name}: {log.read_text(errors='replace')[-LOG_TAIL_CHARACTERS:]}" for log in logs)


def require_binaries(config: Config | None = None) -> None:
    """Raise ClusterError with the command to run unless the binaries are built."""
    if not available(config):
        raise ClusterError(f"not built: run `make cluster-build` (python -m cluster build {' '.join(COMPONENTS)})")
