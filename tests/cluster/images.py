"""The images of the add-ons and the base image, made from built components, and their import into containerd.

Every name starts with `localhost/`, so that nothing can be pulled by accident; never the tag `latest`, whose pull
policy is Always.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import versions
from cluster.archive import write_archive, write_image
from cluster.build import Cache, key
from cluster.command import run, succeeds
from cluster.config import Addon, Config
from cluster.console import Console

PYTHON_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
PYTHON_TAG = f"localhost/python:{versions.PYTHON_BASE}-slim"
DEBIAN_TAG = "localhost/debian:12-slim"
ANSWER_SECONDS = 5
LIBRARY = re.compile(r"(/\S+\.so\S*)")


@dataclass(frozen=True, slots=True)
class Image:
    """An image with the one program of a component, or with a component's root file system."""

    tag: str
    component: str
    config: Mapping[str, Any]
    program: str = ""
    inside: str = ""

    @property
    def recipe(self) -> str:
        """Changes when the image must be made anew."""
        text = json.dumps([self.tag, key(self.component), self.config, self.program, self.inside])
        return hashlib.sha256(text.encode()).hexdigest()

    def write(self, target: Path, cache: Cache) -> None:
        """Write the image as a docker-archive."""
        if not self.program:
            write_archive(target, self.tag, self.config, [cache.path(self.component) / "rootfs.tar"])
            return
        program = cache.program(self.component, self.program)
        write_image(target, self.tag, self.config, {self.inside: program, **shared_libraries(program)})


PAUSE_IMAGE = Image(
    f"localhost/pause:{versions.PAUSE}", "pause", {"Entrypoint": ["/pause"], "User": "65535:65535"}, "pause", "/pause"
)
PYTHON_IMAGE = Image(PYTHON_TAG, "python", {"Cmd": ["python3"], "Env": [f"PATH={PYTHON_PATH}", "LANG=C.UTF-8"]})
BASE_IMAGES = (PAUSE_IMAGE, PYTHON_IMAGE)
ADDON_IMAGES: Mapping[Addon, tuple[Image, ...]] = {
    "dns": (
        Image(f"localhost/coredns:v{versions.COREDNS}", "coredns", {"Entrypoint": ["/coredns"]}, "coredns", "/coredns"),
    ),
    "storage": (),
    "metrics": (
        Image(
            f"localhost/metrics-server:v{versions.METRICS_SERVER}",
            "metrics",
            {"Entrypoint": ["/metrics-server"]},
            "metrics-server",
            "/metrics-server",
        ),
    ),
    "gateway": (
        Image(
            f"localhost/envoy-gateway:v{versions.ENVOY_GATEWAY}",
            "gateway",
            {"Entrypoint": ["envoy-gateway"], "Env": ["PATH=/usr/local/bin"]},
            "envoy-gateway",
            "/usr/local/bin/envoy-gateway",
        ),
        Image(
            f"localhost/envoy:v{versions.ENVOY}",
            "envoy",
            {"Entrypoint": ["envoy"], "Env": ["PATH=/usr/local/bin"]},
            "envoy",
            "/usr/local/bin/envoy",
        ),
    ),
    "prometheus": (
        Image(
            f"localhost/prometheus:v{versions.PROMETHEUS}",
            "prometheus",
            {"Entrypoint": ["/bin/prometheus"]},
            "prometheus",
            "/bin/prometheus",
        ),
    ),
    "alertmanager": (
        Image(
            f"localhost/alertmanager:v{versions.ALERTMANAGER}",
            "alertmanager",
            {"Entrypoint": ["/bin/alertmanager"]},
            "alertmanager",
            "/bin/alertmanager",
        ),
    ),
}


def images_for(addons: Iterable[Addon]) -> list[Image]:
    """The images of a cluster with these add-ons."""
    return [*BASE_IMAGES, *(image for addon in addons for image in ADDON_IMAGES[addon])]


def shared_libraries(program: Path) -> dict[str, Path]:
    """The libraries that a dynamically linked program loads, by the path under which it looks for them."""
    with program.open("rb") as file:
        dynamic = b"ld-linux" in file.read(4096)
    if not dynamic:
        return {}
    return {path: Path(path) for path in LIBRARY.findall(run(["ldd", str(program)]))}


class ImageStore:
    """The images in a cluster's containerd, with a note of the recipe that each was made by."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._notes = config.root / "images.json"
        self._ctr = ["ctr", f"--address={config.containerd_socket}", "--namespace=k8s.io"]

    def has(self, tag: str, recipe: str) -> bool:
        """Whether `tag` is there, made by `recipe`."""
        return self._noted().get(tag) == recipe and tag in self.tags()

    def tags(self) -> set[str]:
        """The names of all images."""
        return set(run([*self._ctr, "images", "ls", "-q"]).split())

    def answers(self) -> bool:
        """Whether containerd serves its API."""
        return succeeds([*self._ctr, "version"], timeout=ANSWER_SECONDS)

    def running_containers(self) -> set[str]:
        """The containers that have a running process."""
        lines = run([*self._ctr, "tasks", "ls"]).splitlines()[1:]
        return {fields[0] for line in lines if (fields := line.split())[2:] == ["RUNNING"]}

    def load(self, archive: Path) -> None:
        """Import a docker-archive or OCI archive."""
        run([*self._ctr, "images", "import", str(archive)])

    def note(self, tag: str, recipe: str) -> None:
        """Remember the recipe; after the import, so that an interrupted one is done again."""
        notes = {**self._noted(), tag: recipe}
        unfinished = self._notes.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(notes, indent=1))
        unfinished.replace(self._notes)

    def provide(self, image: Image, cache: Cache, console: Console) -> None:
        """Make and import an image unless it is there."""
        if self.has(image.tag, image.recipe):
            return
        with console.step(f"image {image.tag}"), tempfile.TemporaryDirectory(dir=self._config.root) as folder:
            archive = Path(folder) / "image.tar"
            image.write(archive, cache)
            self.load(archive)
            self.note(image.tag, image.recipe)

    def _noted(self) -> dict[str, str]:
        try:
            notes: dict[str, str] = json.loads(self._notes.read_text())
        except FileNotFoundError:
            return {}
        return notes
