"""The commands that look back, `backtest` and `report`: their options. What they do is in backtest, aa and report."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chaffinch_operator.cli import complete
from chaffinch_operator.cli.failures import UsageProblemError
from chaffinch_operator.cli.flags import with_flags

if TYPE_CHECKING:
    from chaffinch_operator.cli.session import Session

_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SIZES = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TIME = "TIME"


def duration(text: str) -> float:
    """Seconds of a duration such as 90s, 30m, 2h or 1d."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f'"{text}" is no duration: write it like 90s, 30m, 2h or 1d')
    return float(match[1]) * _SIZES[match[2]]


def moment(text: str, now: datetime) -> datetime:
    """A time (without a zone: UTC), or a duration ago."""
    if _DURATION.fullmatch(text):
        return now - timedelta(seconds=duration(text))
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageProblemError(f'"{text}" is no time: write it like 2h (ago), or 2026-01-31T12:00:00Z') from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def header(text: str) -> tuple[str, str]:
    """A header of HTTP, as "Name: value"."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise UsageProblemError("--header is written as 'Name: value', such as 'Authorization: Bearer ...'")
    return name.strip(), value.strip()


File = Annotated[str, typer.Option("--file", "-f", metavar="FILE", help="Manifest with the CanaryRollout; - is stdin.")]
Rollout = Annotated[str | None, typer.Option("--rollout", metavar="NAME", help="Which one, if the file has several.")]
History = Annotated[
    str | None,
    typer.Option("--history", metavar="FILE", help="CSV of interval_end,arm,gate,bad,total; - is stdin."),
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar=_TIME, help="Ask Prometheus from then on: 2h (ago), or 2026-01-31T12:00:00Z."),
]
To = Annotated[str | None, typer.Option("--to", metavar=_TIME, help="Until then; default: now.")]
Prometheus = Annotated[
    str | None,
    typer.Option("--prometheus", metavar="URL", help="Server that can be reached from here; default: the spec's."),
]
Headers = Annotated[
    list[str] | None, typer.Option("--header", metavar="'NAME: VALUE'", help="Header for Prometheus; repeatable.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", metavar="FILE", help="Bearer token for Prometheus, instead of the spec's Secret."),
]
Phi = Annotated[float | None, typer.Option("--dispersion", min=1.0, metavar="NUMBER", help="Dispersion of every gate.")]
Baseline = Annotated[
    str | None,
    typer.Option("--baseline-history", metavar="FILE", help="CSV of equal versions, for dispersion Auto."),
]
Warm = Annotated[
    float, typer.Option("--warm", parser=duration, metavar="DURATION", help="Start of the CSV with equal versions.")
]
Weight = Annotated[
    float | None,
    typer.Option("--weight", min=0.0, max=100.0, metavar="PERCENT", help="Intended share of the canary throughout."),
]
IgnoreSteps = Annotated[bool, typer.Option("--ignore-steps", help="Promote as soon as every gate passes.")]
Plot = Annotated[str | None, typer.Option("--plot", metavar="FILE.svg", help="Draw the evidence over time.")]
ReportFile = Annotated[str | None, typer.Option("--report", metavar="FILE.html", help="Write a page of it.")]
Trials = Annotated[
    int | None,
    typer.Option(
        "--aa", min=1, max=1_000_000, metavar="N", help="A/A: false alarms of N rollouts drawn from equal versions."
    ),
]
Length = Annotated[
    float | None,
    typer.Option("--aa-length", parser=duration, metavar="DURATION", help="Of each; default: promotion.maxDuration."),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Of the draws of --aa.")]


def named(headers: list[str] | None, token_file: Path | None) -> dict[str, str]:
    """Headers for Prometheus as given, with the token of a file."""
    from chaffinch_operator.cli.login import headers_of  # noqa: PLC0415 -- keeps --help quick

    return headers_of(dict(map(header, headers or ())), token_file)


@with_flags
async def backtest(
    session: "Session",
    file: File,
    rollout: Rollout = None,
    history: History = None,
    start: From = None,
    end: To = None,
    prometheus: Prometheus = None,
    headers: Headers = None,
    token_file: TokenFile = None,
    dispersion: Phi = None,
    baseline_history: Baseline = None,
    warm: Warm = "0s",  # type: ignore[assignment] # parsed
    weight: Weight = None,
    ignore_steps: IgnoreSteps = False,
    plot: Plot = None,
    report: ReportFile = None,
    aa: Trials = None,
    aa_length: Length = None,
    seed: Seed = 0,
) -> int:
    """Replay a spec on history: a CSV, or what Prometheus remembers. Needs no cluster."""
    from chaffinch_operator.cli import aa as trials  # noqa: PLC0415 -- keeps --help quick
    from chaffinch_operator.cli import backtest as work  # noqa: PLC0415 -- keeps --help quick
    from chaffinch_operator.cli.replay_output import Outputs  # noqa: PLC0415 -- keeps --help quick

    now = session.world.now()
    source = work.Source(
        csv=history,
        start=moment(start, now) if start else None,
        end=moment(end, now) if end else None,
        prometheus=prometheus,
        headers=named(headers, token_file),
    )
    request = work.Request(
        file, source, rollout, dispersion, baseline_history, warm, weight, ignore_steps, Outputs(plot, report)
    )
    if aa is None:
        return await work.run(session, request)
    if plot or report:
        raise UsageProblemError("--plot and --report show one rollout, --aa resamples many: leave one out")
    return await trials.run(session, request, trials.Wanted(aa, aa_length, seed))


Result = Annotated[
    str | None,
    typer.Option("--from-backtest", metavar="FILE.json", help="Page of a backtest, as backtest -o json printed it."),
]
PageFile = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FILE.html", help="Where to write it; - is stdout. Default: NAME.html."),
]
Name = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="Name of the CanaryRollout.", autocompletion=complete.rollout_names),
]


@with_flags
async def report(
    session: "Session",
    name: Name = None,
    output: PageFile = None,
    from_backtest: Result = None,
    prometheus: Prometheus = None,
    headers: Headers = None,
    token_file: TokenFile = None,
) -> int:
    """Write a rollout's evidence over time as one HTML page."""
    from chaffinch_operator.cli import report as work  # noqa: PLC0415 -- keeps --help quick

    return await work.run(
        session,
        work.Request(name, output, from_backtest, prometheus, named(headers, token_file)),
    )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(backtest)
    app.command()(report)
