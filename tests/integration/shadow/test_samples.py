"""What lies in the database: no secret, one partition a day, and sums of the days that are gone."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest

from chaffinch_shadow.collect.evaluation import Evaluation
from chaffinch_shadow.collect.labels import report
from chaffinch_shadow.collect.tally import ShardState, Tally
from chaffinch_shadow.store import labels, reads
from chaffinch_shadow.store.cleanup import clean
from chaffinch_shadow.store.labels import Label
from chaffinch_shadow.store.write import Batch, OvertakenError, conclude, register, state_of, write
from integration.shadow.process import Collector, collecting, command, settings_file, until
from integration.shadow.versions import Version
from support.postgres import Postgres
from unit.shadow.copies import BLOCK, PASS, copy, evaluation, paired

NOW = datetime.now(UTC)
ONE_DAY = timedelta(days=1)
SECRETS = {
    "token": "tok-7d1f0c55e2",
    "cookie": "session-91ab44cc",
    "card": "4929660400001111",
    "password": "correct horse ü+&",
    "key": "sk-planted-000-111",
}


async def dump(connection: asyncpg.Connection) -> str:
    """Every row of every table of the schema, as text, and the server's idea of the queries that it ran."""
    tables = await connection.fetch(
        "SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = current_schema AND c.relkind IN ('r', 'm')"
    )
    assert {"evaluation", "shard_state", "sample_label", "daily_pairs"} <= {t["name"].split(".")[-1] for t in tables}
    texts = [str(row[0]) for t in tables for row in await connection.fetch(f"SELECT x::text FROM {t['name']} x")]
    return "\n".join(texts)


async def test_no_planted_secret_is_anywhere_in_the_database(
    tmp_path: Path, dsn: str, control: Version, candidate: Version, connection: asyncpg.Connection
) -> None:
    """Headers, query, path, JSON, form, and bodies that cannot be read: sent everywhere, stored nowhere."""
    redact = ["header:x-own-key", "json:$.payment.card", "json:$..password", "query:password", "query:key"]
    mirror = {"methods": ["GET", "POST"], "allowUnsafe": True, "redact": redact}
    parts = {"control": control.address, "candidate": candidate.address, "mirror": mirror}
    t, p = SECRETS["token"], SECRETS["password"]
    document = {"payment": {"card": SECRETS["card"]}, "users": [{"password": p}], "note": f"mine is {t}"}
    form = f"password={quote(p)}&key={SECRETS['key']}&q=shoes"
    async with collecting(tmp_path, dsn, settings_file(tmp_path, **parts)) as collector:
        headers: dict[str, Any] = {"authorization": f"Bearer {t}", "cookie": f"s={SECRETS['cookie']}"}
        headers["x_own_key"] = SECRETS["key"]
        await collector.copy(f"/a/{t}?key={SECRETS['key']}&back=%2F{t}", **headers)
        whole = json.dumps(document).encode()
        await collector.copy(method="POST", body=whole, content_type="application/json", **headers)
        await collector.copy(method="POST", body=whole[:-1], content_type="application/json")
        await collector.copy(method="POST", body=form.encode(), content_type="application/x-www-form-urlencoded")
        await collector.copy(method="POST", body=form.encode(), content_type="text/plain")
        await collector.settled(5)
        log = collector.log.read_text()
    stored = await dump(connection)
    assert await connection.fetchval("SELECT count(*) FROM traffic_samples") == 5
    assert "q=shoes" in stored
    for secret in SECRETS.values():
        for written in {secret, quote(secret), quote(secret, ""), json.dumps(secret)[1:-1], secret.split()[-1]}:
            assert written not in stored
            assert written not in log


async def stored(connection: asyncpg.Connection, of: Evaluation, *pairs: Any, day: Any = None) -> int:
    """An evaluation with pairs of (control, candidate), with ids p-0, p-1, ...; its key."""
    registered = await register(connection, of)
    made = [
        paired(of, copy(f"p-{place}"), control, candidate, None) for place, (control, candidate) in enumerate(pairs)
    ]
    batch = Batch("replay-0-of-1", ShardState(0, False, Tally()), made, Tally(), len(made), True, day or NOW.date())
    await write(connection, registered.key, batch)
    return registered.key


async def partitions(connection: asyncpg.Connection) -> list[str]:
    """Names of the partitions."""
    rows = await connection.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'traffic_samples'::regclass"
    )
    return sorted(row["name"] for row in rows)


async def test_an_expired_day_is_dropped_and_its_sums_stay(connection: asyncpg.Connection) -> None:
    """Partition by partition, never row by row; counts before and after are the same."""
    of = evaluation(retention={"samplesDays": 2, "aggregatesDays": 30})
    old = (NOW - 3 * ONE_DAY).date()
    key = await stored(connection, of, (PASS, BLOCK), (BLOCK, BLOCK), (PASS, PASS), day=old)
    await labels.add(connection, key, [Label("p-0", True, NOW), Label("p-1", False, NOW)], "test")
    await connection.execute("SELECT ensure_partition($1)", NOW.date())
    await conclude(connection, key)
    before = report(await reads.groups(connection, key, NOW + 2 * ONE_DAY), None)
    done = await clean(connection, NOW)
    after = report(await reads.groups(connection, key, NOW + 2 * ONE_DAY), None)
    assert [(one.dropped, one.reason) for one in done.partitions] == [(True, "retention is over")]
    assert await partitions(connection) == [f"traffic_samples_{NOW:%Y%m%d}"]
    assert before.tally.to_json() == after.tally.to_json()
    assert after.tally.cells == (0, 0, 0, 1, 0, 1, 0, 0)
    assert await reads.summed_days(connection, key)


async def test_a_day_that_a_running_evaluation_needs_is_refused(connection: asyncpg.Connection) -> None:
    """Whatever its age; and the refusal says for whom."""
    await stored(connection, evaluation(), (PASS, PASS), day=(NOW - 400 * ONE_DAY).date())
    (kept,) = (await clean(connection, NOW)).partitions
    assert (kept.dropped, kept.reason) == (False, "needed by running evaluations: shop/waf-rules")
    assert await partitions(connection) == [kept.name]


async def test_a_day_within_its_retention_is_not_touched(connection: asyncpg.Connection) -> None:
    """Two evaluations of one day: the longer retention holds."""
    for generation, days in ((1, 1), (2, 9)):
        of = evaluation(generation=generation, retention={"samplesDays": days})
        await conclude(connection, await stored(connection, of, (PASS, PASS), day=(NOW - 5 * ONE_DAY).date()))
    assert (await clean(connection, NOW)).partitions == ()
    assert [one.dropped for one in (await clean(connection, NOW + 5 * ONE_DAY)).partitions] == [True]


async def test_sums_are_forgotten_after_their_own_retention(connection: asyncpg.Connection) -> None:
    """Labels, states and sums go with the evaluation, and only when its samples are gone."""
    key = await stored(connection, evaluation(retention={"samplesDays": 1, "aggregatesDays": 30}), (PASS, BLOCK))
    await conclude(connection, key)
    assert (await clean(connection, NOW + 29 * ONE_DAY)).evaluations == 0
    assert (await clean(connection, NOW + 31 * ONE_DAY)).evaluations == 1
    for table in ("shard_state", "daily_pairs", "evaluation"):
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0


def test_the_cleanup_command_says_what_it_did(dsn: str) -> None:
    """It is a CronJob's command."""
    done = command("cleanup", "-o", "json", DSN=dsn)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"partitions": [], "evaluationsForgotten": 0}), done.stderr


async def states_at(connection: asyncpg.Connection, key: int, at: datetime) -> dict[str, int]:
    """Pairs by the state of their label, at a time."""
    return {s.value: n for s, n in report(await reads.groups(connection, key, at), None).states.items() if n}


async def test_states_of_labels(connection: asyncpg.Connection) -> None:
    """In time, late, contradictory, pending and missing are told apart, whenever one asks."""
    of = evaluation(labels={"maxDelaySeconds": 3600})
    key = await stored(connection, of, *[(PASS, PASS)] * 5)
    seen = await connection.fetchval("SELECT max(seen_at) FROM traffic_samples")
    hour = timedelta(hours=1)
    sent = [
        Label("p-0", True, seen + hour / 2),
        Label("p-1", False, seen - hour),
        Label("p-2", True, seen + 2 * hour),
        Label("p-3", True, seen),
        Label("p-3", False, seen),
        Label("unknown", True, seen),
    ]
    assert await labels.add(connection, key, sent, "test") == 6
    assert await labels.add(connection, key, sent, "again") == 0
    at_first = await states_at(connection, key, seen)
    assert at_first == {"positive": 1, "negative": 1, "late": 1, "contradictory": 1, "pending": 1}
    later = await states_at(connection, key, seen + 2 * hour)
    assert later == {"positive": 1, "negative": 1, "late": 1, "contradictory": 1, "missing": 1}


async def test_two_writers_of_one_shard_never_mix(connection: asyncpg.Connection) -> None:
    """The one that lags behind writes nothing at all."""
    of = evaluation()
    key = await stored(connection, of, (PASS, BLOCK))
    late = Batch("replay-0-of-1", ShardState(0, False, Tally()), [paired(of, copy("q"))], Tally(), 1, True, NOW.date())
    with pytest.raises(OvertakenError, match="replay-0-of-1"):
        await write(connection, key, late)
    assert await connection.fetchval("SELECT count(*) FROM traffic_samples") == 1
    assert (await state_of(connection, key, "replay-0-of-1")).progress == 1


async def test_the_header_s_labels_and_the_table_s_give_the_same_counts(connection: asyncpg.Connection) -> None:
    """What a shard counted is what the samples say."""
    of = evaluation(labels={"header": "x-label"})
    registered = await register(connection, of)
    made = [
        paired(of, copy(f"h-{n}", x_label=label), control, candidate)
        for n, (label, control, candidate) in enumerate(
            [("1", PASS, BLOCK), ("0", PASS, BLOCK), ("1", BLOCK, BLOCK), ("", PASS, PASS), ("0", PASS, PASS)]
        )
    ]
    await write(
        connection, registered.key, Batch("s", ShardState(0, False, Tally()), made, Tally(), 5, True, NOW.date())
    )
    counted = await reads.tally(connection, registered.key)
    asked = report(await reads.groups(connection, registered.key, NOW), None).tally
    assert (counted.cells, counted.unlabelled) == (asked.cells, asked.unlabelled)
    assert counted.cells == (1, 1, 0, 0, 0, 1, 0, 1)


@pytest.fixture
def server_of_its_own() -> Any:
    """A server that this test may kill."""
    from support import postgres

    with postgres.running() as found:
        yield found


async def test_while_the_database_is_away_copies_are_taken_and_counted(
    tmp_path: Path, server_of_its_own: Postgres, control: Version, candidate: Version
) -> None:
    """What fits in memory is stored when it is back; what does not is counted; nobody is refused."""
    dsn = server_of_its_own.dsn
    assert command("migrate", DSN=dsn).returncode == 0
    file = settings_file(tmp_path, control=control.address, candidate=candidate.address, limits={"unsaved": 100})
    async with collecting(tmp_path, dsn, file) as collector:
        await collector.copy()
        await collector.settled(1)
        server_of_its_own.kill()
        assert {await collector.copy() for _ in range(150)} == {204}
        unavailable = await collector.api("/v1/cells")
        await until(lambda: _away(collector, "1.0"), "the collector to notice")
        server_of_its_own.start()
        coverage = await collector.settled(151)
        await until(lambda: _away(collector, "0.0"), "the collector to store again")
        log = collector.log.read_text()
    assert (unavailable.status, unavailable.body["code"]) == (503, "database_unavailable")
    lost = sum(int(one["copies"]) for one in coverage["dropped"] if one["reason"] == "StoreAway")
    assert 0 < lost <= 50
    assert int(coverage["pairs"]) == 151 - lost
    assert [one["reason"] for one in coverage["damage"]] == ["CoverageLow"]
    assert '"store_away"' in log
    assert '"store_back"' in log


async def _away(collector: Collector, value: str) -> bool:
    return f"chaffinch_shadow_store_away {value}" in (await collector.admin("metrics")).body
