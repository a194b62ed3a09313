"""What ends the tour early.

TourError    something did not become so in time, or cannot; the message says what to do
"""


class TourError(Exception):
    """The tour cannot go on."""
