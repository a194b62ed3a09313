"""What is released in the tour, and what is expected of each release. Data only."""

from dataclasses import dataclass

from chaffinch_operator.canary.reasons import Action
from support.sample import Version

USUAL_ERRORS = 0.001
"""Real services fail now and then: one request in a thousand, in all good versions."""
FIRST = Version("v1", error_rate=USUAL_ERRORS)


@dataclass(frozen=True, slots=True)
class Release:
    """One new version, and how it should end."""

    title: str
    version: Version
    expected: Action
    deadline_seconds: float = 420.0
    """For the decision; on a loaded machine pods alone take half a minute."""


RELEASES = (
    Release("a good version", Version("v2", error_rate=USUAL_ERRORS), Action.PROMOTE),
    Release("a version that fails 3 % of its requests", Version("v3", error_rate=0.03), Action.ROLL_BACK),
    Release("a version that is slow, but never fails", Version("v4", slow_rate=0.3, delay_ms=400), Action.ROLL_BACK),
)
