"""Signatures and targets of webhooks: published vectors, and nowhere that is not public."""

import base64

import pytest

from chaffinch_credits.api.delivery import LONGEST_PAUSE, pause
from chaffinch_credits.api.targets import BadTargetError, CheckedResolver, Policy
from chaffinch_credits.crypto.signing import BadSecretError, headers, read, written

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""Of the Standard Webhooks specification, with the message and the signature below."""


def test_the_published_signature_is_made() -> None:
    """The example of the specification: id, time and body are signed."""
    made = headers([read(SECRET)], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_two_secrets_sign_both() -> None:
    """While they are exchanged."""
    both = headers([read(SECRET), b"o" * 32], "a", 1, b"{}")["webhook-signature"]
    assert both.split(" ")[0] == headers([read(SECRET)], "a", 1, b"{}")["webhook-signature"]
    assert len(both.split(" ")) == 2


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_%%%", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAA"])
def test_what_is_no_secret_is_refused(text: str) -> None:
    """Too short, no base64, no prefix."""
    with pytest.raises(BadSecretError):
        read(text)


def test_a_secret_is_written_as_it_is_read() -> None:
    """Both ways."""
    assert written(read(SECRET)) == SECRET
    assert len(base64.b64decode(SECRET.removeprefix("whsec_"))) == 24


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
    ],
)
def test_only_public_addresses_are_reached(address: str) -> None:
    """Loopback, private, link-local (metadata services), shared and multicast ones, also inside IPv6, are refused."""
    with pytest.raises(BadTargetError):
        Policy().check_address(address, secure=True)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700::1111", "64:ff9b::5db8:d70e"])
def test_public_addresses_are_reached_by_https(address: str) -> None:
    """And by nothing else."""
    Policy().check_address(address, secure=True)
    with pytest.raises(BadTargetError, match="https only"):
        Policy().check_address(address, secure=False)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://example.com/",
        "http://example.com/",
        "https:///path",
        "https://user:secret@example.com/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[fe80::1%25eth0]/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://exa mple.com/",
        "https://example.com/\r\nX: y",
        "https://example.com/" + "a" * 2048,
    ],
)
def test_what_is_no_target_is_refused(url: str) -> None:
    """When it is registered."""
    with pytest.raises(BadTargetError):
        Policy().check_url(url)


def test_named_networks_are_reached_and_by_http_too() -> None:
    """What the operator of the service allows, and no neighbour of it."""
    policy = Policy.parse("10.1.0.0/16, fd00::/8")
    policy.check_url("http://10.1.2.3:8080/hook")
    policy.check_url("https://hooks.internal/")
    for bad in ("http://10.2.0.1/", "https://127.0.0.1/"):
        with pytest.raises(BadTargetError):
            policy.check_url(bad)
    with pytest.raises(ValueError, match="host bits set"):
        Policy.parse("10.1.2.3/16")


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["localhost", "127.1", "2130706433"])
async def test_a_name_that_points_inside_is_not_connected_to(name: str) -> None:
    """What it resolves to is looked at, at each connection; other ways to write an address are names, too."""
    with pytest.raises(OSError, match="no address"):
        await CheckedResolver(Policy()).resolve(name, 443)


def test_pauses_grow_to_an_hour() -> None:
    """Twice as long each time, so that the last of twenty attempts is hours after the first."""
    assert 0.75 <= pause(1.0, 0) <= 1.0
    assert sum(pause(1.0, n) for n in range(19)) > 4 * 3600
    assert pause(1.0, 10_000) <= LONGEST_PAUSE
