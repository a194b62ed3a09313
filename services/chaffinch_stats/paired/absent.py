"""The value of a number that the counts do not define."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NotAvailable:
    """A number without a denominator: never 0, never NaN.

    Attributes:
        why: what is missing, as a clause: "no request of label 1".

    """

    why: str
