"""Times in status are RFC 3339 strings with microseconds, in UTC; here they become datetimes and back. Pure."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def stamp(at: datetime) -> str:
    """2026-01-31T12:00:00Z, with a fraction only where there is one."""
    text = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return text.replace(".000000Z", "Z")


def parse(text: str) -> datetime | None:
    """The time, or None for an empty or damaged text."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def elapsed(since: str, now: datetime) -> float:
    """Seconds since a stamp; 0 when it is empty."""
    at = parse(since)
    return (now - at).total_seconds() if at else 0.0


def ceil_to_grid(at: datetime, step_seconds: float) -> datetime:
    """The next multiple of the step since the epoch, at or after `at`.

    All rollouts of one interval length share this grid, so equal queries are asked once, and a restarted operator
    closes the same intervals as one that was never stopped.
    """
    step = round(step_seconds * 1_000_000)
    micros = (at - EPOCH) // timedelta(microseconds=1)
    return EPOCH + timedelta(microseconds=-(-micros // step) * step)
