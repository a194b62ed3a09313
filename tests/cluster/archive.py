"""Writes a container image as a docker-archive, without any image tool.

containerd, skopeo and buildah read it. Everything in it is owned by root and dated 1970, so the same content has the
same digest.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

EPOCH = "1970-01-01T00:00:00Z"
BLOCK_BYTES = 1 << 20
ARCHITECTURE = "amd64"


def write_archive(target: Path, tag: str, config: Mapping[str, Any], layers: Sequence[Path]) -> None:
    """Write the image `tag` with the given run-time config and uncompressed layer tars to `target`."""
    digests = [_digest(layer) for layer in layers]
    image = {
        "architecture": ARCHITECTURE,
        "os": "linux",
        "created": EPOCH,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [{"created": EPOCH, "created_by": "chaffinch"} for _ in digests],
    }
    blob = json.dumps(image).encode()
    name = f"{hashlib.sha256(blob).hexdigest()}.json"
    names = [f"{digest}/layer.tar" for digest in digests]
    manifest = [{"Config": name, "RepoTags": [tag], "Layers": names}]
    with tarfile.open(target, "w") as archive:
        _add(archive, name, blob)
        for layer, layer_name in zip(layers, names, strict=True):
            archive.add(layer, layer_name, filter=_normalised)
        _add(archive, "manifest.json", json.dumps(manifest).encode())


def write_layer(target: Path, files: Mapping[str, Path]) -> None:
    """Write a layer tar with `files`: path in the image -> file here; links are followed."""
    with tarfile.open(target, "w") as layer:
        for inside, path in sorted(files.items()):
            layer.add(path.resolve(), inside.lstrip("/"), filter=_normalised)


def write_image(target: Path, tag: str, config: Mapping[str, Any], files: Mapping[str, Path]) -> None:
    """Write an image of one layer with `files`."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        layer = Path(folder) / "layer.tar"
        write_layer(layer, files)
        write_archive(target, tag, config, [layer])


def _normalised(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = "root"
    return member


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
