"""As whom Prometheus is asked: by what the command line says, else as the operator does, by the spec's Secret."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.cli.failures import CliError, DeclinedError, UsageProblemError
from chaffinch_operator.errors import NotFound, Refused
from chaffinch_operator.ports.credentials import NO_CREDENTIALS, Credentials, CredentialsError, parse
from chaffinch_operator.resources import SECRETS

if TYPE_CHECKING:
    from chaffinch_operator.cli.session import Session
    from chaffinch_operator.cli.world import Gateway
    from chaffinch_operator.ports.prometheus import Prometheus

_FOR_API_SERVER = re.compile(r"authorization|connection|upgrade|(proxy|impersonate|x-remote)-.*")
WAY_OUT = "give credentials of your own: --token-file FILE, or --header 'Authorization: Bearer ...'"


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line says."""

    prometheus: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def authorized(self) -> bool:
        """Whether it says who asks."""
        return any(name.lower() == "authorization" for name in self.headers)


@dataclass(frozen=True, slots=True)
class Login:
    """Where to ask, and as whom."""

    address: str
    headers: Mapping[str, str] = field(default_factory=dict)
    credentials: Credentials = NO_CREDENTIALS
    secret: str = ""
    """NAMESPACE/NAME of where the credentials are from."""

    @property
    def passes_api_server(self) -> bool:
        """Whether the API server's proxy would hand on all that is said: what concerns itself it keeps."""
        kept = any(_FOR_API_SERVER.fullmatch(name.lower()) for name in self.headers)
        return not kept and self.credentials == NO_CREDENTIALS


def headers_of(headers: Mapping[str, str], token_file: Path | None) -> dict[str, str]:
    """The headers, with the token of a file. UsageProblemError where it cannot be read or is given twice."""
    if token_file is None:
        return dict(headers)
    if Given(headers=headers).authorized:
        raise UsageProblemError("--token-file and --header Authorization both say who asks: keep one of the two")
    try:
        token = token_file.read_text().strip()
    except (OSError, ValueError) as error:
        raise UsageProblemError(f"cannot read --token-file {token_file}: {error}") from error
    if not token or not all("!" <= sign <= "~" for sign in token):
        raise UsageProblemError(f"--token-file {token_file} holds no token: one word without spaces is expected")
    return {**headers, "Authorization": f"Bearer {token}"}


async def login(
    session: "Session", gateway: "Gateway | None", spec: CanaryRolloutSpec, namespace: str, given: Given
) -> Login | None:
    """Where and as whom; None where neither names a server. gateway: None opens the session's where it is needed.

    The Secret is for the spec's own address: a server named on the command line never gets its credentials.
    """
    provider = spec.analysis.provider.prometheus if spec.analysis.provider else None
    address = given.prometheus or (provider.address if provider else None)
    if address is None:
        return None
    own = {name.lower() for name in given.headers}
    kept = {h.name: h.value for h in provider.headers if h.name.lower() not in own} if provider else {}
    headers = {**kept, **given.headers}
    if provider is None or provider.auth_secret_ref is None or given.prometheus or given.authorized:
        return Login(address, headers)
    name = provider.auth_secret_ref.name
    credentials = await _credentials(session, gateway, namespace, name)
    if credentials.tls and address.startswith("http://"):
        raise DeclinedError(f"Secret {namespace}/{name} has keys for TLS, but the address begins with http://", WAY_OUT)
    return Login(address, headers, credentials, f"{namespace}/{name}")


async def _credentials(session: "Session", gateway: "Gateway | None", namespace: str, name: str) -> Credentials:
    if gateway is not None:
        return await _read(gateway, namespace, name)
    try:
        async with session.cluster() as opened:
            return await _read(opened, namespace, name)
    except CliError as error:
        if error.hint == WAY_OUT:
            raise
        raise DeclinedError(f"Secret {namespace}/{name} cannot be read: {error.message}", WAY_OUT) from error


async def _read(gateway: "Gateway", namespace: str, name: str) -> Credentials:
    try:
        secret = await gateway.get(SECRETS, name, namespace)
    except NotFound:
        secret = None
    except Refused as problem:
        raise DeclinedError(
            f"you may not read Secret {namespace}/{name}, which authSecretRef names: {problem.message}", WAY_OUT
        ) from problem
    if secret is None:
        raise DeclinedError(f"there is no Secret {namespace}/{name}, which authSecretRef names", WAY_OUT)
    try:
        return parse(secret.get("data") or {})
    except CredentialsError as problem:
        raise DeclinedError(f"Secret {namespace}/{name} {problem}", WAY_OUT) from problem


@asynccontextmanager
async def prometheus_at(asked: Login) -> AsyncIterator["Prometheus"]:
    """A server, for as long as it is needed. DeclinedError when the credentials are not what TLS needs."""
    from chaffinch_operator.ports.prometheus import PrometheusServers  # noqa: PLC0415 -- takes a while to import

    async with PrometheusServers() as servers:
        try:
            server = servers.get(asked.address, asked.credentials, asked.headers)
        except CredentialsError as problem:
            raise DeclinedError(f"Secret {asked.secret}: {problem}", WAY_OUT) from problem
        yield server
