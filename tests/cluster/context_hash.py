"""A hash over what an image build reads, so that an unchanged image costs a look at its files and nothing more.

Only the files that the Containerfile copies count: the context is often the whole repository.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

COPYING = ("COPY", "ADD")
IGNORE_FILES = (".containerignore", ".dockerignore")
ALWAYS_IGNORED = ("__pycache__", ".git")
READS_CONTEXT_OTHERWISE = re.compile(r"--mount=\S*type=bind")


def context_hash(containerfile: Path, context: Path) -> str:
    """Changes with the Containerfile, with the ignore file, and with the path, mode or content of each copied file."""
    text = containerfile.read_text()
    digest = hashlib.sha256(text.encode())
    sources = ["."] if READS_CONTEXT_OTHERWISE.search(text) else copied_sources(text)
    ignored = ignored_patterns(context)
    digest.update(repr(ignored).encode())
    for path in sorted(set(_files(context, sources, ignored))):
        digest.update(f"{path.relative_to(context)} {path.stat().st_mode:o}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def copied_sources(containerfile: str) -> list[str]:
    """The sources of the COPY and ADD instructions that come from the context."""
    sources: list[str] = []
    for line in re.sub(r"\\\n", " ", containerfile).splitlines():
        instruction, _, rest = line.strip().partition(" ")
        if instruction.upper() not in COPYING:
            continue
        words = _words(rest)
        options = [word for word in words if word.startswith("--")]
        if not any(option.startswith("--from=") for option in options):
            sources += [word for word in words if word not in options][:-1]
    return sources


def _words(text: str) -> list[str]:
    """The arguments of an instruction in either of its forms: words, or a JSON list after the options."""
    options, bracket, listing = text.partition("[")
    if bracket and all(word.startswith("--") for word in options.split()):
        return [*options.split(), *json.loads(bracket + listing)]
    return shlex.split(text)


def ignored_patterns(context: Path) -> list[str]:
    """The lines of the context's ignore file; exceptions (`!`) are taken as not ignored, which only costs a rebuild."""
    for name in IGNORE_FILES:
        if (context / name).is_file():
            lines = (line.strip().strip("/") for line in (context / name).read_text().splitlines())
            return [line for line in lines if line and not line.startswith(("#", "!"))]
    return []


def _files(context: Path, sources: list[str], ignored: list[str]) -> Iterator[Path]:
    exceptions = any(
        line.strip().startswith("!")
        for name in IGNORE_FILES
        if (context / name).is_file()
        for line in (context / name).read_text().splitlines()
    )
    patterns = [] if exceptions else ignored
    for source in sources:
        for match in [context] if source in (".", "./") else context.glob(source.strip("/").removeprefix("./")):
            for path in [match] if match.is_file() else match.rglob("*"):
                if path.is_file() and not _is_ignored(path.relative_to(context), patterns):
                    yield path


def _is_ignored(path: Path, patterns: list[str]) -> bool:
    ancestors = [path, *path.parents][:-1]
    if any(part in ALWAYS_IGNORED for part in path.parts):
        return True
    return any(fnmatch(str(ancestor), pattern.removeprefix("**/")) for ancestor in ancestors for pattern in patterns)
