"""The environment in which commands reach a local cluster."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

from cluster.build import Cache
from cluster.config import Config


def settings(config: Config, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """KUBECONFIG, a PATH with the pinned kubectl and helm, and what names the cluster."""
    tools = str(Cache.of(config.cache).program("tools", "kubectl").parent)
    path = [tools, *(part for part in environ.get("PATH", "").split(os.pathsep) if part and part != tools)]
    return {
        "KUBECONFIG": str(config.kubeconfig),
        "PATH": os.pathsep.join(path),
        "CONTAINERD_ADDRESS": str(config.containerd_socket),
        "CHAFFINCH_CLUSTER": config.name,
        "CHAFFINCH_INSIDE": shlex.join(config.command_prefix),
    }


def exports(config: Config) -> str:
    """The settings as lines for a shell: `eval "$(python -m cluster env)"; $CHAFFINCH_INSIDE kubectl get nodes`."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in settings(config).items())
