"""What is made for a ledger: the service itself takes it, and a renewed authority breaks nobody's trust."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from chaffinch_credits.api.keys import Keys, Scope
from chaffinch_credits.audit.note import Signer, Verifier
from chaffinch_operator.children import passwords
from chaffinch_operator.credits import certificates, secrets_made
from chaffinch_operator.credits.certificates import Pair
from unit.credits_slice.test_certificates import HOSTS, files, handshake, now


def test_the_api_key_that_is_made_may_do_everything(tmp_path: Path) -> None:
    """By the service's own reading of its file."""
    made = secrets_made.api_key()
    (tmp_path / "keys").write_text(made["keys.json"])
    for scope in Scope:
        Keys(tmp_path / "keys").require(f"Bearer {made['admin']}", "any", scope)


def test_the_verifier_key_is_the_one_that_the_service_signs_with() -> None:
    """So that auditors may take it from the status."""
    pem = secrets_made.signing_key()["key.pem"].encode()
    key = load_pem_private_key(pem, None)
    said = secrets_made.verifier_key(pem, "api-credits.shop")
    assert said == str(Signer("api-credits.shop", key).verifier)  # type: ignore[arg-type]
    assert Verifier.parse(said).name == "api-credits.shop"


@pytest.mark.parametrize("pem", [b"", b"no key", certificates.authority("x", datetime(2026, 1, 1, tzinfo=UTC)).key])
def test_what_is_no_ed25519_key_has_no_verifier_key(pem: bytes) -> None:
    """Nothing, text, and a key of another kind."""
    assert secrets_made.verifier_key(pem, "x") is None


def test_the_password_is_in_the_address_and_needs_no_quoting() -> None:
    """The database's entrypoint refuses quotes, and an address must not need escapes."""
    made = passwords.password("api-credits-postgres.shop.svc", "credits")
    parts = urlsplit(made["dsn"])
    assert (parts.username, parts.password, parts.hostname) == (
        "credits",
        made["password"],
        "api-credits-postgres.shop.svc",
    )
    assert made["password"].replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(
    ("dsn", "ports"),
    [
        ("postgresql://u:p@db/x", (5432,)),
        ("postgresql://u:p:8@db:6432/x\n", (6432,)),
        ("postgresql://u@[::1]:5433/x", (5433,)),
        ("postgresql://u@[::1]/x", (5432,)),
        ("postgresql://u@a:1,b/x", (1, 5432)),
    ],
)
def test_ports_are_read_from_an_address(dsn: str, ports: tuple[int, ...]) -> None:
    """With several hosts, with IPv6, and with none named."""
    assert passwords.ports(dsn) == ports


@pytest.mark.parametrize("client_has_old", [True, False])
def test_a_renewed_authority_is_trusted_by_those_who_trust_the_old_one(tmp_path: Path, client_has_old: bool) -> None:
    """And the other way round: nobody need be told at the same moment."""
    old = certificates.authority("api-credits", now() - timedelta(days=2500))
    found = {"tls.crt": old.certificate, "tls.key": old.key}
    new = secrets_made.authority(found, "api-credits", now(), renew=True)
    assert certificates.validity(new.certificate)[1] > certificates.validity(old.certificate)[1]
    trusted, signing = (old, new) if client_has_old else (new, old)
    made = secrets_made.signed(signing, "api-credits", HOSTS, now())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*files(tmp_path, "server", Pair(made["tls.crt"].encode(), made["tls.key"].encode())))
    client = ssl.create_default_context(cadata=trusted.certificate.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    assert handshake(server, client, HOSTS[0]) == "TLSv1.3"


def test_an_authority_that_is_not_due_stays() -> None:
    """Byte for byte; one that is half missing is made anew."""
    old = certificates.authority("api-credits", now())
    found = {"tls.crt": old.certificate, "tls.key": old.key}
    assert secrets_made.authority(found, "api-credits", now(), renew=False) == old
    assert secrets_made.authority({"tls.crt": b""}, "api-credits", now(), renew=False) != old
