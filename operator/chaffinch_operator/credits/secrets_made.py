"""What is made at random for a ledger: API key, signing key, certificates; and what is read back from them.

Knows no Kubernetes and reads no clock. Texts in and out are those of a Secret's `stringData`.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from chaffinch_operator.credits import certificates
from chaffinch_operator.credits.certificates import Pair

Texts = dict[str, str]
_ED25519 = b"\x01"


def signing_key() -> Texts:
    """An Ed25519 key."""
    key = Ed25519PrivateKey.generate()
    return {"key.pem": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()}


def api_key() -> Texts:
    """A key that may do everything, and the file of keys that has its hash."""
    key = secrets.token_urlsafe(32)
    digest = hashlib.sha256(key.encode()).hexdigest()
    listed = {"name": "admin", "sha256": digest, "ledgers": {"*": ["read", "write", "admin"]}}
    return {"admin": key, "keys.json": json.dumps({"keys": [listed]})}


def passphrase() -> Texts:
    """What a repository of backups is encrypted with."""
    return {"passphrase": secrets.token_urlsafe(48)}


def verifier_key(pem: bytes, origin: str) -> str | None:
    """The public half of a signing key as C2SP's signed notes have it, name+id+key; None when it is no Ed25519 key."""
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if not isinstance(key, Ed25519PrivateKey):
        return None
    typed = _ED25519 + key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    identity = hashlib.sha256(origin.encode() + b"\n" + typed).hexdigest()[:8]
    return f"{origin}+{identity}+{base64.b64encode(typed).decode()}"


def authority(found: Mapping[str, bytes] | None, name: str, now: datetime, *, renew: bool) -> Pair:
    """The authority that there is, renewed where asked for, or a new one."""
    if not found or not {"tls.crt", "tls.key"} <= found.keys():
        return certificates.authority(name, now)
    pair = Pair(found["tls.crt"], found["tls.key"])
    return certificates.renewed(pair, now) if renew else pair


def signed(ca: Pair, name: str, hosts: Sequence[str], now: datetime, *, client: bool = False) -> Texts:
    """A certificate of the authority, in the form of a Secret of type kubernetes.io/tls."""
    pair = certificates.issue(ca, name, hosts, now, client=client)
    return as_texts(pair) | {"ca.crt": ca.certificate.decode()}


def as_texts(pair: Pair) -> Texts:
    """A pair in the form of a Secret of type kubernetes.io/tls."""
    return {"tls.crt": pair.certificate.decode(), "tls.key": pair.key.decode()}
