"""What one request came to, as its client sees it. Pure.

A failure is what a release must never cause: a broken connection, a time-out, an answer that the gateway made up. An
error that the candidate itself was built to answer (it carries the service's own headers) is no failure but evidence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

TRACK = "x-chaffinch-track"
VERSION = "x-sample-version"
INJECTED = "x-sample-injected"
MALFORMED = "Malformed"
TIME_OUT = "TimeOut"
_SAID_BYTES = 120


class Kind(StrEnum):
    """How a request ended."""

    OK = "Ok"
    INJECTED = "Injected"
    """The service answered 5xx because it was told to."""
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request, or many of a kind."""

    kind: Kind
    track: str
    """stable or canary; empty when the service did not answer."""
    version: str
    status: str
    """Status code, with what the answer says if it is a failure, or the name of what broke."""


def answered(status: int, headers: Mapping[str, str], body: bytes = b"") -> Outcome:
    """Judge an answer by its status and its headers (lower case)."""
    track, version = headers.get(TRACK, ""), headers.get(VERSION, "")
    if status < 400 and version:
        return Outcome(Kind.OK, track, version, str(status))
    if status == 500 and version and INJECTED in headers:
        return Outcome(Kind.INJECTED, track, version, str(status))
    said = body[:_SAID_BYTES].decode("latin-1").strip()
    return Outcome(Kind.FAILED, track, version, f"{status} {said}".strip())


def broken(error: BaseException) -> Outcome:
    """Judge an exception instead of an answer."""
    if isinstance(error, TimeoutError):
        return Outcome(Kind.FAILED, "", "", TIME_OUT)
    if isinstance(error, ValueError):
        return Outcome(Kind.FAILED, "", "", MALFORMED)
    return Outcome(Kind.FAILED, "", "", type(error).__name__)
