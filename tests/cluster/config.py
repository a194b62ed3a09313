"""The settings of one cluster, read once from the environment, and the places of its files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self, cast, get_args

from cluster.errors import ClusterError

Platform = Literal["local", "kind", "current"]
Addon = Literal["dns", "storage", "metrics", "gateway", "prometheus", "alertmanager"]

PLATFORMS: tuple[Platform, ...] = get_args(Platform)
ADDONS: tuple[Addon, ...] = get_args(Addon)
NAME_PATTERN = re.compile(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?")


def parse_addons(names: Iterable[str]) -> tuple[Addon, ...]:
    """The named add-ons in the order in which they are applied."""
    wanted = {name for name in names if name}
    if unknown := wanted - set(ADDONS):
        raise ClusterError(f"unknown add-ons {', '.join(sorted(unknown))}; known: {', '.join(ADDONS)}")
    return tuple(addon for addon in ADDONS if addon in wanted)


@dataclass(frozen=True, slots=True)
class Config:
    """Which cluster, where its files live, and what it is made of."""

    name: str
    cache: Path
    platform: Platform = "local"
    addons: tuple[Addon, ...] = ADDONS

    def __post_init__(self) -> None:
        if not NAME_PATTERN.fullmatch(self.name):
            raise ClusterError(f"CHAFFINCH_CLUSTER={self.name!r}: use at most 30 of a-z, 0-9 and -, first a letter")
        if any(character.isspace() for character in str(self.cache)):
            raise ClusterError(f"CHAFFINCH_CACHE={str(self.cache)!r}: use a path without blanks")
        if self.platform not in PLATFORMS:
            raise ClusterError(f"CLUSTER={self.platform!r}: use one of {', '.join(PLATFORMS)}")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read CHAFFINCH_CLUSTER, CHAFFINCH_CACHE, CHAFFINCH_ADDONS and CLUSTER; each has a default."""
        cache = Path(environ.get("CHAFFINCH_CACHE") or Path.home() / ".cache" / "chaffinch")
        return cls(
            name=environ.get("CHAFFINCH_CLUSTER") or "chaffinch",
            cache=cache.absolute(),
            platform=cast("Platform", environ.get("CLUSTER") or "local"),
            addons=parse_addons((environ.get("CHAFFINCH_ADDONS") or ",".join(ADDONS)).split(",")),
        )

    def with_addons(self, addons: tuple[Addon, ...]) -> Self:
        """The same cluster with other add-ons."""
        return replace(self, addons=addons)

    @property
    def root(self) -> Path:
        """All files of this cluster; its path in a command line or mount tells that it is ours."""
        return self.cache / "clusters" / self.name

    @property
    def lock_file(self) -> Path:
        """Held while the cluster is changed; beside its folder, which a purge removes."""
        return self.root.with_name(f"{self.name}.lock")

    @property
    def pki(self) -> Path:
        """Certificates and kubeconfigs."""
        return self.root / "pki"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.pki / "admin.conf"

    @property
    def containerd_socket(self) -> Path:
        """Where containerd listens."""
        return self.root / "containerd" / "containerd.sock"

    @property
    def network_namespace(self) -> Path:
        """The network namespace that is the cluster's one node."""
        return Path("/run/netns") / self.name

    @property
    def command_prefix(self) -> tuple[str, ...]:
        """What to put before a command to run it inside the cluster's network.

        Not `ip netns exec`: it remounts /sys and so hides the cgroups.
        """
        return ("nsenter", f"--net={self.network_namespace}", "--")

    @property
    def cgroup(self) -> str:
        """The cgroup of everything in this cluster; the prefix keeps it apart from other programs'."""
        return f"cluster-{self.name}"
