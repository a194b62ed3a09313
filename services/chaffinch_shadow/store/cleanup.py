"""Retention: days of samples that are over become sums, and evaluations that are long over are forgotten."""

from dataclasses import dataclass
from datetime import datetime

from chaffinch_runtime.migrations import Connection

_LOCK_WAIT = "SET LOCAL lock_timeout = '10s'"


@dataclass(frozen=True, slots=True)
class Partition:
    """What became of an expired partition. reason: why, as a phrase."""

    name: str
    dropped: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Cleanup:
    """What a cleanup did."""

    partitions: tuple[Partition, ...]
    evaluations: int


async def clean(connection: Connection, at: datetime) -> Cleanup:
    """Drop what is over its retention at a time.

    Raises:
        asyncpg.LockNotAvailableError: writers were busy for ten seconds; run it again.

    """
    async with connection.transaction():
        await connection.execute(_LOCK_WAIT)
        rows = await connection.fetch("SELECT * FROM drop_expired_partitions($1)", at)
        gone = await connection.fetchval("SELECT drop_expired_evaluations($1)", at)
    return Cleanup(tuple(Partition(r["partition"], r["dropped"], r["reason"]) for r in rows), gone)
