"""Writing: an evaluation's row, and samples with the counts that they belong to, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import orjson

from chaffinch_runtime.migrations import Connection
from chaffinch_shadow.collect.evaluation import Evaluation
from chaffinch_shadow.collect.pairing import Made, Sample, duplicate
from chaffinch_shadow.collect.tally import ShardState, Tally, total

_REGISTER = """
INSERT INTO evaluation (uid, generation, namespace, name, max_delay, samples_days, aggregates_days)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (uid, generation) DO UPDATE SET samples_days = excluded.samples_days,
    aggregates_days = excluded.aggregates_days, max_delay = excluded.max_delay
RETURNING key, started_at, running"""
_SUPERSEDE = """
UPDATE evaluation SET running = false, ended_at = now() WHERE uid = $1 AND generation < $2 AND running"""
_INCOMING = """
CREATE TEMPORARY TABLE IF NOT EXISTS incoming (LIKE traffic_samples INCLUDING DEFAULTS) ON COMMIT DELETE ROWS"""
_INSERT = """
INSERT INTO traffic_samples SELECT * FROM incoming ORDER BY ordinal
ON CONFLICT DO NOTHING RETURNING ordinal, request_id"""
_STATE = "SELECT progress, done, tally FROM shard_state WHERE evaluation = $1 AND shard = $2 FOR UPDATE"
_KEEP = """
INSERT INTO shard_state (evaluation, shard, progress, done, tally) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (evaluation, shard) DO UPDATE SET progress = excluded.progress, done = excluded.done,
    tally = excluded.tally, updated_at = now()"""
_COLUMNS = (
    "day evaluation request_id ordinal stratum cluster label control candidate control_score candidate_score differing"
    " audited control_status candidate_status size method target headers body note"
)


class OvertakenError(Exception):
    """Another process went on with this shard: this one must not write any more."""


@dataclass(frozen=True, slots=True)
class Registered:
    """An evaluation's row. day: that of its start, UTC."""

    key: int
    day: date
    running: bool


async def register(connection: Connection, evaluation: Evaluation) -> Registered:
    """Write the evaluation down, once a generation; those before it are over."""
    row = await connection.fetchrow(
        _REGISTER,
        evaluation.uid,
        evaluation.generation,
        evaluation.namespace,
        evaluation.name,
        timedelta(seconds=evaluation.labels.max_delay_seconds),
        evaluation.retention.samples_days,
        evaluation.retention.aggregates_days,
    )
    assert row is not None
    await connection.execute(_SUPERSEDE, evaluation.uid, evaluation.generation)
    return Registered(row["key"], row["started_at"].astimezone(UTC).date(), row["running"])


async def conclude(connection: Connection, evaluation: int) -> None:
    """Mark an evaluation as over; its partitions may go when their time has come."""
    await connection.execute(
        "UPDATE evaluation SET running = false, ended_at = now() WHERE key = $1 AND running", evaluation
    )


async def state_of(connection: Connection, evaluation: int, shard: str) -> ShardState:
    """Where a shard is; its row is locked until the transaction ends."""
    row = await connection.fetchrow(_STATE, evaluation, shard)
    return ShardState(0, False, Tally()) if row is None else _state(row["progress"], row["done"], row["tally"])


def _state(progress: int, done: bool, tally: str) -> ShardState:  # noqa: FBT001, RUF100
    return ShardState(progress, done, Tally.from_json(tally))


@dataclass(frozen=True, slots=True)
class Batch:
    """What a shard did since `state`: `made` of so many records, and drops without a sample.

    day: the partition; a replay's is that of its start, so that a repetition meets what is there.
    """

    shard: str
    state: ShardState
    made: Sequence[Made]
    dropped: Tally
    records: int
    done: bool
    day: date


async def write(connection: Connection, evaluation: int, batch: Batch) -> ShardState:
    """Write a batch, all of it or nothing, and return the shard's new state.

    Raises:
        OvertakenError: the shard is not where this process left it.
        asyncpg.PostgresError, OSError: the outcome may be unknown; reading the state tells.

    """
    samples = [one.sample for one in batch.made if one.sample is not None]
    async with connection.transaction():
        await connection.execute("SELECT ensure_partition($1)", batch.day)
        before = await state_of(connection, evaluation, batch.shard)
        if (before.progress, before.done) != (batch.state.progress, batch.state.done):
            raise OvertakenError(f"shard {batch.shard} was continued by another process, at record {before.progress}")
        new = await _insert(connection, evaluation, batch.day, samples)
        counts = total([before.tally, batch.dropped, *(_counted(one, new) for one in batch.made)])
        after = ShardState(before.progress + batch.records, batch.done, counts)
        text = after.tally.to_json().decode()
        await connection.execute(_KEEP, evaluation, batch.shard, after.progress, after.done, text)
    return after


def _counted(made: Made, new: set[tuple[int, str]]) -> Tally:
    """Return what a copy counts for: a pair whose request id was there already is a duplicate."""
    sample = made.sample
    if sample is None or (sample.ordinal, sample.request_id) in new:
        return made.counts
    return duplicate(sample.size)


async def _insert(
    connection: Connection, evaluation: int, day: date, samples: Sequence[Sample]
) -> set[tuple[int, str]]:
    """Insert samples and return the (ordinal, request id) of those that were not there."""
    if not samples:
        return set()
    await connection.execute(_INCOMING)
    rows = [_row(evaluation, day, sample) for sample in samples]
    await connection.copy_records_to_table("incoming", records=rows, columns=_COLUMNS.split())
    return {(row["ordinal"], row["request_id"]) for row in await connection.fetch(_INSERT)}


def _row(evaluation: int, day: date, s: Sample) -> tuple[object, ...]:
    r = s.request
    headers = orjson.dumps(r.headers).decode().replace("\\u0000", "\\ufffd")
    verdicts = (s.label, s.control, s.candidate, s.control_score, s.candidate_score, s.differing, s.audited)
    stored = (s.size, r.method, r.target, headers, r.body, r.note)
    names = (day, evaluation, s.request_id, s.ordinal, s.stratum, s.cluster)
    return (*names, *verdicts, s.control_status, s.candidate_status, *stored)


def today() -> date:
    """The partition of now."""
    return datetime.now(UTC).date()
