"""The processes of the cluster: how each is started and which files it reads; supervision.py starts them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template

from cluster import host, versions
from cluster.build import Cache
from cluster.config import Config
from cluster.errors import ClusterError

HERE = Path(__file__).resolve().parent
ETCD_URL = "http://127.0.0.1:2379"
API_SERVER = "127.0.0.1:6443"
SYSTEM_PYTHON = "/usr/bin/python3"  # not that of the caller, which may be another one the next time
API_URL = f"https://{API_SERVER}"
VOLUMES = Path("/tmp/hostpath_pv")
"""Where the controller-manager makes folders; a fixed place."""


@dataclass(frozen=True, slots=True)
class Component:
    """A process: `program` is the file name by which it is found again; `files` are its configuration."""

    name: str
    program: str
    command: tuple[str, ...]
    files: tuple[tuple[Path, str], ...] = ()


class Blueprint:
    """Makes the components of one cluster."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._cache = Cache.of(config.cache)
        self._root = config.root
        self._pki = config.pki

    def all(self) -> list[Component]:
        """All components in the order in which they start."""
        makers: list[Callable[[], Component]] = [
            self.etcd,
            self.containerd,
            self.apiserver,
            self.controller_manager,
            self.scheduler,
            self.kubelet,
            self.proxy,
            self.netpol,
            self.volumes,
        ]
        return [make() for make in makers]

    def named(self, name: str) -> Component:
        """The component of that name."""
        for component in self.all():
            if component.name == name:
                return component
        known = ", ".join(component.name for component in self.all())
        raise ClusterError(f"unknown component {name}; known: {known}")

    def etcd(self) -> Component:
        """The store, without fsync: what it holds may be lost with the machine."""
        return self._built(
            "etcd",
            "etcd",
            "etcd",
            f"--data-dir={self._root / 'etcd'}",
            f"--listen-client-urls={ETCD_URL}",
            f"--advertise-client-urls={ETCD_URL}",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--unsafe-no-fsync",
            "--log-level=warn",
        )

    def containerd(self) -> Component:
        """The container runtime, all of whose state lies in the cluster's folder."""
        settings = self._root / "containerd" / "config.toml"
        network = self._root / "containerd" / "cni" / "10-bridge.conflist"
        return Component(
            "containerd",
            "containerd",
            ("containerd", "-c", str(settings)),
            ((settings, self._filled("containerd.toml")), (network, self._filled("cni.conflist"))),
        )

    def apiserver(self) -> Component:
        """The API server, with aggregation for metrics-server."""
        return self._built(
            "apiserver",
            "k8s",
            "kube-apiserver",
            f"--etcd-servers={ETCD_URL}",
            f"--service-cluster-ip-range={host.SERVICE_NETWORK}",
            f"--advertise-address={host.NODE_ADDRESS}",
            "--secure-port=6443",
            f"--tls-cert-file={self._pki / 'apiserver.crt'}",
            f"--tls-private-key-file={self._pki / 'apiserver.key'}",
            f"--client-ca-file={self._pki / 'ca.crt'}",
            f"--kubelet-client-certificate={self._pki / 'apiserver-kubelet.crt'}",
            f"--kubelet-client-key={self._pki / 'apiserver-kubelet.key'}",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={self._pki / 'sa.pub'}",
            f"--service-account-signing-key-file={self._pki / 'sa.key'}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged",
            "--enable-aggregator-routing",
            f"--requestheader-client-ca-file={self._pki / 'front-proxy-ca.crt'}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={self._pki / 'front-proxy-client.crt'}",
            f"--proxy-client-key-file={self._pki / 'front-proxy-client.key'}",
        )

    def controller_manager(self) -> Component:
        """The controllers; no leader election, so that there is no lease to wait for after a crash."""
        kubeconfig = self._pki / "controller-manager.conf"
        return self._built(
            "controller-manager",
            "k8s",
            "kube-controller-manager",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--service-account-private-key-file={self._pki / 'sa.key'}",
            f"--root-ca-file={self._pki / 'ca.crt'}",
            "--use-service-account-credentials",
            f"--cluster-signing-cert-file={self._pki / 'ca.crt'}",
            f"--cluster-signing-key-file={self._pki / 'ca.key'}",
            "--leader-elect=false",
            f"--flex-volume-plugin-dir={self._root / 'kubelet' / 'volume-plugins'}",
            # dynamic volumes without another pod; folders in VOLUMES
            "--enable-hostpath-provisioner",
            # a test should not wait five minutes for its autoscaler
            "--horizontal-pod-autoscaler-cpu-initialization-period=10s",
            "--horizontal-pod-autoscaler-initial-readiness-delay=5s",
        )

    def scheduler(self) -> Component:
        """The scheduler."""
        kubeconfig = self._pki / "scheduler.conf"
        return self._built(
            "scheduler",
            "k8s",
            "kube-scheduler",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--leader-elect=false",
        )

    def kubelet(self) -> Component:
        """The node's agent."""
        settings = self._root / "kubelet.yaml"
        resolver = self._root / "resolv.conf"
        return self._built(
            "kubelet",
            "k8s",
            "kubelet",
            f"--config={settings}",
            f"--kubeconfig={self._pki / 'kubelet.conf'}",
            f"--root-dir={self._root / 'kubelet'}",
            f"--hostname-override={self._config.name}",
            f"--node-ip={host.NODE_ADDRESS}",
            files=((settings, self._filled("kubelet.yaml")), (resolver, self._filled("resolv.conf"))),
        )

    def proxy(self) -> Component:
        """The Services' addresses."""
        settings = self._root / "kube-proxy.yaml"
        files = ((settings, self._filled("kube-proxy.yaml")),)
        return self._built("proxy", "k8s", "kube-proxy", f"--config={settings}", files=files)

    def netpol(self) -> Component:
        """NetworkPolicy, which the bridge plugin does not enforce."""
        program = HERE / "netpol.py"
        files = (self._pki / "ca.crt", self._pki / "admin.crt", self._pki / "admin.key")
        return Component(
            "netpol", program.name, (SYSTEM_PYTHON, str(program), API_SERVER, *(str(file) for file in files))
        )

    def volumes(self) -> Component:
        """Folders of volumes, which pods that are not root could not use."""
        program = HERE / "volumes.py"
        return Component("volumes", program.name, (SYSTEM_PYTHON, str(program), str(VOLUMES), str(self._root)))

    def _built(
        self, name: str, component: str, program: str, *options: str, files: tuple[tuple[Path, str], ...] = ()
    ) -> Component:
        return Component(name, program, (str(self._cache.program(component, program)), *options), files)

    def _filled(self, name: str) -> str:
        return Template((HERE / "node" / name).read_text()).substitute(
            root=self._root,
            name=self._config.name,
            cgroup=self._config.cgroup,
            bridge=host.BRIDGE,
            pod_network=host.POD_NETWORK,
            node_address=host.NODE_ADDRESS,
            dns_address=host.DNS_ADDRESS,
            pause_version=versions.PAUSE,
        )
