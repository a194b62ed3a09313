"""Labelled requests: strings of attacks, and lines of English texts as somebody might type them into a form. Pure.

Both come from Debian packages (`packages`), so that nothing of them is in this repository. Texts are no production
traffic: the rate of false alarms on them is a figure of stress.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import quote

WHOLE = 37_000
ATTACKS: Mapping[str, Sequence[str]] = {
    "sql": ("Injections/SQL.txt",),
    "xss": ("Injections/XSS.txt",),
    "xml": ("Injections/XML.txt",),
    "traversal": (
        "Injections/Traversal.txt",
        "vulns/dirTraversal.txt",
        "vulns/dirTraversal-nix.txt",
        "vulns/dirTraversal-win.txt",
    ),
    "injection": ("Injections/All_attack.txt", "Injections/bad_chars.txt"),
}
"""Files by class of attack; a string in several files is of the first class."""
CLASS = "x-class"
TEXT = "text"
_LISTS, _TEXTS = "usr/share/wfuzz/wordlist", "usr/share/games/fortunes"
_SHORTEST, _LONGEST = 12, 200
_HEADERS = {
    "host": "shop.example",
    "accept": "text/html",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
}


@dataclass(frozen=True, slots=True)
class Labelled:
    """One request. kind: class of the attack, or `text`."""

    text: str
    kind: str

    @property
    def request_id(self) -> str:
        """Of the text, so that it is the same everywhere, and its order is none."""
        return blake2b(self.text.encode(), digest_size=8).hexdigest()

    @property
    def attack(self) -> bool:
        """The truth."""
        return self.kind != TEXT

    @property
    def target(self) -> str:
        """One argument, whole."""
        return f"/search?q={quote(self.text, safe='')}"

    @property
    def headers(self) -> dict[str, str]:
        """Those of a browser, and the class."""
        return {**_HEADERS, CLASS: self.kind}

    def record(self) -> dict[str, Any]:
        """As a line of a replay."""
        return {"id": self.request_id, "target": self.target, "headers": self.headers, "label": int(self.attack)}


def write(folder: Path, asked: Sequence[Labelled]) -> None:
    """Write the requests as a file for a replay."""
    folder.mkdir(exist_ok=True)
    (folder / "requests.jsonl").write_text("".join(f"{json.dumps(each.record())}\n" for each in asked))


def requests(files: Path, count: int = WHOLE) -> list[Labelled]:
    """So many of the whole set, in the order of their ids: a smaller number is a random sample of a larger one."""
    attacks = {each.text: each for each in _attacks(files)}
    texts = {each.text: each for each in _texts(files) if each.text not in attacks}
    # an id's digits backwards are an order at random that has nothing to do with that of the ids
    chosen = sorted(texts.values(), key=lambda each: each.request_id[::-1])[: WHOLE - len(attacks)]
    whole = sorted([*attacks.values(), *chosen], key=lambda each: each.request_id)
    if len(whole) < count:
        raise ValueError(f"{files} has {len(whole):,} requests, {count:,} are asked for")
    return whole[:count]


def _attacks(files: Path) -> Iterator[Labelled]:
    """Those in several files several times, the class that counts last."""
    for kind, names in reversed(list(ATTACKS.items())):
        for name in names:
            yield from (Labelled(line, kind) for line in _lines(files / _LISTS / name) if not line.startswith("# "))


def _texts(files: Path) -> Iterator[Labelled]:
    for path in sorted((files / _TEXTS).iterdir()):
        if not path.is_symlink() and not path.suffix:
            for line in _lines(path):
                if _SHORTEST <= len(line) <= _LONGEST:
                    yield Labelled(line, TEXT)


def _lines(path: Path) -> Iterator[str]:
    for line in path.read_text("utf-8", "replace").splitlines():
        if stripped := line.strip():
            yield stripped
