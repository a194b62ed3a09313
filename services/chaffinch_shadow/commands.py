"""Commands that run in a cluster: serve, shard, migrate, cleanup. `register` adds them to the program's."""

import json
import logging
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import asyncpg
import structlog
import typer
import uvloop

from chaffinch_runtime.migrations import SchemaError
from chaffinch_shadow.api.evidence import question
from chaffinch_shadow.api.serve import Ports
from chaffinch_shadow.api.serve import serve as serve_until_told
from chaffinch_shadow.api.service import Service
from chaffinch_shadow.collect.evaluation import BadEvaluationError, Evaluation, load
from chaffinch_shadow.collect.tally import ShardState
from chaffinch_shadow.replay.records import ReplayError
from chaffinch_shadow.replay.shard import Part, worker
from chaffinch_shadow.store.cleanup import Cleanup, clean
from chaffinch_shadow.store.schema import SCHEMA
from chaffinch_shadow.store.write import OvertakenError

_TROUBLE = 1
Done = TypeVar("Done")


def _setting(name: str, text: str) -> Any:  # noqa: ANN401 - typer's own type
    return typer.Option(envvar=f"CHAFFINCH_SHADOW_{name}", help=text)


File = Annotated[Path, _setting("EVALUATION", "JSON file with the evaluation's settings")]
Dsn = Annotated[str, _setting("DSN", "PostgreSQL, as postgresql://user@host/database")]
DsnFile = Annotated[Path | None, _setting("DSN_FILE", "A file with the DSN instead")]
TokenFile = Annotated[Path | None, _setting("TOKEN_FILE", "The API's token; without, no token is asked")]
Host = Annotated[str, _setting("HOST", "Address to listen on")]
MirrorPort = Annotated[int, _setting("MIRROR_PORT", "Where the gateway copies requests to")]
ApiPort = Annotated[int, _setting("PORT", "The API")]
AdminPort = Annotated[int, _setting("ADMIN_PORT", "/healthz, /readyz, /metrics")]
Folder = Annotated[Path, _setting("FOLDER", "Folder with .jsonl and .har files")]
Shards = Annotated[int, typer.Option(envvar="CHAFFINCH_SHADOW_SHARDS", min=1, max=10_000, help="Number of shards")]
Index = Annotated[int, typer.Option(envvar="JOB_COMPLETION_INDEX", min=0, help="Which of them, from 0")]
Output = Annotated[str, typer.Option("-o", "--output", help="text or json")]


def register(app: typer.Typer) -> None:
    """Add the commands to a program."""
    for command in (serve, shard, migrate, cleanup):
        app.command()(command)


def serve(
    evaluation: File,
    dsn: Dsn = "",
    dsn_file: DsnFile = None,
    token_file: TokenFile = None,
    host: Host = "127.0.0.1",
    mirror_port: MirrorPort = 8081,
    port: ApiPort = 8080,
    admin_port: AdminPort = 9090,
) -> None:
    """Take copies of requests, compare the versions on them, answer questions. The schema must be there (migrate)."""
    found, address, token = _evaluation(evaluation), _dsn(dsn, dsn_file), _token(token_file)

    async def run() -> None:
        async with Service(address, found, token) as service:
            await serve_until_told(service, Ports(host, mirror_port, port, admin_port))

    _run(run())


def shard(
    evaluation: File,
    folder: Folder,
    dsn: Dsn = "",
    dsn_file: DsnFile = None,
    shards: Shards = 1,
    index: Index = 0,
) -> None:
    """Replay one shard of recorded requests. Safe to kill and to run again: it goes on from where it was."""
    found, address = _evaluation(evaluation), _dsn(dsn, dsn_file)
    if index >= shards:
        _fail(f"index {index} is not below the number of shards, {shards}: set --shards to the Job's completions")

    async def run() -> ShardState:
        async with worker(address, found, Part(folder, index, shards)) as one:
            return await one.run()

    state = _run(run())
    typer.echo(f"shard {index} of {shards}: {state.progress:,} records")


def migrate(dsn: Dsn = "", dsn_file: DsnFile = None) -> None:
    """Bring the database to this version's schema. Safe to run again, and by several at once."""
    address = _dsn(dsn, dsn_file)

    async def run() -> int:
        connection = await asyncpg.connect(address)
        try:
            return await SCHEMA.migrate(connection)
        finally:
            await connection.close()

    typer.echo(f"schema {_run(run())}")


def cleanup(dsn: Dsn = "", dsn_file: DsnFile = None, output: Output = "text") -> None:
    """Sum up and drop days of samples that are over their retention; those a running evaluation needs are kept."""
    if output not in {"text", "json"}:
        _fail(f'-o must be text or json; got "{output}"')
    address = _dsn(dsn, dsn_file)

    async def run() -> Cleanup:
        connection = await asyncpg.connect(address)
        try:
            await SCHEMA.require_current(connection)
            return await clean(connection, datetime.now(UTC))
        finally:
            await connection.close()

    done = _run(run())
    typer.echo(_as_json(done) if output == "json" else _as_text(done))


def _as_json(done: Cleanup) -> str:
    partitions = [{"name": one.name, "dropped": one.dropped, "reason": one.reason} for one in done.partitions]
    return json.dumps({"partitions": partitions, "evaluationsForgotten": done.evaluations})


def _as_text(done: Cleanup) -> str:
    lines = [f"{'dropped' if one.dropped else 'KEPT'} {one.name}: {one.reason}" for one in done.partitions]
    last = f"evaluations forgotten: {done.evaluations}"
    return "\n".join([*(lines or ["no partition is over its retention"]), last])


def _evaluation(file: Path) -> Evaluation:
    try:
        found = load(file.read_bytes())
        question(found)
    except OSError as problem:
        _fail(f"{file}: {problem.strerror}")
    except BadEvaluationError as problem:
        _fail(f"{file}: {problem}")
    return found


def _dsn(dsn: str, file: Path | None) -> str:
    if bool(dsn) == bool(file):
        _fail("give the database once: CHAFFINCH_SHADOW_DSN (--dsn) or CHAFFINCH_SHADOW_DSN_FILE (--dsn-file)")
    return dsn if file is None else _text(file)


def _token(file: Path | None) -> bytes | None:
    token = None if file is None else _text(file).encode()
    if token == b"":
        _fail(f"{file}: the token is empty")
    return token


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as problem:
        _fail(f"{file}: {problem}")


def _run(work: Coroutine[Any, Any, Done]) -> Done:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    try:
        return uvloop.run(work)
    except (
        SchemaError,
        ReplayError,
        OvertakenError,
        OSError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
    ) as problem:
        _fail(str(problem) or type(problem).__name__)


def _fail(message: str) -> NoReturn:
    typer.echo(f"chaffinch-shadow: {message}", err=True)
    raise typer.Exit(_TROUBLE)
