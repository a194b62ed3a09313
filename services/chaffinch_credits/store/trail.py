"""audit_logs: administration, and attempts that were turned away."""

from collections.abc import Mapping
from typing import NamedTuple

from chaffinch_credits.store.connection import Connection

_INSERT = "INSERT INTO audit_logs (actor, action, object, outcome, origin, times) VALUES ($1, $2, $3, $4, $5, $6)"


class Event(NamedTuple):
    """Something that somebody did. actor: name of the API key, or the database role; origin: address of the client."""

    actor: str
    action: str
    object: str
    outcome: str
    origin: str


async def write(connection: Connection, events: Mapping[Event, int]) -> None:
    """Append events, each with how often it happened. PostgreSQL text has no zero bytes: they are shown."""
    rows = [(*(part.replace("\0", "\\0") for part in event), times) for event, times in events.items()]
    await connection.executemany(_INSERT, rows)


async def as_role(connection: Connection, action: str, what: str) -> None:
    """Append what a command did, by the role that it is connected as."""
    role = await connection.fetchval("SELECT session_user")
    await write(connection, {Event(role, action, what, "done", "command"): 1})
