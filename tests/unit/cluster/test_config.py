"""Settings come from the environment, with a refusal for those that could do harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.config import ADDONS, Config, parse_addons
from cluster.errors import ClusterError


def test_empty_environment_gives_the_defaults() -> None:
    """Nothing needs to be set."""
    config = Config.from_env({})
    assert (config.name, config.platform, config.addons) == ("chaffinch", "local", ADDONS)
    assert config.cache == Path.home() / ".cache" / "chaffinch"


def test_environment_decides() -> None:
    """Every setting can be given."""
    config = Config.from_env(
        {"CHAFFINCH_CLUSTER": "two", "CHAFFINCH_CACHE": "/c", "CHAFFINCH_ADDONS": "storage,dns", "CLUSTER": "kind"}
    )
    assert config == Config("two", Path("/c"), "kind", ("dns", "storage"))


@pytest.mark.parametrize("name", ["Chaffinch", "1st", "a/b", "a b", "..", "x-", "n" * 31])
def test_names_that_make_no_path_or_host_are_refused(name: str) -> None:
    """The name becomes a folder, a cgroup, a namespace and a node."""
    with pytest.raises(ClusterError, match="CHAFFINCH_CLUSTER"):
        Config(name, Path("/c"))


def test_unknown_platform_is_refused() -> None:
    """A typo in CLUSTER does not start something else."""
    with pytest.raises(ClusterError, match="local, kind, current"):
        Config.from_env({"CLUSTER": "minikube"})


def test_cache_path_with_blanks_is_refused() -> None:
    """It stands in files and command lines that split at blanks."""
    with pytest.raises(ClusterError, match="without blanks"):
        Config("one", Path("/my cache"))


def test_unknown_addon_is_refused() -> None:
    """A typo is answered with the list."""
    with pytest.raises(ClusterError, match="unknown add-ons dsn; known: dns"):
        parse_addons(["dsn"])


def test_everything_of_two_clusters_is_apart() -> None:
    """Names decide about folder, namespace, cgroup and lock, and none of them is the other's prefix as a path."""
    one, two = Config("a", Path("/c")), Config("a-b", Path("/c"))
    assert not str(two.root).startswith(f"{one.root}/")
    assert {one.cgroup, one.network_namespace, one.lock_file}.isdisjoint(
        {two.cgroup, two.network_namespace, two.lock_file}
    )
