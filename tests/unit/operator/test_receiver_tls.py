"""The receiver by certificates: who may speak at all, and how certificates are renewed."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from chaffinch_operator import receiver
from chaffinch_operator.settings import Settings
from cluster.pki import Authority
from unit.operator.desk import HEAD, POST, TOKEN, conversation, eventually, open_desk


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities; two servers and a client of the one, a client of the other."""
    folder = tmp_path_factory.mktemp("pki")
    ours, other = (Authority.create(folder, name) for name in ("ca", "other"))
    for name in ("server", "renewed"):
        ours.issue(name, f"/CN={name}", "serverAuth", ["IP:127.0.0.1"])
    ours.issue("client", "/CN=client", "clientAuth")
    other.issue("stranger", "/CN=stranger", "clientAuth")
    return folder


def by_certificate(folder: Path) -> Settings:
    """Settings of a receiver that wants a certificate."""
    return Settings(
        alerts_host="127.0.0.1",
        alerts_port=0,
        alerts_cert_file=str(folder / "tls.crt"),
        alerts_key_file=str(folder / "tls.key"),
        alerts_client_ca_file=str(folder / "ca.crt"),
    )


def installed(pki: Path, folder: Path, server: str) -> None:
    """Put a server's certificate where the receiver looks."""
    for kind in ("crt", "key"):
        (folder / f"tls.{kind}").write_bytes((pki / f"{server}.{kind}").read_bytes())
    (folder / "ca.crt").write_bytes((pki / "ca.crt").read_bytes())


async def over_tls(port: int, pki: Path, client: str = "") -> int:
    """Status of a good post without a token; 0 when there is no connection."""
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    if client:
        context.load_cert_chain(str(pki / f"{client}.crt"), str(pki / f"{client}.key"))
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"https://127.0.0.1:{port}/alerts", json=POST, ssl=context) as answer,
        ):
            return answer.status
    except (aiohttp.ClientError, OSError):
        return 0


async def test_a_certificate_of_the_right_authority_is_enough(pki: Path, tmp_path: Path) -> None:
    """One of another, none at all, or no TLS do not get to speak."""
    installed(pki, tmp_path, "server")
    async with open_desk(by_certificate(tmp_path)) as it:
        assert await over_tls(it.port, pki, "client") == 200
        assert await over_tls(it.port, pki, "stranger") == 0
        assert await over_tls(it.port, pki) == 0
        assert await conversation(it.port, HEAD.encode(), b"Content-Length: 0\r\n\r\n") == b""
        assert len(it.put) == 1


async def test_with_both_both_are_wanted(pki: Path, tmp_path: Path) -> None:
    """A certificate alone is not enough then."""
    installed(pki, tmp_path, "server")
    token = tmp_path / "token"
    token.write_text(TOKEN)
    both = replace(by_certificate(tmp_path), alerts_token_file=str(token))
    async with open_desk(both) as it:
        assert await over_tls(it.port, pki, "client") == 401


async def served_serial(port: int, pki: Path) -> str:
    """Serial number of the certificate that is shown."""
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(str(pki / "client.crt"), str(pki / "client.key"))
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    except OSError:
        return ""
    shown = writer.get_extra_info("peercert")
    writer.close()
    return str(dict(part for entry in shown["subject"] for part in entry)["commonName"])


async def test_renewed_certificates_are_used(pki: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a restart; half a renewal changes nothing for long."""
    monkeypatch.setattr(receiver, "LOOK_SECONDS", 0.05)
    installed(pki, tmp_path, "server")
    async with open_desk(by_certificate(tmp_path)) as it:
        assert await served_serial(it.port, pki) == "server"
        installed(pki, tmp_path, "renewed")
        await eventually(lambda: served_serial(it.port, pki), "renewed")
        await eventually(lambda: over_tls(it.port, pki, "client"), 200)


async def test_certificates_that_come_late_are_waited_for(
    pki: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator starts all the same, and says what is missing."""
    monkeypatch.setattr(receiver, "LOOK_SECONDS", 0.05)
    async with open_desk(by_certificate(tmp_path)) as it:
        assert it.receiver is not None
        assert "the certificates cannot be used" in it.receiver.state
        installed(pki, tmp_path, "server")

        async def listening() -> bool:
            return it.receiver is not None and it.receiver.port > 0

        await eventually(listening, wanted=True)
        port = it.receiver.port
        await eventually(lambda: over_tls(port, pki, "client"), 200)
        assert it.receiver.state == f"received on port {it.receiver.port}"
