"""Operator processes under test: started with their own identity, asked over HTTP, stopped in every way."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.apiserver import free_ports

ROOT = Path(__file__).parents[3]
STUB = (str(Path(__file__).with_name("stub_operator.py")),)
REAL = ("-m", "chaffinch_operator")


@dataclass(frozen=True, slots=True)
class Process:
    """One running operator."""

    identity: str
    port: int
    log: Path
    popen: "subprocess.Popen[bytes]"

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of an endpoint; status 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    async def ready_leader(self) -> bool:
        """Whether it leads and is ready."""
        assert self.popen.poll() is None, self.log.read_text()
        return self.get("/readyz") == (200, "leader: ok\n")

    async def standing_by(self) -> bool:
        """Whether it waits for the Lease."""
        assert self.popen.poll() is None, self.log.read_text()
        return self.get("/readyz") == (200, "standby: ok\n")


def start(
    program: tuple[str, ...], identity: str, kubeconfig: Path, folder: Path, settings: Mapping[str, str]
) -> Process:
    """Start an operator; it logs into the folder."""
    port = free_ports(1)[0]
    paths = os.pathsep.join(str(ROOT / root) for root in ("operator", "services", "tests"))
    environment = {
        **os.environ,
        "PYTHONPATH": paths,
        "KUBECONFIG": str(kubeconfig),
        "POD_NAME": identity,
        "CHAFFINCH_HTTP_HOST": "127.0.0.1",
        "CHAFFINCH_HTTP_PORT": str(port),
        **settings,
    }
    log = folder / f"{identity}.log"
    with log.open("wb") as stream:
        popen = subprocess.Popen(
            [sys.executable, "-W", "error", *program],
            env=environment,
            stdout=stream,
            stderr=stream,
            stdin=subprocess.DEVNULL,
        )
    return Process(identity, port, log, popen)
