"""A real API server in a few seconds, gone without a trace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import apiserver
from cluster.apiserver import ApiServer, free_ports
from cluster.command import run
from cluster.deadline import wait_until
from cluster.errors import CommandError
from cluster.supervision import command_line

TESTS = Path(__file__).resolve().parents[2]
STARTS_AND_DIES = """
import os, signal
from cluster.apiserver import ApiServer
from pathlib import Path
import sys
with ApiServer(folder=Path(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGKILL)
"""

pytestmark = [
    pytest.mark.apiserver,
    pytest.mark.skipif(not apiserver.available(), reason="needs make cluster-build"),
]


@pytest.fixture(scope="module")
def api() -> Iterator[ApiServer]:
    """A server without controllers."""
    with ApiServer(flags=["--max-requests-inflight=99"]) as server:
        yield server


def kubectl(api: ApiServer, kubeconfig: Path, *arguments: str) -> str:
    """Run kubectl as somebody."""
    return run([str(api.kubectl), f"--kubeconfig={kubeconfig}", f"--cache-dir={api.folder / 'cache'}", *arguments])


def running_in(folder: Path) -> list[int]:
    """The processes that were started for a folder."""
    numbers = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [number for number in numbers if any(str(folder) in word for word in command_line(number))]


def test_administrator_may_do_everything(api: ApiServer) -> None:
    """The kubeconfig works."""
    kubectl(api, api.kubeconfig, "create", "configmap", "seen", "--from-literal=a=b")
    assert kubectl(api, api.kubeconfig, "get", "configmap", "seen", "-o=name") == "configmap/seen\n"


def test_other_users_are_bound_by_their_roles(api: ApiServer) -> None:
    """RBAC is on."""
    with pytest.raises(CommandError, match='User "jane" cannot list'):
        kubectl(api, api.kubeconfig_for("jane"), "get", "configmaps")


def test_added_flags_reach_the_server(api: ApiServer) -> None:
    """A test can ask for another behaviour."""
    assert any("--max-requests-inflight=99" in command_line(number) for number in running_in(api.folder))


def test_processes_end_when_the_test_process_is_killed(tmp_path: Path) -> None:
    """SIGKILL of the test run leaves no server behind."""
    died = subprocess.run([sys.executable, "-c", STARTS_AND_DIES, str(tmp_path)], cwd=TESTS, check=False)
    assert died.returncode == -signal.SIGKILL
    wait_until(lambda: not running_in(tmp_path), "the end of the servers", seconds=10)


def test_free_ports_differ() -> None:
    """They are held together, so none is given twice."""
    assert len(set(free_ports(5))) == 5


def test_folder_is_removed_on_exit() -> None:
    """Certificates and data go with the server."""
    server = ApiServer()
    with server:
        assert server.folder.is_dir()
    assert not server.folder.exists()
    assert os.getpid() not in running_in(server.folder)
