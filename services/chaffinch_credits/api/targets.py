"""Where webhooks may go: public addresses by https, and networks that the operator of the service names.

Names are resolved once for each connection, and only what was found to be allowed is connected to: a name that points
elsewhere a moment later (DNS rebinding) gains nothing. There are no redirects and no proxies.
"""

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

Network = IPv4Network | IPv6Network
_NAT64 = ip_network("64:ff9b::/96")
_LONGEST = 2048


class BadTargetError(ValueError):
    """A webhook must not go there; the message says why."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is allowed beside public addresses. networks: may be reached, and by plain http."""

    networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Policy":
        """From networks with commas between them. ValueError names what is none."""
        return cls(tuple(ip_network(part.strip()) for part in text.split(",") if part.strip()))

    def check_url(self, url: str) -> None:
        """BadTargetError unless the URL can be a target; its name is looked at when it is resolved."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise BadTargetError("it is no URL") from error
        if parts.scheme not in {"https", "http"} or not parts.hostname or port == 0 or len(url) > _LONGEST:
            raise BadTargetError("write it as https://host/path")
        if parts.username or parts.password or not url.isascii() or not url.isprintable() or " " in url:
            raise BadTargetError("it must have no user, password, space or other characters than ASCII")
        if parts.scheme == "http" and not self.networks:
            raise BadTargetError("it must be https")
        address = _literal(parts.hostname)
        if address is not None:
            self.check_address(str(address), secure=parts.scheme == "https")

    def check_address(self, text: str, *, secure: bool) -> None:
        """BadTargetError unless the address may be connected to; secure: by https."""
        address = _unwrapped(ip_address(text))
        if any(address in network for network in self.networks if network.version == address.version):
            return
        if not secure:
            raise BadTargetError(f"{text} may be reached by https only")
        if not address.is_global or address.is_multicast:
            raise BadTargetError(f"{text} is no public address")


@dataclass(slots=True)
class CheckedResolver(AbstractResolver):
    """Resolves names to addresses that are allowed. secure: for https."""

    policy: Policy
    secure: bool = True

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """All addresses of a name, as far as they are allowed. OSError when none is."""
        found = await ThreadedResolver().resolve(host, port, family)
        allowed = [one for one in found if self._allows(one["host"])]
        if not allowed:
            raise OSError(None, f"{host} has no address that webhooks may go to")
        return allowed

    async def close(self) -> None:
        """Nothing is kept."""

    def _allows(self, address: str) -> bool:
        try:
            self.policy.check_address(address, secure=self.secure)
        except BadTargetError:
            return False
        return True


def session(policy: Policy, seconds: float, *, secure: bool) -> aiohttp.ClientSession:
    """A client that reaches only what is allowed, and waits so long for an answer."""
    connector = aiohttp.TCPConnector(resolver=CheckedResolver(policy, secure), use_dns_cache=False, force_close=True)
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address
