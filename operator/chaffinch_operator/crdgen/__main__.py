"""`python -m chaffinch_operator.crdgen`: write the generated files, or with --check say which are stale."""

import argparse
import difflib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from chaffinch_operator.crdgen.files import generated

_ROOT = Path(__file__).resolve().parents[3]


def main(arguments: Sequence[str]) -> int:
    """Return 0, or 1 when --check finds a stale file, or 2 when this is no checkout of the repository."""
    parser = argparse.ArgumentParser(
        prog="python -m chaffinch_operator.crdgen",
        description="Write CRDs, RBAC, the Argo CD fragment and the reference pages from code.",
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 with a diff when a file is stale")
    parser.add_argument("--root", type=Path, default=_ROOT, help="the repository (default: the one this code is in)")
    options = parser.parse_args(arguments)
    if not (options.root / "pyproject.toml").is_file():
        sys.stderr.write(f"{options.root} is no checkout of chaffinch: give --root\n")
        return 2
    texts = generated(options.root)
    if options.check:
        return _check(options.root, texts)
    _write(options.root, texts)
    return 0


def stale(root: Path, texts: dict[str, str]) -> Iterator[str]:
    """Yield a diff from each committed file that differs to what it should be."""
    for name, text in texts.items():
        path = root / name
        present = path.read_text(encoding="utf-8") if path.is_file() else ""
        if present != text:
            yield "".join(
                difflib.unified_diff(
                    present.splitlines(keepends=True),
                    text.splitlines(keepends=True),
                    f"{name} (committed)",
                    f"{name} (code)",
                )
            )


def _check(root: Path, texts: dict[str, str]) -> int:
    diffs = list(stale(root, texts))
    for diff in diffs:
        sys.stdout.write(diff)
    if diffs:
        sys.stderr.write(f"{len(diffs)} generated files are stale: run python -m chaffinch_operator.crdgen\n")
    return 1 if diffs else 0


def _write(root: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        path = root / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote {name}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
