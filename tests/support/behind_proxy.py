"""An operator that reaches its API server through `api_proxy` only, and is started again whenever it was killed."""

import contextlib
import json
import tempfile
import threading
from base64 import b64decode
from collections.abc import Iterator, Sequence
from pathlib import Path

from cluster import Access
from support.api_proxy import Proxy
from support.kubectl import Kubectl
from support.operator import Operator, kubeconfig

_LOOK_SECONDS = 0.02


@contextlib.contextmanager
def behind_proxy(access: Access, namespaces: Sequence[str], **environ: str) -> Iterator[tuple[Operator, Proxy]]:
    """An operator, not started yet, and the proxy before it."""
    with tempfile.TemporaryDirectory(prefix="chaffinch-proxy-") as name:
        folder, config = Path(name), kubeconfig(Kubectl(access))
        cluster = config["clusters"][0]["cluster"]
        authority = _authority(cluster)
        with Proxy(cluster["server"], authority, folder, access.command_prefix) as proxy:
            config["clusters"][0]["cluster"] = {"server": proxy.address}
            file = folder / "kubeconfig"
            file.write_text(json.dumps(config))
            operator = Operator(access, namespaces, environ={"KUBECONFIG": str(file), **environ})
            try:
                yield operator, proxy
            finally:
                operator.remove()


@contextlib.contextmanager
def killed_at_writes(operator: Operator, proxy: Proxy) -> Iterator[None]:
    """From now on the proxy kills the operator; it is started again at once, as kubelet does with a container."""
    ending = threading.Event()

    def run() -> None:
        proxy.aim(operator.process_id)
        while not ending.is_set():
            if not operator.alive:
                operator.kill()
                proxy.aim(operator.start().process_id)
            ending.wait(_LOOK_SECONDS)

    keeper = threading.Thread(target=run, daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ending.set()
        keeper.join(30)
        proxy.spare()
        # a process ends with the thread that started it
        operator.kill()
        operator.start()


def _authority(cluster: dict[str, str]) -> str:
    if "certificate-authority" in cluster:
        return Path(cluster["certificate-authority"]).read_text()
    return b64decode(cluster["certificate-authority-data"]).decode()
