"""Certificates that a real TLS handshake accepts, and refuses."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chaffinch_operator.credits.certificates import Pair, authority, hosts_of, issue, service_hosts, validity

HOSTS = service_hosts("api-credits", "shop")


def now() -> datetime:
    """The present second."""
    return datetime.now(UTC).replace(microsecond=0)


def files(folder: Path, name: str, pair: Pair) -> tuple[Path, Path]:
    """Write a pair."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    certificate.write_bytes(pair.certificate)
    key.write_bytes(pair.key)
    return certificate, key


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> str | None:
    """TLS version that both agree on."""
    left, right = socket.socketpair()
    left.settimeout(5)
    right.settimeout(5)

    def answer() -> None:
        try:
            with server.wrap_socket(left, server_side=True) as wrapped:
                wrapped.sendall(b"x")
        except (ssl.SSLError, OSError):
            left.close()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        with client.wrap_socket(right, server_hostname=host) as wrapped:
            assert wrapped.recv(1) == b"x"
            return wrapped.version()
    finally:
        right.close()
        thread.join()
        left.close()


def contexts(folder: Path, client_of: Pair | None) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Server that asks for client certificates, and a client that may have one."""
    ca = authority("api-credits", now())
    trusted = folder / "ca.crt"
    trusted.write_bytes(ca.certificate)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.minimum_version = ssl.TLSVersion.TLSv1_3
    server.load_cert_chain(*files(folder, "server", issue(ca, "api-credits", HOSTS, now())))
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(trusted)
    client = ssl.create_default_context(cafile=str(trusted))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    signer = client_of or ca
    client.load_cert_chain(*files(folder, "client", issue(signer, "app", (), now(), client=True)))
    return server, client


@pytest.mark.parametrize("host", HOSTS)
def test_client_and_server_of_one_authority_trust_each_other(tmp_path: Path, host: str) -> None:
    """By every name of the Service, by TLS 1.3."""
    assert handshake(*contexts(tmp_path, None), host) == "TLSv1.3"


def test_a_client_of_another_authority_is_refused(tmp_path: Path) -> None:
    """Mutual means this authority and no other."""
    server, client = contexts(tmp_path, authority("other", now()))
    with pytest.raises((ssl.SSLError, OSError, AssertionError)):
        handshake(server, client, HOSTS[0])


def test_a_foreign_host_name_is_refused(tmp_path: Path) -> None:
    """The certificate is for the Service only."""
    server, client = contexts(tmp_path, None)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client, "elsewhere.example")


def test_no_certificate_outlives_its_authority() -> None:
    """Near the end of the authority's life, certificates are shorter."""
    ca = authority("api-credits", now() - timedelta(days=3640))
    assert validity(issue(ca, "api-credits", HOSTS, now()).certificate)[1] == validity(ca.certificate)[1]
    assert hosts_of(issue(ca, "api-credits", HOSTS, now()).certificate) == set(HOSTS)
