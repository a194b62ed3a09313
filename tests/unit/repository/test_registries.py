"""The repository names packages, never the servers they come from: a mirror must be a matter of configuration."""

from __future__ import annotations

import re

import pytest

from support.repository import checkout

# in pieces, so that this file does not find itself
HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("files", "pythonhosted", "org"),
        ("proxy", "golang", "org"),
        ("sum", "golang", "org"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("registry", "npmjs", "org"),
        ("index", "crates", "io"),
        ("docker", "io"),
        ("registry", "k8s", "io"),
        ("ghcr", "io"),
        ("quay", "io"),
        ("gcr", "io"),
    )
)
PATTERN = re.compile(r"(?<![\w.-])(?:[a-z0-9-]+\.)*(?:" + "|".join(map(re.escape, HOSTS)) + r")(?![\w.-]*\w)")


def test_no_registry_is_named() -> None:
    """No file of the repository holds the host name of a package or image registry."""
    found = {name: PATTERN.search(checkout.text(name)) for name in checkout.files()}
    assert [f"{name}: {host[0]}" for name, host in found.items() if host] == []


@pytest.mark.parametrize("text", [f"https://{HOSTS[0]}/simple", f"image: mirror.{HOSTS[8]}/a:1", HOSTS[2]])
def test_a_registry_is_found(text: str) -> None:
    """The pattern finds a host in a URL, an image and alone."""
    assert PATTERN.search(text)


@pytest.mark.parametrize("text", ["rbac.authorization.k8s.io/v1", "gateway.networking.k8s.io", "k8s.io/kubernetes"])
def test_api_groups_and_modules_are_no_registries(text: str) -> None:
    """Names of API groups and of Go modules are not taken for hosts."""
    assert not PATTERN.search(text)
