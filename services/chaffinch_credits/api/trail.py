"""What is written to audit_logs: who did, or tried, what. Alike events of one second are one row, counted."""

from collections import Counter
from dataclasses import dataclass, field

from chaffinch_credits.store import trail
from chaffinch_credits.store.connection import Connection
from chaffinch_credits.store.trail import Event

MOST_EVENTS = 100
"""Of one second that are not alike: whoever guesses cannot fill the disk either."""
_SHOWN = 200


@dataclass(slots=True)
class Trail:
    """Events that are not written yet. Bounded."""

    _events: Counter[Event] = field(default_factory=Counter)

    def note(self, event: Event) -> None:
        """Remember an event; when there are too many kinds of them, who and what is left out."""
        short = Event(*(part[:_SHOWN] for part in event))
        if short not in self._events and len(self._events) >= MOST_EVENTS:
            short = Event("(many)", short.action, "(many)", short.outcome, "(many)")
        self._events[short] += 1

    async def flush(self, connection: Connection) -> None:
        """Write all; what cannot be written is kept for the next time."""
        if not self._events:
            return
        events, self._events = self._events, Counter()
        try:
            await trail.write(connection, events)
        except BaseException:
            self._events.update(events)
            raise
