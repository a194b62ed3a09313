"""Certificates verify against their authority and say what they are for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cluster.command import run
from cluster.pki import Authority, Identity, create_cluster_pki

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a cluster."""
    target = tmp_path_factory.mktemp("cluster") / "pki"
    create_cluster_pki(target, "node-1", "https://127.0.0.1:6443", "10.88.0.1", "10.96.0.1")
    return target


def text(folder: Path, name: str) -> str:
    """A certificate in words."""
    return run(["openssl", "x509", "-in", str(folder / f"{name}.crt"), "-noout", "-text"])


@pytest.mark.parametrize(
    ("certificate", "authority"),
    [("apiserver", "ca"), ("kubelet-server", "ca"), ("admin", "ca"), ("front-proxy-client", "front-proxy-ca")],
)
def test_certificate_verifies(folder: Path, certificate: str, authority: str) -> None:
    """Each is signed by the authority that its readers trust."""
    trusted = str(folder / f"{authority}.crt")
    assert "OK" in run(["openssl", "verify", "-CAfile", trusted, str(folder / f"{certificate}.crt")])


def test_apiserver_is_known_by_all_its_addresses(folder: Path) -> None:
    """Clients come by loopback, by the node's and by the Service's address."""
    found = text(folder, "apiserver")
    names = ("IP Address:127.0.0.1", "IP Address:10.88.0.1", "IP Address:10.96.0.1", "DNS:kubernetes.default.svc")
    assert all(name in found for name in names)


def test_kubelet_is_in_the_nodes_group(folder: Path) -> None:
    """The Node authorizer goes by user and group."""
    subject = run(["openssl", "x509", "-in", str(folder / "kubelet.crt"), "-noout", "-subject"])
    assert "system:nodes" in subject
    assert "system:node:node-1" in subject


def test_kubeconfig_has_everything_inside(folder: Path) -> None:
    """It can be copied elsewhere."""
    config = json.loads((folder / "admin.conf").read_text())
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
    assert set(config["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}


def test_kubeconfig_is_private(folder: Path) -> None:
    """It holds a key."""
    assert (folder / "admin.conf").stat().st_mode & 0o077 == 0


def test_existing_files_are_kept(folder: Path) -> None:
    """New certificates under a running cluster would lock its clients out."""
    before = (folder / "ca.crt").read_bytes()
    create_cluster_pki(folder, "other", "https://127.0.0.1:1", "10.0.0.1", "10.0.0.2")
    assert (folder / "ca.crt").read_bytes() == before


def test_nothing_is_left_beside_the_files(folder: Path) -> None:
    """The temporary folder has become the result; requests for certificates are not kept."""
    assert list(folder.parent.iterdir()) == [folder]
    assert not list(folder.glob("*.csr"))


def test_groups_come_before_the_user_in_a_subject() -> None:
    """Openssl takes them in this form."""
    assert Identity("x", "jane", ("a", "b")).subject == "/O=a/O=b/CN=jane"


def test_another_authority_is_not_trusted(folder: Path, tmp_path: Path) -> None:
    """Two clusters do not accept each other's clients."""
    stranger = Authority.create(tmp_path, "ca")
    stranger.issue("client", "/CN=client", "clientAuth")
    command = ["openssl", "verify", "-CAfile", str(folder / "ca.crt"), str(tmp_path / "client.crt")]
    with pytest.raises(Exception, match="status 2"):
        run(command)
