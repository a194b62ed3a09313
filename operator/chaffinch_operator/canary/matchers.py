"""Matchers of labels in Alertmanager's syntax: `severity="critical"`, `alertname=~"Checkout.*"`. Pure.

Regular expressions are RE2's, as Alertmanager's are: anchored at both ends, and matched in time linear in the value, so
that no expression can keep the operator busy.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import re2

MAX_MEMORY = 1 << 20
"""Bytes that a compiled expression may take; RE2 refuses one that needs more."""
_NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*|"(?:[^"\\]|\\.)+"'
_SHAPE = re.compile(rf"\s*({_NAME})\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BARE = re.compile(r"[^\s\"'`\\{}!=~,]*")
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}
_OPTIONS = re2.Options()
_OPTIONS.max_mem = MAX_MEMORY
_OPTIONS.log_errors = False


class BadMatcherError(ValueError):
    """A matcher cannot be understood; the message names it."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label; a label that is not there is empty."""

    name: str
    operator: str
    value: str
    _test: Callable[[str], bool] = field(repr=False, compare=False)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels meet it."""
        return self._test(labels.get(self.name, ""))

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        name = self.name if re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", self.name) else f'"{self.name}"'
        return f'{name}{self.operator}"{escaped}"'


def parse(text: str, where: str = "matcher") -> Matcher:
    """Read one matcher; BadMatcherError names `where` it stands and what is wrong with it."""
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise BadMatcherError(
            f'{where}: `{text[:100]}` is no matcher: write it like severity="critical" or alertname=~"Checkout.*"'
        )
    name, operator, written = shape.groups()
    value = _value(written, text, where)
    return Matcher(
        _unescaped(name[1:-1], text, where) if name[0] == '"' else name,
        operator,
        value,
        _test(operator, value, text, where),
    )


def parse_all(texts: Sequence[str], where: str) -> tuple[Matcher, ...]:
    """Read a list of matchers."""
    return tuple(parse(text, f"{where}[{place}]") for place, text in enumerate(texts))


def all_match(matchers: Sequence[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether the labels meet every matcher."""
    return all(matcher.matches(labels) for matcher in matchers)


def _value(written: str, text: str, where: str) -> str:
    if quoted := _QUOTED.fullmatch(written):
        return _unescaped(quoted[1], text, where)
    if not _BARE.fullmatch(written):
        raise BadMatcherError(f"{where}: the value in `{text[:100]}` must be in double quotes, one matcher an entry")
    return written


def _unescaped(quoted: str, text: str, where: str) -> str:
    def replaced(found: re.Match[str]) -> str:
        if found[1] not in _ESCAPES:
            raise BadMatcherError(
                f'{where}: `{found[0]}` in `{text[:100]}` is no escape: write \\\\ for a backslash, \\" for a quote'
            )
        return _ESCAPES[found[1]]

    return re.sub(r"\\(.)", replaced, quoted, flags=re.DOTALL)


def _test(operator: str, value: str, text: str, where: str) -> Callable[[str], bool]:
    match operator:
        case "=":
            return lambda found: found == value
        case "!=":
            return lambda found: found != value
    try:
        pattern = re2.compile(value, _OPTIONS)
    except re2.error as error:
        said = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise BadMatcherError(f"{where}: the expression in `{text[:100]}` cannot be used: {said[:100]}") from error
    wanted = operator == "=~"
    return lambda found: (pattern.fullmatch(found) is not None) is wanted
