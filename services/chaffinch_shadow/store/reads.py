"""Reading: sums, lists of samples, and rows for the analysis."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from chaffinch_runtime.migrations import Connection
from chaffinch_shadow.collect.labels import Group, LabelState
from chaffinch_shadow.collect.tally import ShardState, Tally, total
from chaffinch_shadow.store.write import Registered

MOST_LISTED = 500
_STATES = "SELECT shard, progress, done, tally FROM shard_state WHERE evaluation = $1 ORDER BY shard"
_GROUPS = "SELECT * FROM label_groups($1, $2)"
_LIST = """
SELECT s.request_id, s.seen_at, s.ordinal, s.stratum, s.cluster, l.state, s.control, s.candidate, s.control_score,
       s.candidate_score, s.differing, s.audited, s.control_status, s.candidate_status, s.method, s.target, s.headers,
       s.body, s.note
FROM traffic_samples s JOIN labelled_samples($1, $2) l ON l.day = s.day AND l.request_id = s.request_id
WHERE s.evaluation = $1 AND (s.ordinal, s.request_id) > ($3, $4) AND {which}
ORDER BY s.ordinal, s.request_id LIMIT $5"""
_ROWS = """
SELECT l.state, s.control::int AS control, s.candidate::int AS candidate, s.control_score, s.candidate_score, s.cluster,
       s.stratum, s.ordinal, s.request_id
FROM traffic_samples s JOIN labelled_samples($1, $2) l ON l.day = s.day AND l.request_id = s.request_id
WHERE s.evaluation = $1 ORDER BY s.ordinal, s.request_id"""
_RETAINED = """
SELECT count(*) FROM daily_pairs WHERE evaluation = $1"""


class Listing(StrEnum):
    """Samples that somebody wants to look at."""

    DISCORDANT = "discordant"
    LOST = "lost"
    GAINED = "gained"
    NEW_FALSE_ALARMS = "new-false-alarms"
    REPAIRED_FALSE_ALARMS = "repaired-false-alarms"
    DIFFERING = "differing"
    TO_LABEL = "to-label"


_WHICH = {
    Listing.DISCORDANT: "s.control <> s.candidate",
    Listing.LOST: "s.control AND NOT s.candidate AND l.state = 'positive'",
    Listing.GAINED: "s.candidate AND NOT s.control AND l.state = 'positive'",
    Listing.NEW_FALSE_ALARMS: "s.candidate AND NOT s.control AND l.state = 'negative'",
    Listing.REPAIRED_FALSE_ALARMS: "s.control AND NOT s.candidate AND l.state = 'negative'",
    Listing.DIFFERING: "s.differing",
    Listing.TO_LABEL: "(s.control <> s.candidate OR s.audited) AND l.state IN ('pending', 'missing', 'contradictory')",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: after this sample."""

    ordinal: int = -(2**63)
    request_id: str = ""


async def find(connection: Connection, uid: UUID, generation: int) -> Registered | None:
    """The row of an evaluation, if somebody registered it."""
    row = await connection.fetchrow(
        "SELECT key, (started_at AT TIME ZONE 'UTC')::date AS day, running FROM evaluation"
        " WHERE uid = $1 AND generation = $2",
        uid,
        generation,
    )
    return None if row is None else Registered(row["key"], row["day"], row["running"])


async def states(connection: Connection, evaluation: int) -> dict[str, ShardState]:
    """The state of every shard and collector. ValueError when one is damaged."""
    rows = await connection.fetch(_STATES, evaluation)
    return {r["shard"]: ShardState(r["progress"], r["done"], Tally.from_json(r["tally"])) for r in rows}


async def tally(connection: Connection, evaluation: int) -> Tally:
    """The sum over all shards and collectors."""
    return total(state.tally for state in (await states(connection, evaluation)).values())


async def groups(connection: Connection, evaluation: int, at: datetime) -> list[Group]:
    """Pairs by verdicts and by what is known of their labels at a time."""
    rows = await connection.fetch(_GROUPS, evaluation, at)
    return [Group(r["stratum"], r["verdicts"], r["audited"], LabelState(r["state"]), r["pairs"]) for r in rows]


async def listed(  # noqa: PLR0913, RUF100
    connection: Connection, evaluation: int, listing: Listing, at: datetime, after: Place, limit: int
) -> list[asyncpg.Record]:
    """A page of samples in their order."""
    query = _LIST.format(which=_WHICH[listing])
    return list(await connection.fetch(query, evaluation, at, after.ordinal, after.request_id, limit))


async def rows(connection: Connection, evaluation: int, at: datetime) -> AsyncIterator[asyncpg.Record]:
    """Every sample in its order, for the analysis. Needs a transaction."""
    async for row in connection.cursor(_ROWS, evaluation, at, prefetch=2000):
        yield row


async def summed_days(connection: Connection, evaluation: int) -> bool:
    """Whether some days are left as sums only, so that rows are not all that is known."""
    return bool(await connection.fetchval(_RETAINED, evaluation))


def headers_of(row: asyncpg.Record) -> Any:  # noqa: ANN401 - JSON
    """The stored headers of a listed sample."""
    return orjson.loads(row["headers"])
