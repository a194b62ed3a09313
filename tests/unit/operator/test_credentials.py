"""What a Secret says of how to ask: every key, their combinations, and that nobody else gets to see them."""

from __future__ import annotations

import base64
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from chaffinch_operator.ports.credentials import NO_CREDENTIALS, Credentials, CredentialsError, context, parse
from chaffinch_operator.ports.prometheus import PrometheusServers, ProviderUnreachable
from cluster.pki import Authority

AT = datetime(2026, 1, 2, tzinfo=UTC)
HIDDEN = "s3cret"
VECTOR = b'{"status": "success", "data": {"resultType": "vector", "result": []}}'
Serve = Callable[..., AbstractAsyncContextManager[str]]


def secret(**texts: str) -> Mapping[str, str]:
    """The data of a Secret; tls_crt stands for tls.crt."""
    return {key.replace("_", "."): base64.b64encode(text.encode()).decode() for key, text in texts.items()}


def test_a_token_is_a_bearer() -> None:
    """Without the line break that an editor or echo left."""
    assert parse(secret(token=f"{HIDDEN}\n")).authorization == f"Bearer {HIDDEN}"


def test_a_user_with_a_password_is_basic() -> None:
    """Any signs, in UTF-8."""
    encoded = base64.b64encode(f"ü:{HIDDEN} :".encode()).decode()
    assert parse(secret(username="ü", password=f"{HIDDEN} :")).authorization == f"Basic {encoded}"


def test_keys_combine() -> None:
    """A token beside a client certificate and an authority; unknown keys do not matter."""
    found = parse(secret(token="t", tls_crt="c", tls_key="k", ca_crt="a", other="x"))
    assert found == Credentials("Bearer t", "c", "k", "a")
    assert found.tls
    assert not parse(secret(token="t")).tls


WRONG = {
    "has none of the keys token, username": secret(),
    "has none of the keys token": secret(password_="x"),
    "has both token and username": secret(token=HIDDEN, username="u", password=HIDDEN),
    "has both token and username or password": secret(token=HIDDEN, password=HIDDEN),
    "has username but no password": secret(username="u"),
    "has password but no username": secret(password=HIDDEN),
    "has tls.crt but no tls.key": secret(tls_crt=HIDDEN),
    "has tls.key but no tls.crt": secret(tls_key=HIDDEN, token=HIDDEN),
    "has a colon in username": secret(username=f"a:{HIDDEN}", password=HIDDEN),
    "has spaces or signs in token": secret(token=f"{HIDDEN}\r\nX-Other: 1"),
    "has spaces or signs in token that": secret(token=f"{HIDDEN}ü"),
    "has a token that is no text": {"token": "%%%"},
    "has a password that is no text": {"password": base64.b64encode(b"\xff\xfe").decode(), "username": ""},
}


@pytest.mark.parametrize("words", WRONG)
def test_what_contradicts_itself_names_the_key(words: str) -> None:
    """And never a value."""
    with pytest.raises(CredentialsError) as refused:
        parse(WRONG[words])
    assert str(refused.value).startswith(words)
    assert HIDDEN not in str(refused.value)


def test_nobody_sees_them_by_accident() -> None:
    """Not in a repr, as logs and tracebacks make them."""
    found = parse(secret(token=HIDDEN, tls_crt=HIDDEN, tls_key=HIDDEN, ca_crt=HIDDEN))
    assert HIDDEN not in f"{found} {found!r}"


@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        (Credentials(authority="no PEM"), "ca.crt is no certificate"),
        (Credentials(certificate="no PEM", key=HIDDEN), "tls.crt and tls.key are no certificate and its key"),
    ],
)
def test_what_is_no_pem_names_the_key(credentials: Credentials, words: str) -> None:
    """Before anything is asked."""
    with pytest.raises(CredentialsError, match=words) as refused:
        context(credentials)
    assert HIDDEN not in str(refused.value)


def test_without_keys_for_tls_it_is_spoken_as_usual() -> None:
    """With the authorities of the system."""
    assert context(NO_CREDENTIALS) is True
    assert context(Credentials("Bearer t")) is True


# a server that wants them


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority with a server and a client."""
    made = Authority.create(tmp_path_factory.mktemp("pki"), "ca")
    made.issue("server", "/CN=prometheus", "serverAuth", ["IP:127.0.0.1"])
    made.issue("client", "/CN=chaffinch", "clientAuth")
    return made


def pem(authority: Authority, name: str) -> str:
    """The text of a file."""
    return Path(authority.folder / name).read_text()


@pytest.fixture
def serve(authority: Authority) -> Serve:
    """Start servers that keep the headers they were sent in `seen`."""

    @asynccontextmanager
    async def start(seen: list[Mapping[str, str]], *, tls: bool = False, clients: bool = False) -> AsyncIterator[str]:
        async def query(request: web.Request) -> web.Response:
            seen.append(request.headers)
            return web.Response(body=VECTOR)

        app = web.Application()
        app.router.add_post("/prometheus/api/v1/query", query)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        how = None
        if tls:
            how = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            how.load_cert_chain(authority.folder / "server.crt", authority.folder / "server.key")
            if clients:
                how.load_verify_locations(authority.certificate)
                how.verify_mode = ssl.CERT_REQUIRED
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=how).start()
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}/prometheus/"
        await runner.cleanup()

    return start


async def test_headers_and_authorization_are_sent_below_a_path_prefix(serve: Serve) -> None:
    """As Mimir and Thanos want it: the tenant, the token, and the path before /api/v1."""
    seen: list[Mapping[str, str]] = []
    async with serve(seen) as address, PrometheusServers() as servers:
        await servers.get(address, parse(secret(token=HIDDEN)), {"X-Scope-OrgID": "shop"}).instant("up", AT)
    assert (seen[0]["Authorization"], seen[0]["X-Scope-OrgID"]) == (f"Bearer {HIDDEN}", "shop")


async def test_a_client_certificate_opens_a_server_that_wants_one(serve: Serve, authority: Authority) -> None:
    """With an authority of its own; without either it says what is missing."""
    seen: list[Mapping[str, str]] = []
    ca = Credentials(authority=pem(authority, "ca.crt"))
    both = Credentials("", pem(authority, "client.crt"), pem(authority, "client.key"), ca.authority)
    async with serve(seen, tls=True, clients=True) as address, PrometheusServers() as servers:
        assert await servers.get(address, both).instant("up", AT) == []
        with pytest.raises(ProviderUnreachable, match=r"its certificate is not trusted: .*self-signed"):
            await servers.get(address).instant("up", AT)
        with pytest.raises(ProviderUnreachable, match=address):
            await servers.get(address, ca).instant("up", AT)
    assert len(seen) == 1


async def test_a_server_of_another_name_is_not_trusted(serve: Serve, authority: Authority) -> None:
    """Whoever signed its certificate."""
    ca = Credentials(authority=pem(authority, "ca.crt"))
    async with serve([], tls=True) as address, PrometheusServers() as servers:
        with pytest.raises(ProviderUnreachable, match=r"its certificate is not trusted: .*(localhost|[Hh]ostname)"):
            await servers.get(address.replace("127.0.0.1", "localhost"), ca).instant("up", AT)


async def test_renewed_credentials_are_used_from_then_on(serve: Serve) -> None:
    """Equal ones share a port and its answers."""
    seen: list[Mapping[str, str]] = []
    async with serve(seen) as address, PrometheusServers() as servers:
        for token in ("old", "old", "new"):
            await servers.get(address, parse(secret(token=token))).instant("up", AT)
    assert [headers["Authorization"] for headers in seen] == ["Bearer old", "Bearer new"]


async def test_failures_do_not_tell_them(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the message nor what libraries log at their most talkative."""
    caplog.set_level(logging.DEBUG)
    seen: list[Mapping[str, str]] = []
    credentials = parse(secret(username="u", password=HIDDEN))
    async with serve(seen, tls=True) as address, PrometheusServers() as servers:
        with pytest.raises(ProviderUnreachable) as refused:
            await servers.get(address, credentials, {"X-Scope-OrgID": "shop"}).instant("up", AT)
        with pytest.raises(ProviderUnreachable):
            await servers.get(address.replace("https", "http"), credentials).instant("up", AT)
    told = f"{refused.value!r} {refused.value.__cause__!r} {caplog.text}"
    assert HIDDEN not in told
    assert credentials.authorization not in told
