"""A payload is read as Alertmanager means it, or refused by the name of what is wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_operator import webhook
from chaffinch_operator.webhook import MalformedError, TooManyError, active, notification

ALERT = {
    "status": "firing",
    "labels": {"alertname": "CheckoutErrors", "severity": "critical"},
    "annotations": {"summary": "many"},
    "startsAt": "2026-01-31T12:00:00.123456789Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus/graph",
    "fingerprint": "0123456789abcdef",
}
POST: dict[str, Any] = {
    "version": "4",
    "groupKey": '{}:{alertname="CheckoutErrors"}',
    "truncatedAlerts": 0,
    "status": "firing",
    "receiver": "chaffinch",
    "groupLabels": {},
    "commonLabels": {},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager",
    "alerts": [ALERT],
}


def raw(**change: Any) -> bytes:
    """The body of a post."""
    return json.dumps({**POST, **change}).encode()


def of(**change: Any) -> bytes:
    """The body of a post with one alert that is otherwise."""
    return raw(alerts=[{**ALERT, **change}])


def test_a_post_of_alertmanager_is_read() -> None:
    """A start is cut to milliseconds, as the API has it: else one alert would count twice."""
    read = notification(raw(truncatedAlerts=3))
    (alert,) = read.alerts
    assert read.truncated == 3
    assert (alert.fingerprint, alert.name, alert.firing) == ("0123456789abcdef", "CheckoutErrors", True)
    assert alert.starts_at == datetime(2026, 1, 31, 12, 0, 0, 123000, tzinfo=UTC)
    assert not notification(of(status="resolved")).alerts[0].firing


BAD: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{", "not JSON"),
    "cut in the middle": (raw()[:200], "not JSON"),
    "no text": (b"\xff\xfe\x00", "not JSON"),
    "nothing": (b"", "not JSON"),
    "deep": (b"[" * 100_000, "nested too deeply"),
    "a number of a million digits": (b'{"version":' + b"9" * 1_000_000 + b"}", "not JSON"),
    "a list": (b"[]", "must be a JSON object"),
    "another version": (raw(version="5"), 'version must be "4"'),
    "a version that is a number": (raw(version=4), 'version must be "4"'),
    "alerts that are no list": (raw(alerts={}), "alerts must be a list"),
    "no alerts": (json.dumps({"version": "4"}).encode(), "alerts must be a list"),
    "truncated by less than nothing": (raw(truncatedAlerts=-1), "truncatedAlerts"),
    "an alert that is text": (raw(alerts=["x"]), "alerts[0] must be an object"),
    "no fingerprint": (of(fingerprint=None), "alerts[0].fingerprint"),
    "a fingerprint of another kind": (of(fingerprint="../../etc"), "alerts[0].fingerprint"),
    "another status": (of(status="burning"), "alerts[0].status"),
    "no status": (of(status=None), "alerts[0].status"),
    "no start": (of(startsAt=None), "alerts[0].startsAt"),
    "a start without a zone": (of(startsAt="2026-01-31T12:00:00"), "alerts[0].startsAt"),
    "the start of time": (of(startsAt="0001-01-01T00:00:00Z"), "alerts[0].startsAt"),
    "the end of time": (of(startsAt="9999-12-31T23:59:59-23:59"), "alerts[0].startsAt"),
    "no labels": (of(labels=None), "alerts[0].labels"),
    "empty labels": (of(labels={}), "alerts[0].labels"),
    "a label that is a number": (of(labels={"a": 1}), "must be a string"),
    "half a character": (of(labels={"a": "\ud800"}), "is not UTF-8"),
    "a long value": (of(labels={"a": "x" * 1025}), "too long"),
    "a long name": (of(labels={"x" * 129: "a"}), "too long"),
    "many labels": (of(labels={f"l{n}": "" for n in range(65)}), "65 labels"),
    "the second alert": (raw(alerts=[ALERT, {}]), "alerts[1].fingerprint"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_named(name: str) -> None:
    """The whole payload is refused: half of one would be guessed at."""
    body, message = BAD[name]
    with pytest.raises(MalformedError) as caught:
        notification(body)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 200


def test_too_many_alerts_are_refused_with_the_way_out() -> None:
    """Alertmanager's own limit is the answer."""
    with pytest.raises(TooManyError, match="max_alerts"):
        notification(raw(alerts=[ALERT] * (webhook.MAX_ALERTS + 1)))


def test_an_answer_of_the_api_is_read() -> None:
    """Suppressed alerts are silenced or inhibited: nobody is told of them."""
    told = {**ALERT, "status": {"state": "active", "silencedBy": []}, "receivers": [{"name": "chaffinch"}]}
    silent = {**told, "status": {"state": "suppressed"}}
    assert [a.firing for a in active(json.dumps([told, silent]).encode())] == [True]
    with pytest.raises(MalformedError, match="the answer must be a list"):
        active(b"{}")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(ALERT)), JSON)
def test_any_field_is_read_or_refused(field: str, value: Any) -> None:
    """Nothing but the two errors is raised, whatever stands where."""
    try:
        read = notification(json.dumps({**POST, "alerts": [{**ALERT, field: value}]}).encode())
    except MalformedError:
        return
    assert read.alerts[0].starts_at.tzinfo is not None


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(body: bytes) -> None:
    """Noise is no post."""
    with pytest.raises(MalformedError):
        notification(body)
