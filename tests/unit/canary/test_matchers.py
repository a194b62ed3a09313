"""Matchers mean what they mean to Alertmanager, and none can keep the operator busy."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_operator.canary.matchers import BadMatcherError, all_match, parse, parse_all

LABELS = {"alertname": "CheckoutErrors", "severity": "critical", "path": 'a"b\\c\nd', "name.space": "shop"}
MEETS = [
    'alertname="CheckoutErrors"',
    "alertname=CheckoutErrors",
    'alertname = "CheckoutErrors" ',
    'alertname=~"Checkout.*"',
    'alertname=~"Other|Checkout.+"',
    'severity!="warning"',
    'severity!~"warn.*|info"',
    'absent=""',
    'absent!="x"',
    'absent!~".+"',
    'absent=~".*"',
    'path="a\\"b\\\\c\\nd"',
    '"name.space"="shop"',
    "severity=~crit.cal",
    'alertname=~"(?i)checkouterrors"',
]
FAILS = [
    'alertname="Checkout"',
    'alertname=~"Checkout"',
    'alertname=~"Errors"',
    'severity!="critical"',
    'severity!~"crit.*"',
    'absent="x"',
    'absent=~".+"',
    'absent!=""',
]
BAD = {
    "severity": "is no matcher",
    '="x"': "is no matcher",
    '{severity="critical"}': "is no matcher",
    '1abc="x"': "is no matcher",
    'severity="a",team="b"': "must be in double quotes, one matcher an entry",
    'severity="a': "must be in double quotes",
    "severity='a'": "must be in double quotes",
    'severity="\\x"': "is no escape",
    'severity=~"(a"': "missing )",
    'severity=~"(a)\\\\1"': "cannot be used",
    'severity=~"(?=a)"': "cannot be used",
    'severity=~"((a{100}){100}){100}"': "cannot be used",
}


@pytest.mark.parametrize("text", MEETS)
def test_labels_meet(text: str) -> None:
    """Equality and anchored expressions; a label that is not there is empty."""
    assert parse(text).matches(LABELS)


@pytest.mark.parametrize("text", FAILS)
def test_labels_do_not_meet(text: str) -> None:
    """An expression must match the whole value."""
    assert not parse(text).matches(LABELS)


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_matcher_is_refused_by_name(text: str) -> None:
    """The message has the field, the text and the way out."""
    with pytest.raises(BadMatcherError) as caught:
        parse_all(['a="b"', text], "spec.alerts.matchers")
    assert str(caught.value).startswith("spec.alerts.matchers[1]: ")
    assert BAD[text] in str(caught.value)


def test_all_must_match() -> None:
    """One that does not is enough."""
    both = parse_all(['alertname=~"Checkout.*"', 'severity="critical"'], "m")
    assert all_match(both, LABELS)
    assert not all_match(both, {**LABELS, "severity": "warning"})


def test_no_expression_takes_long() -> None:
    """What takes a backtracking engine for ever is matched in a moment, on the longest value that is read."""
    started = time.process_time()
    assert not parse('a=~"(x+x+)+y"').matches({"a": "x" * 1024})
    assert not parse('a=~"(.*)*(.*)*(.*)*z"').matches({"a": "x" * 1024})
    assert time.process_time() - started < 1.0


@given(st.text(max_size=40), st.sampled_from(["=", "!="]), st.text(max_size=40))
def test_any_value_can_be_written(value: str, operator: str, other: str) -> None:
    """Written down and read again, a matcher compares the very same text."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    matcher = parse(f'label{operator}"{escaped}"')
    assert matcher.value == value
    assert parse(str(matcher)) == matcher
    assert matcher.matches({"label": other}) is ((other == value) is (operator == "="))


@given(st.text(alphabet="ab.", max_size=8), st.sampled_from(["a", "b", "a*b", "(a|b)+", "a?b?", "[ab]{2}", r"a\.b"]))
def test_expressions_agree_with_another_engine(value: str, expression: str) -> None:
    """On what both engines know, RE2 and Python say the same."""
    written = expression.replace("\\", "\\\\")
    wanted = re.fullmatch(expression, value) is not None
    assert parse(f'label=~"{written}"').matches({"label": value}) is wanted
    assert parse(f'label!~"{written}"').matches({"label": value}) is not wanted


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing else happens."""
    try:
        matcher = parse(text)
    except BadMatcherError:
        return
    assert matcher.operator in {"=", "!=", "=~", "!~"}
