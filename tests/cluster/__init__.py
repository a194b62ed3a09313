"""A real one-node Kubernetes cluster from pinned packages, for the tests and the demo.

    access = cluster.connect()                   # the cluster that CLUSTER names, started if need be
    cluster.up(cluster.Config.from_env())        # only the local one
    with cluster.apiserver.ApiServer() as api:   # etcd and kube-apiserver alone, for integration tests

Only the standard library: it runs before there is a virtual environment. All pinned versions are in versions.py.
Not here: what Chaffinch itself needs in the cluster.
"""

from __future__ import annotations

from cluster import apiserver as apiserver
from cluster.access import Access, connect
from cluster.config import Config
from cluster.errors import ClusterError, CommandError, NotReadyError, PreconditionError
from cluster.lifecycle import up
from cluster.teardown import down

__all__ = [
    "Access",
    "ClusterError",
    "CommandError",
    "Config",
    "NotReadyError",
    "PreconditionError",
    "apiserver",
    "connect",
    "down",
    "up",
]
