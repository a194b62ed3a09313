"""Nothing that a rule names is in what is stored, wherever and however it is written."""

from typing import Any
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_shadow.collect.copies import Copy
from chaffinch_shadow.collect.redact import ALWAYS, MASK, Stored, redact
from chaffinch_shadow.collect.rules import read_rules
from unit.shadow.copies import copy

SECRET = "4929 6604-äx\"'q"
DOCUMENTS = st.recursive(
    st.text(max_size=4) | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
CARD = read_rules(["json:$.card"])


def everything(stored: Stored) -> str:
    """All text of what is stored."""
    return orjson.dumps([stored.target, stored.headers, stored.body, stored.note]).decode() + repr(stored)


def posted(document: Any, **headers: str) -> Copy:
    """A JSON request."""
    return copy(method="POST", body=orjson.dumps(document), content_type="application/json", **headers)


@pytest.mark.parametrize("name", sorted(ALWAYS))
def test_credentials_are_masked_without_a_rule(name: str) -> None:
    """Headers that carry credentials are never stored."""
    assert "topsecret" not in everything(redact(Copy("GET", "/", ((name, "Bearer topsecret"),)), read_rules([])))


def test_a_value_masked_in_one_place_is_masked_in_all() -> None:
    """A token that is also in the query, the path or the body does not leak from there."""
    request = Copy(
        "POST",
        "/u/tok-123456?t=tok-123456",
        (("authorization", "Bearer tok-123456"), ("x-copy", "tok-123456"), ("content-type", "application/json")),
        b'{"again": "tok-123456"}',
    )
    assert "tok-123456" not in everything(redact(request, read_rules([])))


@pytest.mark.parametrize(
    ("rule", "document"),
    [
        ("json:$.card", {"card": SECRET}),
        ("json:$.card", {"card": {"number": SECRET, "again": [SECRET]}}),
        ("json:$.users[*].card", {"users": [{"card": SECRET}, {"card": SECRET}]}),
        ("json:$..card", {"a": [{"b": {"card": SECRET}}], "card": {"card": SECRET}}),
        ("json:$['card no'][1]", {"card no": ["x", SECRET]}),
        ("json:$.list.*", {"list": [SECRET, {"x": SECRET}]}),
    ],
)
def test_places_in_json_are_masked(rule: str, document: Any) -> None:
    """Members, indices, wildcards and descendants, at any value."""
    stored = redact(posted(document), read_rules([rule]))
    assert SECRET not in (stored.body or "")
    assert MASK in (stored.body or "")


@given(DOCUMENTS)
def test_a_descendant_rule_finds_every_place(document: Any) -> None:
    """Wherever a member `card` is planted in any document, its value is gone."""
    planted = {"a": [document, {"card": "planted-secret"}], "b": {"card": ["planted-secret", document]}}
    stored = redact(posted(planted), read_rules(["json:$..card"]))
    assert "planted-secret" not in (stored.body or "")


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"card": "4929660400001111", }', {"content_type": "application/json"}),
        (b'card is "4929660400001111"', {"content_type": "text/plain"}),
        (b'{"card": "4929660400001111"}', {"content_type": "application/json", "content_encoding": "gzip"}),
        (b'{"card": "4929660400001111"}', {}),
        (b"[" * 70 + b'{"card":"4929660400001111"}' + b"]" * 70, {"content_type": "application/json"}),
    ],
)
def test_a_body_that_rules_cannot_be_applied_to_is_not_stored(body: bytes, headers: dict[str, str]) -> None:
    """Damaged, encoded, too deep or of another type: left out, and the sample says so."""
    stored = redact(copy(method="POST", body=body, **headers), CARD)
    assert stored.body is None
    assert stored.note
    assert "4929660400001111" not in everything(stored)


@pytest.mark.parametrize("written", [SECRET, quote(SECRET), quote(SECRET).lower()])
def test_parameters_of_queries_and_forms_are_masked(written: str) -> None:
    """`query:token` holds for the query and for a form, in any spelling of the name."""
    rules = read_rules(["query:token"])
    form = copy(
        method="POST",
        target=f"/?a=1&To%6ben={written}",
        body=f"token={written}&b=2".encode(),
        content_type="application/x-www-form-urlencoded",
    )
    stored = redact(form, rules)
    assert written not in everything(stored)
    assert (stored.target, stored.body) == (f"/?a=1&To%6ben={MASK}", f"token={MASK}&b=2")


def test_what_no_rule_names_is_kept() -> None:
    """A sample is there to be looked at."""
    stored = redact(posted({"card": "1", "q": "shoes"}, user_agent="curl"), CARD)
    assert stored.body == '{"card":"[redacted]","q":"shoes"}'
    assert ("user-agent", "curl") in stored.headers


@pytest.mark.parametrize("rule", ["card", "json:card", "json:$", "json:$.a[?(@.b)]", "header:", "body:x"])
def test_a_rule_that_is_not_understood_is_refused(rule: str) -> None:
    """A rule never fails silently: it would store what it was to hide."""
    with pytest.raises(ValueError, match=r"rule|JSONPath|understood"):
        read_rules([rule])
