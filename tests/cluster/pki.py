"""Certificate authorities, certificates and kubeconfigs, made with the openssl program (ECDSA, below a second)."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cluster.command import run

Usage = Literal["serverAuth", "clientAuth"]

VALID_DAYS = 365
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
ADMINISTRATORS = "system:masters"


@dataclass(frozen=True, slots=True)
class Identity:
    """A client of the API server: the subject's common name is the user, its organizations are the groups."""

    file: str
    user: str
    groups: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """The subject in the form that openssl takes."""
        return "".join(f"/O={group}" for group in self.groups) + f"/CN={self.user}"


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority whose files `name.crt` and `name.key` lie in `folder`, beside all that it issues."""

    folder: Path
    name: str

    @classmethod
    def create(cls, folder: Path, name: str) -> Authority:
        """Make a new self-signed authority."""
        subject = ["-days", str(VALID_DAYS), "-subj", f"/CN={name}"]
        run(
            ["openssl", "req", "-x509", *NEW_KEY, *subject, "-keyout", f"{name}.key", "-out", f"{name}.crt"], cwd=folder
        )
        return cls(folder, name)

    @property
    def certificate(self) -> Path:
        """What others need in order to trust it."""
        return self.folder / f"{self.name}.crt"

    def issue(self, file: str, subject: str, usage: Usage, alternative_names: Sequence[str] = ()) -> None:
        """Write `file.key` and `file.crt`; alternative names are given as `DNS:...` and `IP:...`."""
        extensions = f"extendedKeyUsage={usage}\n"
        if alternative_names:
            extensions += f"subjectAltName={','.join(alternative_names)}\n"
        request = ["openssl", "req", *NEW_KEY, "-subj", subject, "-keyout", f"{file}.key", "-out", f"{file}.csr"]
        run(request, cwd=self.folder)
        with tempfile.NamedTemporaryFile("w", suffix=".ext") as extension_file:
            extension_file.write(extensions)
            extension_file.flush()
            signer = ["-CA", f"{self.name}.crt", "-CAkey", f"{self.name}.key", "-CAcreateserial"]
            signing = ["openssl", "x509", "-req", "-in", f"{file}.csr", *signer, "-days", str(VALID_DAYS)]
            run([*signing, "-extfile", extension_file.name, "-out", f"{file}.crt"], cwd=self.folder)
        (self.folder / f"{file}.csr").unlink()

    def issue_kubeconfig(self, identity: Identity, server: str, cluster: str) -> Path:
        """Issue a client certificate and write `file.conf` with it inside."""
        self.issue(identity.file, identity.subject, "clientAuth")
        path = self.folder / f"{identity.file}.conf"
        path.write_text(self.kubeconfig(identity, server, cluster))
        path.chmod(0o600)
        return path

    def kubeconfig(self, identity: Identity, server: str, cluster: str) -> str:
        """A kubeconfig with everything inside; JSON, which is YAML too."""
        user = {
            "client-certificate-data": encoded(self.folder / f"{identity.file}.crt"),
            "client-key-data": encoded(self.folder / f"{identity.file}.key"),
        }
        entry = {"server": server, "certificate-authority-data": encoded(self.certificate)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": cluster, "cluster": entry}],
            "users": [{"name": identity.file, "user": user}],
            "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": identity.file}}],
            "current-context": cluster,
        }
        return json.dumps(content, indent=1) + "\n"


def encoded(path: Path) -> str:
    """A file's content as kubeconfigs carry it."""
    return base64.b64encode(path.read_bytes()).decode()


def create_signing_key(folder: Path) -> None:
    """The pair `sa.key` and `sa.pub` that signs and checks service account tokens."""
    run(["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", "sa.key"], cwd=folder)
    run(["openssl", "ec", "-in", "sa.key", "-pubout", "-out", "sa.pub"], cwd=folder)


def create_cluster_pki(target: Path, node: str, server: str, node_address: str, service_address: str) -> None:
    """Make all files of a cluster in `target`, or none: made beside it, then renamed. Kept when there already."""
    if target.is_dir():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".pki-", dir=target.parent))
    try:
        _fill(folder, node, server, [f"IP:{address}" for address in ("127.0.0.1", node_address, service_address)])
        folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fill(folder: Path, node: str, server: str, addresses: list[str]) -> None:
    authority = Authority.create(folder, "ca")
    front_proxy = Authority.create(folder, "front-proxy-ca")
    services = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"]
    authority.issue(
        "apiserver", "/CN=kube-apiserver", "serverAuth", [*(f"DNS:{name}" for name in services), *addresses]
    )
    authority.issue("kubelet-server", f"/CN={node}", "serverAuth", [f"DNS:{node}", *addresses])
    front_proxy.issue("front-proxy-client", "/CN=front-proxy-client", "clientAuth")
    authority.issue("apiserver-kubelet", f"/O={ADMINISTRATORS}/CN=apiserver-kubelet", "clientAuth")
    create_signing_key(folder)
    for identity in (
        Identity("admin", "admin", (ADMINISTRATORS,)),
        Identity("controller-manager", "system:kube-controller-manager"),
        Identity("scheduler", "system:kube-scheduler"),
        Identity("proxy", "system:kube-proxy"),
        Identity("kubelet", f"system:node:{node}", ("system:nodes",)),
    ):
        authority.issue_kubeconfig(identity, server, node)
