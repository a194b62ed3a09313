"""Images are written without an image tool; an unchanged application image is recognised."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from cluster.archive import write_image
from cluster.config import ADDONS
from cluster.context_hash import context_hash, copied_sources
from cluster.images import images_for


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program behind a link."""
    (tmp_path / "real").write_text("#!/bin/sh\n")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    return tmp_path / "link"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A build context."""
    folder = tmp_path / "context"
    (folder / "src").mkdir(parents=True)
    (folder / "Containerfile").write_text("FROM python:3.11-slim\nCOPY src /app\n")
    (folder / "src" / "app.py").write_text("one")
    (folder / "notes.txt").write_text("one")
    return folder


def hashed(context: Path) -> str:
    """The hash of the context."""
    return context_hash(context / "Containerfile", context)


def test_archive_names_its_tag_and_layers(tmp_path: Path, program: Path) -> None:
    """The manifest leads to the config and to every layer."""
    write_image(tmp_path / "image.tar", "localhost/x:1", {"Entrypoint": ["/x"]}, {"/x": program})
    with tarfile.open(tmp_path / "image.tar") as archive:
        names = archive.getnames()
        manifest = archive.extractfile("manifest.json")
        assert manifest is not None
        (image,) = json.load(manifest)
    assert image["RepoTags"] == ["localhost/x:1"]
    assert {image["Config"], *image["Layers"]} <= set(names)


def test_links_are_followed(tmp_path: Path, program: Path) -> None:
    """The image holds the file, not a link to nowhere."""
    write_image(tmp_path / "image.tar", "localhost/x:1", {}, {"/bin/x": program})
    with tarfile.open(tmp_path / "image.tar") as archive:
        layer_name = next(name for name in archive.getnames() if name.endswith("layer.tar"))
        layer = archive.extractfile(layer_name)
        assert layer is not None
        with tarfile.open(fileobj=layer) as files:
            member = files.getmember("bin/x")
    assert member.isfile()
    assert (member.uid, member.mtime) == (0, 0)


def test_same_files_make_the_same_archive(tmp_path: Path, program: Path) -> None:
    """No time, owner or order slips in."""
    for name in ("a.tar", "b.tar"):
        write_image(tmp_path / name, "localhost/x:1", {}, {"/x": program})
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_no_image_could_be_pulled() -> None:
    """All names are local, none has the tag whose pull policy is Always."""
    tags = [image.tag for image in images_for(ADDONS)]
    assert all(tag.startswith("localhost/") and not tag.endswith(":latest") for tag in tags)


def test_recipes_of_images_differ() -> None:
    """Each image has its own."""
    images = images_for(ADDONS)
    assert len({image.recipe for image in images}) == len(images)


@pytest.mark.parametrize(
    ("containerfile", "sources"),
    [
        ("COPY a b /app/", ["a", "b"]),
        ("COPY --chown=1:1 a /app/", ["a"]),
        ('COPY ["a b", "/app/"]', ["a b"]),
        ('COPY --chown=1:1 ["a b", "/app/"]', ["a b"]),
        ("COPY --from=build /out /app", []),
        ("copy a \\\n  b \\\n  /app/", ["a", "b"]),
        ("RUN cp a b\nADD c /", ["c"]),
    ],
)
def test_copied_sources(containerfile: str, sources: list[str]) -> None:
    """Only what comes from the context, in both forms of the instruction."""
    assert copied_sources(containerfile) == sources


def test_copied_file_counts(context: Path) -> None:
    """Its content is in the image."""
    before = hashed(context)
    (context / "src" / "app.py").write_text("two")
    assert hashed(context) != before


def test_new_file_in_a_copied_folder_counts(context: Path) -> None:
    """It will be in the image."""
    before = hashed(context)
    (context / "src" / "more.py").write_text("")
    assert hashed(context) != before


def test_containerfile_counts(context: Path) -> None:
    """Its instructions decide."""
    before = hashed(context)
    (context / "Containerfile").write_text("FROM python:3.11-slim\nCOPY src /srv\n")
    assert hashed(context) != before


def test_other_files_do_not_count(context: Path) -> None:
    """The context may be a whole repository."""
    before = hashed(context)
    (context / "notes.txt").write_text("two")
    (context / "src" / "__pycache__").mkdir()
    (context / "src" / "__pycache__" / "app.pyc").write_text("")
    assert hashed(context) == before


def test_ignored_files_do_not_count(context: Path) -> None:
    """The ignore file keeps them out of the image."""
    (context / ".containerignore").write_text("# scratch\n**/*.tmp\n")
    before = hashed(context)
    (context / "src" / "x.tmp").write_text("")
    assert hashed(context) == before


def test_exceptions_in_the_ignore_file_are_never_missed(context: Path) -> None:
    """What `!` brings back counts."""
    (context / ".containerignore").write_text("src\n!src/app.py\n")
    before = hashed(context)
    (context / "src" / "app.py").write_text("two")
    assert hashed(context) != before


def test_bind_mounted_context_counts_as_a_whole(context: Path) -> None:
    """RUN can read anything then."""
    (context / "Containerfile").write_text("FROM python:3.11-slim\nRUN --mount=type=bind,target=/c cat /c/notes.txt\n")
    before = hashed(context)
    (context / "notes.txt").write_text("two")
    assert hashed(context) != before
