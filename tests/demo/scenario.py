"""What is released in the tour, and what is expected of each release. Data only."""

from dataclasses import dataclass
from typing import Any

from chaffinch_operator.canary.reasons import Action
from support.sample import Version

USUAL_ERRORS = 0.001
"""Real services fail now and then: one request in a thousand, in all good versions."""


def version(name: str, **behaviour: Any) -> Version:
    """A version of the shop, with an image named after it: that is how people tell versions apart."""
    return Version(name, image=f"localhost/shop:{name}", **behaviour)


FIRST = version("v1", error_rate=USUAL_ERRORS)


@dataclass(frozen=True, slots=True)
class Release:
    """One new version, and how it should end."""

    title: str
    version: Version
    expected: Action
    deadline_seconds: float = 420.0
    """For the decision; on a loaded machine pods alone take half a minute."""


RELEASES = (
    Release("a good version", version("v2", error_rate=USUAL_ERRORS), Action.PROMOTE),
    Release("a version that fails 3 % of its requests", version("v3", error_rate=0.03), Action.ROLL_BACK),
    Release("a version that is slow, but never fails", version("v4", slow_rate=0.3, delay_ms=400), Action.ROLL_BACK),
)

IMAGES = (FIRST.image, *(release.version.image for release in RELEASES))
"""Of one content: what a version is like is set by its environment."""
