"""What a Secret says of how to ask a metrics store: an HTTP header, a client certificate, a trusted authority.

Nothing here is ever shown: no repr, no message and no error has any of it.
"""

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

KEYS = ("token", "username", "password", "tls.crt", "tls.key", "ca.crt")
"""Keys of a Secret that are looked at."""


class CredentialsError(ValueError):
    """A Secret that cannot be used; the message names the key, never its value."""


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """Hashable, so that callers with the same credentials share a connection."""

    authorization: str = ""
    """Value of that header."""
    certificate: str = ""
    """PEM, with `key`: who we are."""
    key: str = ""
    authority: str = ""
    """PEM: who is trusted instead of the system's authorities."""

    def __repr__(self) -> str:
        return "Credentials(...)"

    @property
    def tls(self) -> bool:
        """Whether they mean anything to HTTPS only."""
        return bool(self.certificate or self.authority)


NO_CREDENTIALS = Credentials()


def parse(data: Mapping[str, str]) -> Credentials:
    """Read the `data` of a Secret. CredentialsError names the key that is wrong, missing or one too many."""
    texts = {key: _text(key, data[key]) for key in KEYS if data.get(key)}
    if not texts:
        raise CredentialsError(f"has none of the keys {', '.join(KEYS)}")
    if "token" in texts and ("username" in texts or "password" in texts):
        raise CredentialsError("has both token and username or password: keep one of the two")
    for one, other in (
        ("username", "password"),
        ("password", "username"),
        ("tls.crt", "tls.key"),
        ("tls.key", "tls.crt"),
    ):
        if one in texts and other not in texts:
            raise CredentialsError(f"has {one} but no {other}")
    return Credentials(
        _authorization(texts), texts.get("tls.crt", ""), texts.get("tls.key", ""), texts.get("ca.crt", "")
    )


def context(credentials: Credentials) -> ssl.SSLContext | bool:
    """How TLS is spoken with them; True stands for the usual way. CredentialsError names the key that is no PEM."""
    if not credentials.tls:
        return True
    try:
        made = ssl.create_default_context(cadata=credentials.authority or None)
    except (ssl.SSLError, ValueError) as error:
        raise CredentialsError("ca.crt is no certificate in PEM") from error
    if credentials.certificate:
        try:
            _load(made, f"{credentials.certificate}\n{credentials.key}\n".encode())
        except (ssl.SSLError, OSError) as error:
            raise CredentialsError("tls.crt and tls.key are no certificate and its key in PEM, unencrypted") from error
    return made


def _load(made: ssl.SSLContext, pem: bytes) -> None:
    """OpenSSL reads key pairs from files only: one in memory, or where there is none, one that is gone at once."""
    if hasattr(os, "memfd_create"):
        number = os.memfd_create("pem")
        try:
            os.write(number, pem)
            made.load_cert_chain(f"/proc/self/fd/{number}", password=_no_password)
        finally:
            os.close(number)
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(pem)
            file.flush()
            made.load_cert_chain(file.name, password=_no_password)


def _no_password() -> str:
    """An encrypted key is refused, instead of asking at a terminal that is not there."""
    return ""


def _authorization(texts: Mapping[str, str]) -> str:
    if "token" in texts:
        return f"Bearer {_word('token', texts['token'])}"
    if "username" in texts:
        if ":" in texts["username"]:
            raise CredentialsError("has a colon in username, which basic authentication cannot carry")
        pair = f"{texts['username']}:{texts['password']}"
        return "Basic " + base64.b64encode(pair.encode()).decode()
    return ""


def _word(key: str, text: str) -> str:
    if not all("!" <= sign <= "~" for sign in text):
        raise CredentialsError(f"has spaces or signs in {key} that no header may have")
    return text


def _text(key: str, encoded: str) -> str:
    """The text of a key, without the line break that many tools leave at its end."""
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise CredentialsError(f"has a {key} that is no text") from error
    return text if key.endswith((".crt", ".key")) else text.rstrip("\r\n")
