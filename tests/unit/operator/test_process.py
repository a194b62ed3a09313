"""The process around it all: command line, logging, what kopf may do."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import kopf
import pytest
import structlog

from chaffinch_operator import __main__ as process
from chaffinch_operator import log, registry
from chaffinch_operator.settings import Settings


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Leave the test run's logging alone."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    quiet = {name: logging.getLogger(name).level for name in ("kopf", "aiohttp.access", "asyncio", "kubernetes")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, old in quiet.items():
        logging.getLogger(name).setLevel(old)
    structlog.reset_defaults()


def test_a_wrong_setting_ends_with_status_2_and_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found at once, not at the first use."""
    monkeypatch.setenv("CHAFFINCH_HTTP_PORT", "http")
    with pytest.raises(SystemExit) as end:
        process.main(["run"])
    assert end.value.code == 2
    assert "CHAFFINCH_HTTP_PORT" in capsys.readouterr().err


def test_help_says_where_the_settings_are(capsys: pytest.CaptureFixture[str]) -> None:
    """The environment, and the file that documents it."""
    with pytest.raises(SystemExit):
        process.main(["--help"])
    assert "settings.py" in capsys.readouterr().out


def test_logs_are_one_json_object_per_line_ours_and_theirs() -> None:
    """One format for everything that reaches the log."""
    stream = io.StringIO()
    log.configure(Settings(), stream)
    structlog.get_logger("chaffinch.test").info("lease_acquired", identity="a")
    logging.getLogger("kopf.x").warning("watch %s", "broke")
    ours, theirs = map(json.loads, stream.getvalue().splitlines())
    assert (ours["event"], ours["identity"], ours["level"], ours["logger"]) == (
        "lease_acquired",
        "a",
        "info",
        "chaffinch.test",
    )
    assert (theirs["event"], theirs["logger"]) == ("watch broke", "kopf.x")


def test_libraries_are_heard_from_warnings_on() -> None:
    """INFO of ours means that a state changed; theirs does not."""
    stream = io.StringIO()
    log.configure(Settings(log_level="debug"), stream)
    logging.getLogger("kopf").info("chatter")
    structlog.get_logger("chaffinch.test").debug("ours")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["ours"]


def test_exceptions_are_logged_with_their_trace() -> None:
    """A bug can be found from the log."""
    stream = io.StringIO()
    log.configure(Settings(), stream)
    structlog.get_logger("chaffinch.test").warning("reconcile_failed", exc_info=ValueError("odd"))
    assert "ValueError: odd" in json.loads(stream.getvalue())["exception"]


def test_the_console_format_is_for_people() -> None:
    """Without colours, for a file too."""
    stream = io.StringIO()
    log.configure(Settings(log_format="console"), stream)
    structlog.get_logger("chaffinch.test").info("lease_acquired", identity="a")
    assert "identity=a" in stream.getvalue()


def test_kopf_may_write_nothing_but_the_finalizer() -> None:
    """No Events, no peering, no scanning; and no handler that keeps its progress in annotations."""
    settings = registry.settings_for_kopf()
    assert settings.persistence.finalizer == "chaffinch.dev/finalizer"
    assert not settings.posting.enabled
    assert settings.peering.standalone
    assert settings.scanning.disabled
    assert registry.REGISTRY._changing.get_all_handlers() == []  # noqa: SLF001 - kopf has no public way to ask


def test_kopf_is_given_one_loop_per_object_and_its_watches() -> None:
    """The table of contents is complete."""
    spawning = registry.REGISTRY._spawning.get_all_handlers()  # noqa: SLF001
    watching = registry.REGISTRY._watching.get_all_handlers()  # noqa: SLF001
    assert [handler.id for handler in spawning] == ["look_after_rollout", "look_after_ledger", "look_after_evaluation"]
    watches = ["deployment_event", "evaluation_event", "ledger_event", "rollout_event"]
    assert sorted(handler.id for handler in watching) == watches
    assert isinstance(registry.REGISTRY, kopf.OperatorRegistry)


async def test_work_ends_when_asked_to_stop() -> None:
    """A standby that waits for the Lease ends at once on SIGTERM."""
    stop = asyncio.Event()
    stop.set()

    async def forever() -> None:
        await asyncio.Event().wait()

    assert await process._unless_stopped(forever(), stop) is False  # noqa: SLF001


async def test_work_that_fails_is_not_taken_for_done() -> None:
    """Its exception comes out."""

    async def fail() -> None:
        raise ValueError("odd")

    with pytest.raises(ValueError, match="odd"):
        await process._unless_stopped(fail(), asyncio.Event())  # noqa: SLF001
