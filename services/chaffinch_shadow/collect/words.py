"""The words of a shadow evaluation: why a copy has no pair, how a version fails, how large a request is."""

from enum import StrEnum


class Failure(StrEnum):
    """How a version did not answer."""

    TIMED_OUT = "TimedOut"
    AWAY = "Away"
    BROKE_OFF = "BrokeOff"
    ANSWER_TOO_LARGE = "AnswerTooLarge"


class Drop(StrEnum):
    """Why a copy is not among the pairs; the names of a coverage report and of a metric's label."""

    METHOD_NOT_ASKED = "MethodNotAsked"
    UNSAFE_METHOD = "UnsafeMethod"
    DUPLICATE = "Duplicate"
    NO_REQUEST_ID = "NoRequestId"
    TOO_LARGE = "TooLarge"
    QUEUE_FULL = "QueueFull"
    LATE = "Late"
    SHUTTING_DOWN = "ShuttingDown"
    UNREADABLE = "Unreadable"
    STORE_AWAY = "StoreAway"
    CONTROL_TIMED_OUT = "ControlTimedOut"
    CONTROL_AWAY = "ControlAway"
    CONTROL_BROKE_OFF = "ControlBrokeOff"
    CONTROL_ANSWER_TOO_LARGE = "ControlAnswerTooLarge"
    CANDIDATE_TIMED_OUT = "CandidateTimedOut"
    CANDIDATE_AWAY = "CandidateAway"
    CANDIDATE_BROKE_OFF = "CandidateBrokeOff"
    CANDIDATE_ANSWER_TOO_LARGE = "CandidateAnswerTooLarge"

    @property
    def in_scope(self) -> bool:
        """Whether the request should have been compared: these, and the pairs, are what coverage is a share of."""
        return self not in {Drop.METHOD_NOT_ASKED, Drop.UNSAFE_METHOD, Drop.DUPLICATE}


def control_drop(failure: Failure) -> Drop:
    """Return the reason for a failure of the control."""
    return Drop(f"Control{failure.value}")


def candidate_drop(failure: Failure) -> Drop:
    """Return the reason for a failure of the candidate."""
    return Drop(f"Candidate{failure.value}")


SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""RFC 9110, 9.2.1."""

_CLASSES = ((0, "none"), (1 << 10, "1Ki"), (16 << 10, "16Ki"), (256 << 10, "256Ki"), (1 << 20, "1Mi"))


def size_class(body_bytes: int) -> str:
    """Return the class of a body's size, named by its upper limit."""
    return next((name for limit, name in _CLASSES if body_bytes <= limit), "over1Mi")
