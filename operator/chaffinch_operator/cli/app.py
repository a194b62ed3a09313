"""The commands of `kubectl chaffinch`: a table of contents. What they do is in look, ask and cleanup."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chaffinch_operator.cli import complete, replay_commands
from chaffinch_operator.cli.failures import UsageProblemError
from chaffinch_operator.cli.flags import global_flags, with_flags

if TYPE_CHECKING:
    from chaffinch_operator.cli.session import Session

app = typer.Typer(
    name="kubectl chaffinch",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smh]?)")
_SIZES = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def _seconds(text: str) -> float:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f'"{text}" is no duration: write it like 90s, 30m or 2h')
    return float(match[1]) * _SIZES[match[2]]


Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the CanaryRollout.", autocompletion=complete.rollout_names)
]
AnyName = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME", help="Name of the CanaryRollout; default: all.", autocompletion=complete.rollout_names
    ),
]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Go on looking; without a terminal, a line per change.")]
UntilDone = Annotated[
    bool,
    typer.Option(
        "--until-done", help="Watch until it is over. Exit code: 0 promoted, 3 rolled back, 4 stalled, 1 time is up."
    ),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        "--timeout", parser=_seconds, metavar="DURATION", help="Stop watching after this time, such as 90s, 30m or 2h."
    ),
]
Everywhere = Annotated[bool, typer.Option("--all-namespaces", "-A", help="All namespaces.")]
Timeout = Annotated[
    float, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="How long to wait for the operator's answer.")
]


@app.callback()
@global_flags
def _chaffinch() -> None:
    """Release software on evidence: look at canary rollouts, and act on them."""


@app.command()
@with_flags
async def status(
    session: "Session",
    name: AnyName = None,
    all_namespaces: Everywhere = False,
    watch: Watch = False,
    until_done: UntilDone = False,
    timeout: TimeLimit = None,  # noqa: ASYNC109 -- of the watch
) -> int:
    """Show one rollout on one screen, or all in a table."""
    from chaffinch_operator.cli import look  # noqa: PLC0415 -- keeps --help quick

    watch = watch or until_done
    if timeout is not None and not watch:
        raise UsageProblemError("--timeout belongs to --watch or --until-done")
    if name is None:
        if until_done or timeout is not None:
            raise UsageProblemError("--until-done and --timeout need the NAME of one rollout")
        return await (look.watch_all if watch else look.show_all)(session, everywhere=all_namespaces)
    if all_namespaces:
        raise UsageProblemError("a NAME lives in one namespace: give -n instead of -A")
    if watch:
        return await look.watch_one(session, name, look.Watching(until_done, timeout))
    return await look.show_one(session, name)


@app.command()
@with_flags
async def explain(session: "Session", name: Name) -> int:
    """Say why the last decision was made."""
    from chaffinch_operator.cli import look  # noqa: PLC0415 -- keeps --help quick

    return await look.show_why(session, name)


async def _ask(session: "Session", name: str, verb: str, timeout: float) -> int:  # noqa: ASYNC109 -- of the operator
    from chaffinch_operator.cli.ask import ask  # noqa: PLC0415 -- keeps --help quick

    return await ask(session, name, verb, timeout)


@app.command()
@with_flags
async def promote(
    session: "Session",
    name: Name,
    force: Annotated[bool, typer.Option("--force", help="Release the candidate now, without full evidence.")] = False,
    timeout: Timeout = 10.0,  # noqa: ASYNC109 -- of the operator
) -> int:
    """Let a rollout go on; with --force, release it."""
    return await _ask(session, name, "promote-force" if force else "promote", timeout)


@app.command()
@with_flags
async def abort(session: "Session", name: Name, timeout: Timeout = 10.0) -> int:  # noqa: ASYNC109 -- of the operator
    """Roll back: all traffic to stable at once."""
    return await _ask(session, name, "abort", timeout)


@app.command()
@with_flags
async def retry(session: "Session", name: Name, timeout: Timeout = 10.0) -> int:  # noqa: ASYNC109 -- of the operator
    """Try a candidate again that was rolled back."""
    return await _ask(session, name, "retry", timeout)


@app.command()
@with_flags
async def pause(session: "Session", name: Name, timeout: Timeout = 10.0) -> int:  # noqa: ASYNC109 -- of the operator
    """Keep the present weight; analysis goes on."""
    return await _ask(session, name, "pause", timeout)


@app.command()
@with_flags
async def resume(session: "Session", name: Name, timeout: Timeout = 10.0) -> int:  # noqa: ASYNC109 -- of the operator
    """End a pause made by `pause`."""
    return await _ask(session, name, "resume", timeout)


PerGate = "[GATE=]NUMBER"


@app.command()
@with_flags
async def plan(
    session: "Session",
    name: AnyName = None,
    file: Annotated[
        str | None, typer.Option("--filename", "-f", metavar="FILE", help="Manifest of a CanaryRollout; - is stdin.")
    ] = None,
    rps: Annotated[
        list[str] | None, typer.Option("--rps", metavar=PerGate, help="Requests a second, of all gates or of one.")
    ] = None,
    bad_rate: Annotated[
        list[str] | None,
        typer.Option("--bad-rate", metavar=PerGate, help="Stable's share of bad requests, such as errors=0.004."),
    ] = None,
    dispersion: Annotated[
        list[str] | None,
        typer.Option("--dispersion", metavar=PerGate, help="Over-dispersion of the counts, 1 or more."),
    ] = None,
    prometheus: Annotated[
        str | None, typer.Option("--prometheus", metavar="URL", help="Ask Prometheus here, directly.")
    ] = None,
    headers: replay_commands.Headers = None,
    token_file: replay_commands.TokenFile = None,
    window: Annotated[
        float, typer.Option("--window", parser=_seconds, metavar="DURATION", help="Traffic of this long counts.")
    ] = "1h",  # type: ignore[assignment] # parsed as if it were typed
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the plan to FILE.svg or FILE.png.")
    ] = None,
) -> int:
    """Forecast how long harm takes to be caught, and a good canary to pass, at the present traffic."""
    from chaffinch_operator.cli import plan as work  # noqa: PLC0415 -- keeps --help quick
    from chaffinch_operator.cli.traffic import by_hand  # noqa: PLC0415 -- keeps --help quick

    given = by_hand(rps or (), bad_rate or (), dispersion or ())
    if window <= 0:
        raise UsageProblemError("--window must be longer than nothing")
    named = replay_commands.named(headers, token_file)
    return await work.show_plan(session, work.Request(name, file, given, prometheus, window, plot, named))


@app.command()
@with_flags
async def cleanup(
    session: "Session",
    name: AnyName = None,
    everything: Annotated[bool, typer.Option("--all", help="All CanaryRollouts of the namespace.")] = False,
    all_namespaces: Everywhere = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also while an operator is running.")] = False,
) -> int:
    """Undo what an uninstalled operator left behind."""
    from chaffinch_operator.cli import cleanup as work  # noqa: PLC0415 -- keeps --help quick

    if (name is None) == (not everything):
        raise UsageProblemError("give either the NAME of one CanaryRollout or --all")
    if name is not None and all_namespaces:
        raise UsageProblemError("a NAME lives in one namespace: give -n instead of -A")
    return await work.clean_up(session, work.Request(name, everywhere=all_namespaces, confirmed=yes, forced=force))


@app.command()
def version() -> None:
    """Print the version of this plugin."""
    from importlib.metadata import version as installed  # noqa: PLC0415 -- keeps --help quick

    typer.echo(f"kubectl-chaffinch {installed('chaffinch')}")


@app.command()
def completion(shell: Annotated[complete.Shell, typer.Argument(help="Which script to print.")]) -> None:
    """Print a completion script."""
    typer.echo(complete.script(shell), nl=False)


replay_commands.register(app)
