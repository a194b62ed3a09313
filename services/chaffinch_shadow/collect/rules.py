"""Rules such as `header:authorization`, `json:$.card` and `query:token`: what is not stored or not compared."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from chaffinch_shadow.collect.paths import Path, parse


@dataclass(frozen=True, slots=True)
class Rules:
    """Places in a request or an answer.

    Attributes:
        headers: names in lower case.
        parameters: of the query or of a form, in lower case; `*` is all of them.
        paths: in a JSON body.

    """

    headers: frozenset[str] = frozenset()
    parameters: frozenset[str] = frozenset()
    paths: tuple[Path, ...] = field(default=())


def read_rules(texts: Iterable[str]) -> Rules:
    """Return the rules. ValueError naming the one that is wrong."""
    headers, parameters, paths = set(), set(), []
    for text in texts:
        kind, colon, what = text.partition(":")
        if not colon or not what or kind not in {"header", "json", "query"}:
            raise ValueError(f'"{text}" is no rule: write header:NAME, json:$.PATH or query:NAME')
        if kind == "header":
            headers.add(what.lower())
        elif kind == "query":
            parameters.add(what.lower())
        else:
            paths.append(parse(what))
    return Rules(frozenset(headers), frozenset(parameters), tuple(paths))


def header_of(rule: str) -> str:
    """Return the header that a rule like `header:x-client` names. ValueError for any other rule."""
    kind, _, name = rule.partition(":")
    if kind != "header" or not name:
        raise ValueError(f'"{rule}" must name a header, like header:x-client')
    return name.lower()
