"""`status` and `explain`: read, show, and with -w go on reading. Nothing here changes a cluster."""

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass

from rich.console import RenderableType

from chaffinch_operator.cli.documents import list_document, rollout_document
from chaffinch_operator.cli.failures import OK, ROLLED_BACK, STALLED, DeclinedError, UsageProblemError
from chaffinch_operator.cli.flags import Output
from chaffinch_operator.cli.outcome import Outcome, outcome_of, state_word, was_reverted
from chaffinch_operator.cli.rollout import Rollout, rollout_of
from chaffinch_operator.cli.screen import cut, glyphs_for, live, show, show_whole
from chaffinch_operator.cli.session import Session
from chaffinch_operator.cli.show_explain import explanation
from chaffinch_operator.cli.show_status import Look, status_screen
from chaffinch_operator.cli.show_table import plain_line, rollout_table
from chaffinch_operator.cli.world import Gateway
from chaffinch_operator.errors import Refused, Retryable
from chaffinch_operator.resources import CANARYROLLOUTS, DEPLOYMENTS

Draw = Callable[[Rollout], None]

_EVERY_SECONDS = 1.0
_SETTLE_SECONDS = 5.0
"""How long an end that was there from the start is watched before it is believed: the operator may not have seen yet
the template that was applied a moment ago."""
_PATIENCE_SECONDS = 60.0
"""How long the API server may be away while one watches."""
_TELLS_THE_END = {Outcome.ROLLED_BACK: ROLLED_BACK, Outcome.STALLED: STALLED}


@dataclass(frozen=True, slots=True)
class Watching:
    """How to go on looking."""

    until_done: bool = False
    timeout_seconds: float | None = None


async def show_one(session: Session, name: str) -> int:
    """Print one rollout."""
    async with session.cluster() as gateway:
        rollout = await session.find(gateway, name)
    if session.wants_data:
        session.print_data(rollout_document(rollout, session.world.now(), session.where))
    else:
        show(session.console, status_screen(rollout, _look(session)))
    return OK


async def show_all(session: Session, *, everywhere: bool) -> int:
    """Print a table of rollouts."""
    async with session.cluster() as gateway:
        rollouts = await session.find_all(gateway, everywhere=everywhere)
    if session.wants_data:
        session.print_data(list_document(rollouts, session.world.now()))
    elif rollouts:
        show_whole(session.console, _table(session, rollouts, everywhere))
    else:
        session.warn("No CanaryRollouts found" + ("." if everywhere else f" in namespace {session.namespace}."))
    return OK


async def show_why(session: Session, name: str) -> int:
    """Print why the last decision was made."""
    async with session.cluster() as gateway:
        rollout = await session.find(gateway, name)
    if session.wants_data:
        session.print_data(rollout_document(rollout, session.world.now(), session.where))
    else:
        show(session.console, explanation(rollout, _look(session)))
    return OK


async def watch_one(session: Session, name: str, watching: Watching) -> int:
    """Show one rollout until it is over (or for ever); the exit code tells how it ended."""
    if session.wants_data:
        raise UsageProblemError(
            "-w shows a screen; it cannot be combined with -o json or yaml", "ask again and again without -w"
        )
    async with session.cluster() as gateway:
        await session.find(gateway, name)
        with ExitStack() as stack:
            draw = _painter(session, stack, lambda r: status_screen(r, _look(session)))
            return await _watch(session, gateway, name, watching, draw)


async def watch_all(session: Session, *, everywhere: bool) -> int:
    """Show the table for ever; without a terminal a line per change."""
    lines: dict[str, str] = {}
    async with session.cluster() as gateway:
        with ExitStack() as stack:
            screen = stack.enter_context(live(session.console)) if session.on_terminal else None
            while True:
                rollouts = await session.find_all(gateway, everywhere=everywhere)
                if screen is not None:
                    screen.update(cut(session.console, _table(session, rollouts, everywhere)), refresh=True)
                else:
                    _say_changes(session, rollouts, lines)
                await session.world.sleep(2 * _EVERY_SECONDS)


def _say_changes(session: Session, rollouts: list[Rollout], lines: dict[str, str]) -> None:
    for rollout in sorted(rollouts, key=lambda r: r.key):
        line = plain_line(rollout)
        if lines.get(rollout.key) != line:
            lines[rollout.key] = line
            _say_line(session, line)


def _say_line(session: Session, line: str) -> None:
    session.say(f"{session.world.now():%Y-%m-%dT%H:%M:%SZ}  {line}")


def _painter(session: Session, stack: ExitStack, screen_of: Callable[[Rollout], RenderableType]) -> Draw:
    if session.on_terminal:
        screen = stack.enter_context(live(session.console))
        return lambda rollout: screen.update(screen_of(rollout), refresh=True)
    lines: dict[str, str] = {}
    return lambda rollout: _say_changes(session, [rollout], lines)


async def _watch(session: Session, gateway: Gateway, name: str, watching: Watching, draw: Draw) -> int:
    begun = session.world.now()
    was_running = False
    async for rollout in _looks(session, gateway, name):
        draw(rollout)
        spent = (session.world.now() - begun).total_seconds()
        if watching.until_done:
            ended = await _ended(gateway, rollout)
            if ended is not None and (was_running or spent >= _SETTLE_SECONDS):
                return _say_end(session, rollout, ended, was_running=was_running)
            was_running = was_running or ended is None
        if watching.timeout_seconds is not None and spent >= watching.timeout_seconds:
            raise DeclinedError(
                f"{rollout.key} is not over after {watching.timeout_seconds:g} s: it is {state_word(rollout)}",
                f"see why: kubectl chaffinch explain {name}{session.where}",
            )
    return OK


async def _looks(session: Session, gateway: Gateway, name: str) -> AsyncIterator[Rollout]:
    """The rollout again and again; a short absence of the API server is waited out."""
    answered = session.world.now()
    while True:
        try:
            obj = await gateway.get(CANARYROLLOUTS, name, session.namespace)
        except Retryable:
            if (session.world.now() - answered).total_seconds() > _PATIENCE_SECONDS:
                raise
        else:
            answered = session.world.now()
            if obj is None:
                raise DeclinedError(f"{session.namespace}/{name} was deleted meanwhile")
            yield rollout_of(obj)
        await session.world.sleep(_EVERY_SECONDS)


async def _ended(gateway: Gateway, rollout: Rollout) -> Outcome | None:
    """How it ended; None while it goes on, also when a template is held that the operator has not seen yet."""
    outcome = outcome_of(rollout)
    if outcome in _TELLS_THE_END:
        return outcome
    if outcome is not Outcome.AT_REST or await _is_held(gateway, rollout):
        return None
    return outcome


async def _is_held(gateway: Gateway, rollout: Rollout) -> bool:
    """The hold pauses the Deployment in the very write that changes its template, so this is never late."""
    try:
        target = await gateway.get(DEPLOYMENTS, rollout.target, rollout.namespace)
    except Refused:
        return False
    return bool(target and target.get("spec", {}).get("paused"))


def _say_end(session: Session, rollout: Rollout, outcome: Outcome, *, was_running: bool) -> int:
    reverted = was_running and outcome is Outcome.AT_REST and was_reverted(rollout)
    code = ROLLED_BACK if reverted else _TELLS_THE_END.get(outcome, OK)
    if code != OK:
        session.warn(f"{rollout.key}: {state_word(rollout)}. {rollout.sentence}".rstrip())
    return code


def _look(session: Session) -> Look:
    return Look(session.world.now(), glyphs_for(session.console), session.where)


def _table(session: Session, rollouts: list[Rollout], everywhere: bool) -> RenderableType:
    return rollout_table(rollouts, session.world.now(), namespaces=everywhere, wide=session.flags.output is Output.WIDE)
