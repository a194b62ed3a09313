"""How `pytest -n` shares tests among its processes: those on the cluster stay together, the rest goes by file."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling, Scheduling

ON_THE_CLUSTER = "tests/e2e/"
"""These tests share one cluster, and count on having it to themselves."""


def share_of(test: str) -> str:
    """Tests of one share run in one process, one after the other."""
    return ON_THE_CLUSTER if test.startswith(ON_THE_CLUSTER) else test.split("::", 1)[0]


class ClusterApart(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out shares in the order in which their tests were named."""

    def _split_scope(self, nodeid: str) -> str:
        return share_of(nodeid)


def scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Return it, with the order of the command line kept: what takes longest is named first."""
    config.option.loadscopereorder = False
    return ClusterApart(config, log)
