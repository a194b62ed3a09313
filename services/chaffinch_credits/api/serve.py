"""The running process: the API's port, with TLS or without, the admin port, and an end that loses nothing."""

from dataclasses import dataclass

from cryptography.x509 import load_pem_x509_certificate

from chaffinch_credits.api import admin, app
from chaffinch_credits.api.keys import Keys
from chaffinch_credits.api.service import Service
from chaffinch_runtime.listening import Listener, Tls, listen


@dataclass(frozen=True, slots=True)
class Ports:
    """Where to listen; admin is plain HTTP."""

    host: str
    api: int
    admin: int


async def serve(service: Service, ports: Ports, tls: Tls | None, keys: Keys | None) -> None:
    """Serve until SIGTERM or SIGINT. Then: not ready, no new connections, what is under way is answered, end."""

    def ending() -> None:
        service.draining = True

    if tls is not None:
        ends = load_pem_x509_certificate(tls.cert.read_bytes()).not_valid_after_utc
        service.metrics.certificate_ends.set(ends.timestamp())
    api = Listener(app.create(service, keys), ports.host, ports.api, tls)
    await listen([api], Listener(admin.create(service), ports.host, ports.admin), ending)
