"""Certificates of an authority of a ledger's own, made with `cryptography`. Knows no Kubernetes; reads no clock.

Keys come from the system's randomness: whoever calls this keeps what it returns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE = timedelta(days=3650)
LIFE = timedelta(days=90)
SKEW = timedelta(minutes=5)
"""Valid from a little before: clocks differ."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


def authority(name: str, now: datetime) -> Pair:
    """Make an authority that signs certificates of this ledger and nothing else."""
    return _self_signed(ec.generate_private_key(ec.SECP256R1()), _subject(f"{name[:40]} authority"), now)


def renewed(ca: Pair, now: datetime) -> Pair:
    """An authority's certificate for another life, of the same key and name: who trusts the one trusts the other."""
    old = x509.load_pem_x509_certificate(ca.certificate)
    return _self_signed(_signing_key(ca), old.subject, now)


def _self_signed(key: ec.EllipticCurvePrivateKey, subject: x509.Name, now: datetime) -> Pair:
    built = (
        _builder(subject, subject, key.public_key(), now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Pair(built.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM), _pem(key))


def issue(ca: Pair, name: str, hosts: Sequence[str], now: datetime, *, client: bool = False) -> Pair:
    """Make a certificate for a server of these host names, or for a client; never longer than its authority's."""
    issuer = x509.load_pem_x509_certificate(ca.certificate)
    signing = _signing_key(ca)
    key = ec.generate_private_key(ec.SECP256R1())
    life = min(LIFE, issuer.not_valid_after_utc - now)
    purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
    built = (
        _builder(_subject(name[:64]), issuer.subject, key.public_key(), now, life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()),
            critical=False,
        )
    )
    if hosts:
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        built = built.add_extension(names, critical=False)
    return Pair(built.sign(signing, hashes.SHA256()).public_bytes(Encoding.PEM), _pem(key))


def validity(certificate: bytes) -> tuple[datetime, datetime]:
    """First and last moment of a PEM certificate; ValueError when it is none."""
    found = x509.load_pem_x509_certificate(certificate)
    return found.not_valid_before_utc, found.not_valid_after_utc


def hosts_of(certificate: bytes) -> frozenset[str]:
    """Host names of a PEM certificate."""
    found = x509.load_pem_x509_certificate(certificate)
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(names.get_values_for_type(x509.DNSName))


def service_hosts(name: str, namespace: str) -> tuple[str, ...]:
    """Names by which a Service is reached within a cluster."""
    return name, f"{name}.{namespace}", f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.cluster.local"


def _signing_key(ca: Pair) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(ca.key, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the key of the authority is not an EC key")
    return key


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + life)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
