"""Builds an application image from its Containerfile with buildah, on the local base image, and imports it.

`FROM python:3.11-slim` and `FROM debian:12-slim` need no change for that: buildah finds the short names under
`localhost/`. Both are the same image here, which is Debian's with its Python.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from cluster.build import Cache, key
from cluster.command import reaching_registries, run
from cluster.config import Config
from cluster.console import Console
from cluster.context_hash import context_hash
from cluster.errors import ClusterError
from cluster.images import DEBIAN_TAG, PYTHON_IMAGE, PYTHON_TAG, ImageStore
from cluster.lock import exclusive

BASE_TAGS = (PYTHON_TAG, DEBIAN_TAG)
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
STORAGE = """[storage]
driver = "overlay"
graphroot = "{folder}/graph"
runroot = "{folder}/run"
[storage.options.overlay]
skip_mount_home = "true"
"""


def build_image(config: Config, containerfile: Path, tag: str, context: Path, console: Console) -> bool:
    """Build `tag` and import it unless the cluster has it, made of the same files; whether it was built."""
    if not containerfile.is_file():
        raise ClusterError(f"no Containerfile at {containerfile}")
    store = _running_store(config)
    recipe = f"{context_hash(containerfile, context)} {key('python')}"
    if store.has(tag, recipe):
        console.say(f"image {tag}: unchanged")
        return False
    Cache.of(config.cache).build(["python"], console)
    builder = ImageBuilder(config.cache)
    with exclusive(config.cache / "buildah.lock", console), console.step(f"image {tag}"):
        builder.provide_base(config)
        builder.build(containerfile, tag, context)
        with tempfile.TemporaryDirectory(dir=config.root) as folder:
            archive = Path(folder) / "image.tar"
            builder.export(tag, archive)
            store.load(archive)
        store.note(tag, recipe)
    return True


def import_archive(config: Config, archive: Path, console: Console) -> None:
    """Import a docker-archive or OCI archive into the running cluster."""
    if not archive.is_file():
        raise ClusterError(f"no file {archive}")
    store = _running_store(config)
    with console.step(f"import {archive}"):
        store.load(archive)


def _running_store(config: Config) -> ImageStore:
    store = ImageStore(config)
    if not store.answers():
        raise ClusterError(f"cluster {config.name} does not run: run `make cluster-up` (python -m cluster up)")
    return store


class ImageBuilder:
    """buildah with a storage of our own, shared by all clusters, so that layers are built once."""

    def __init__(self, cache: Path) -> None:
        self._folder = cache / "buildah"
        self._settings = {"CONTAINERS_STORAGE_CONF": str(self._folder / "storage.conf")}

    def provide_base(self, config: Config) -> None:
        """Copy the base image into the storage when its recipe is new there; its name would say nothing."""
        stamp = self._folder / f"bases-{key('python')}"
        if stamp.exists():
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "storage.conf").write_text(STORAGE.format(folder=self._folder))
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            archive = Path(folder) / "base.tar"
            PYTHON_IMAGE.write(archive, Cache.of(config.cache))
            for tag in BASE_TAGS:
                run(
                    ["skopeo", "copy", "-q", f"docker-archive:{archive}", f"containers-storage:{tag}"],
                    env=self._settings,
                )
        stamp.touch()

    def build(self, containerfile: Path, tag: str, context: Path) -> None:
        """Build with layers; the machine's certificates are mounted for the build only, not baked in."""
        certificates = [f"--volume={CERTIFICATES}:{CERTIFICATES}:ro"] if CERTIFICATES.exists() else []
        options = ["--quiet", "--pull-never", "--layers", "--network=host", "--isolation=chroot", *certificates]
        command = ["buildah", "build", *options, f"--file={containerfile}", f"--tag={tag}", str(context)]
        run(reaching_registries(command), env=self._settings)

    def export(self, tag: str, archive: Path) -> None:
        """Write the image as a docker-archive."""
        run(["buildah", "push", "--quiet", tag, f"docker-archive:{archive}:{tag}"], env=self._settings)
