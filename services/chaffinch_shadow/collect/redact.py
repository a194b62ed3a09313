"""What of a request may be stored. Redaction comes first; what cannot be checked is left out."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote_plus

import orjson

from chaffinch_shadow.collect import paths
from chaffinch_shadow.collect.copies import Copy, Headers, first
from chaffinch_shadow.collect.rules import Rules

MASK = "[redacted]"
ALWAYS = frozenset(
    [
        "authorization",
        "cookie",
        "proxy-authorization",
        "x-api-key",
        "x-auth-token",
        "x-csrf-token",
        "x-forwarded-client-cert",
    ]
)
"""Headers that are masked whatever the rules say."""

MOST_BODY, MOST_TARGET, MOST_HEADERS = 8192, 4096, 64
_SHORTEST_SECRET = 6
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Stored:
    """A redacted request. body: None where there was none, or none that may be kept; note: which of the two."""

    method: str
    target: str
    headers: Headers
    body: str | None
    note: str = ""


def redact(copy: Copy, rules: Rules) -> Stored:
    """Return the request without what the rules name; a masked value is masked wherever else it appears."""
    masked = rules.headers | ALWAYS
    secrets = {value for name, value in copy.headers if name in masked}
    secrets |= {value.partition(" ")[2] for value in secrets}
    path, mark, query = copy.target.partition("?")
    secrets |= _masked_values(query, rules)
    body, note, more = _body(copy, rules)
    scrub = _Scrub(secrets | more)
    headers = tuple((name, MASK if name in masked else scrub(value)) for name, value in copy.headers[:MOST_HEADERS])
    target = scrub(path) + mark + scrub(_mask_parameters(query, rules))
    return Stored(copy.method, target[:MOST_TARGET], headers, None if body is None else scrub(body)[:MOST_BODY], note)


def _body(copy: Copy, rules: Rules) -> tuple[str | None, str, set[str]]:
    """Return the body to store, why there is none, and the values that it lost."""
    if not copy.body:
        return None, "", set()
    kind = (first(copy.headers, "content-type") or "").partition(";")[0].strip().lower()
    if first(copy.headers, "content-encoding") not in {None, "identity"}:
        return None, "encoded", set()
    if kind == "application/json" or kind.endswith("+json"):
        return _json_body(copy.body, rules)
    if kind == _FORM:
        text = copy.body.decode("latin-1")
        return _mask_parameters(text, rules), "", _masked_values(text, rules)
    if rules.paths or rules.parameters:
        return None, "rules cannot be applied to this content type", set()
    try:
        return copy.body.decode().replace("\0", "\ufffd"), "", set()
    except UnicodeDecodeError:
        return None, "binary", set()


def _json_body(body: bytes, rules: Rules) -> tuple[str | None, str, set[str]]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None, "no JSON", set()
    if paths.too_deep(document):
        return None, "nested too deeply", set()
    secrets: set[str] = set()
    for path in rules.paths:
        for value in paths.found(document, path):
            secrets |= set(_leaves(value))
        document = paths.replace(document, path, MASK)
    return orjson.dumps(document).decode(), "", secrets


def _leaves(value: Any) -> list[str]:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return [leaf for child in value.values() for leaf in _leaves(child)]
    if isinstance(value, list):
        return [leaf for child in value for leaf in _leaves(child)]
    return [value if isinstance(value, str) else orjson.dumps(value).decode()]


def _named(part: str, rules: Rules) -> bool:
    name = unquote_plus(part.partition("=")[0]).lower()
    return "*" in rules.parameters or name in rules.parameters


def _mask_parameters(query: str, rules: Rules) -> str:
    if not rules.parameters:
        return query
    parts = (f"{part.partition('=')[0]}={MASK}" if part and _named(part, rules) else part for part in query.split("&"))
    return "&".join(parts)


def _masked_values(query: str, rules: Rules) -> set[str]:
    wanted = "&".join(part for part in query.split("&") if part and _named(part, rules)) if rules.parameters else ""
    return {value for _, value in parse_qsl(wanted)} | {part.partition("=")[2] for part in wanted.split("&")}


class _Scrub:
    """Masks values in text, as they are and as URLs and JSON write them."""

    def __init__(self, secrets: set[str]) -> None:
        long = {secret.strip() for secret in secrets if len(secret.strip()) >= _SHORTEST_SECRET} - {MASK}
        forms = {form for secret in long for form in (secret, quote(secret, ""), quote_plus(secret), _escaped(secret))}
        self._forms = sorted(forms, key=lambda form: (-len(form), form))

    def __call__(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, MASK)
        return text


def _escaped(text: str) -> str:
    try:
        return orjson.dumps(text).decode()[1:-1]
    except orjson.JSONEncodeError:
        return text
