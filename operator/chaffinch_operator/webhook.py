"""What Alertmanager sends (webhook, version 4) and answers (API v2), as values. Pure: bytes in, alerts or an error out.

Everything is bounded, and whatever is not as Alertmanager writes it is refused by name: nobody has to guess what half a
payload meant.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

VERSION = "4"
MAX_ALERTS = 1000
MAX_LABELS = 64
MAX_NAME = 128
MAX_VALUE = 1024
"""Characters of a label's value."""
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")
"""FNV-1a of the labels, 64 bits."""
_STATES = ("firing", "resolved")


class MalformedError(ValueError):
    """The payload is not what Alertmanager sends; the message says where."""


class TooManyError(ValueError):
    """More alerts than are read at once."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `fingerprint` and `starts_at` together are its identity: a later firing of the same is another one."""

    fingerprint: str
    starts_at: datetime
    """Aware."""
    labels: Mapping[str, str]
    firing: bool = True

    @property
    def name(self) -> str:
        """Its label alertname."""
        return self.labels.get("alertname", "")


@dataclass(frozen=True, slots=True)
class Notification:
    """One post."""

    alerts: tuple[Alert, ...]
    truncated: int = 0
    """Alerts that Alertmanager left out."""


def notification(raw: bytes) -> Notification:
    """Read the body of a webhook; MalformedError or TooManyError."""
    body = _json(raw)
    if not isinstance(body, dict):
        raise MalformedError("the body must be a JSON object")
    if body.get("version") != VERSION:
        raise MalformedError(f'version must be "{VERSION}", not {_shown(body.get("version"))}')
    truncated = body.get("truncatedAlerts", 0)
    if not isinstance(truncated, int) or isinstance(truncated, bool) or truncated < 0:
        raise MalformedError("truncatedAlerts must be a number of alerts")
    return Notification(_alerts(body.get("alerts"), "alerts"), truncated)


def active(raw: bytes) -> tuple[Alert, ...]:
    """Read the answer of GET /api/v2/alerts; those that are suppressed are left out. MalformedError, TooManyError."""
    body = _json(raw)
    if isinstance(body, list):
        body = [each for each in body if not _suppressed(each)]
    return _alerts(body, "")


def _suppressed(alert: object) -> bool:
    status = alert.get("status") if isinstance(alert, dict) else None
    return isinstance(status, dict) and status.get("state") == "suppressed"


def _json(raw: bytes) -> object:
    try:
        return json.loads(raw)
    except RecursionError:
        raise MalformedError("the body is nested too deeply") from None
    except ValueError as error:
        raise MalformedError(f"the body is not JSON: {str(error)[:100]}") from error


def _alerts(found: object, where: str) -> tuple[Alert, ...]:
    if not isinstance(found, list):
        raise MalformedError(f"{where or 'the answer'} must be a list of alerts")
    if len(found) > MAX_ALERTS:
        raise TooManyError(f"{len(found)} alerts, of which at most {MAX_ALERTS} are read: set max_alerts")
    return tuple(_alert(each, f"{where}[{place}]") for place, each in enumerate(found))


def _alert(found: object, where: str) -> Alert:
    if not isinstance(found, dict):
        raise MalformedError(f"{where} must be an object")
    fingerprint, state = found.get("fingerprint"), found.get("status")
    if not isinstance(fingerprint, str) or not _FINGERPRINT.fullmatch(fingerprint):
        raise MalformedError(f"{where}.fingerprint must be 16 hexadecimal digits, not {_shown(fingerprint)}")
    if isinstance(state, str) and state not in _STATES:
        raise MalformedError(f"{where}.status must be firing or resolved, not {_shown(state)}")
    if not isinstance(state, str | dict):
        raise MalformedError(f"{where}.status is missing")
    return Alert(
        fingerprint,
        _moment(found.get("startsAt"), f"{where}.startsAt"),
        _labels(found.get("labels"), f"{where}.labels"),
        firing=state != "resolved",
    )


def _moment(text: object, where: str) -> datetime:
    try:
        # nanoseconds, as Go writes them in posts, are more than Python reads
        at = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)) if isinstance(text, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or not 1970 <= at.year < 9000:
        raise MalformedError(f"{where} must be a time such as 2026-01-31T12:00:00Z, not {_shown(text)}")
    return at.replace(microsecond=at.microsecond // 1000 * 1000)  # the API cuts there, and both tell of one alert


def _labels(found: object, where: str) -> dict[str, str]:
    if not isinstance(found, dict) or not found:
        raise MalformedError(f"{where} must be an object of strings, and not empty")
    if len(found) > MAX_LABELS:
        raise MalformedError(f"{where} has {len(found)} labels, of which at most {MAX_LABELS} are read")
    for name, value in found.items():
        if not isinstance(value, str):
            raise MalformedError(f"{where}.{_shown(name)} must be a string")
        if len(name) > MAX_NAME or len(value) > MAX_VALUE:
            raise MalformedError(
                f"{where}.{_shown(name)} is too long: at most {MAX_NAME} characters of name and {MAX_VALUE} of value"
            )
        if not (_is_text(name) and _is_text(value)):
            raise MalformedError(f"{where}.{_shown(name)} is not UTF-8 text")
    return found


def _is_text(text: str) -> bool:
    """Whether it can be written as UTF-8: JSON may smuggle in half a surrogate pair."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _shown(value: object) -> str:
    return ascii(value)[:40]
