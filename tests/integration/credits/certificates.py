"""A CA with a server's and a client's certificate, for an hour."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


@dataclass(frozen=True, slots=True)
class Pair:
    """Files of a certificate and its key."""

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Certificates:
    """All files."""

    ca: Path
    server: Pair
    client: Pair

    @classmethod
    def make(cls, folder: Path) -> Self:
        """New ones."""
        key = Ed25519PrivateKey.generate()
        ca = _builder("test CA", "test CA", key).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        found = folder / "ca.pem"
        found.write_bytes(_signed(ca, key))
        return cls(found, _pair(folder, "localhost", key), _pair(folder, "client", key))


def _pair(folder: Path, name: str, ca: Ed25519PrivateKey) -> Pair:
    key = Ed25519PrivateKey.generate()
    builder = _builder(name, "test CA", key).add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    pair.cert.write_bytes(_signed(builder, ca))
    pair.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return pair


def _builder(subject: str, issuer: str, key: Ed25519PrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
    )


def _signed(builder: x509.CertificateBuilder, ca: Ed25519PrivateKey) -> bytes:
    return builder.sign(ca, None).public_bytes(Encoding.PEM)
