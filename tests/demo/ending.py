"""The last screen: a table of releases, the totals, what to try next. Pure."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from chaffinch_operator.cli.words import duration
from demo.summary import Result, Summary
from support import sample
from support.load.outcome import Kind

_WORDS = {"Promote": ("promoted", "green"), "RollBack": ("rolled back", "red")}
_COLUMNS = (
    "version",
    "what it is",
    "decision",
    "after",
    "canary requests",
    "its errors",
    "failed requests",
    "stable pods restarted",
)


def ending(summary: Summary, hints: Sequence[str]) -> Iterator[RenderableType]:
    """All of it."""
    yield Text("Summary", style="bold")
    yield _table(summary.results)
    load = summary.load
    yield Text(
        f"{load.requests:,} requests in {duration(summary.total_seconds - summary.set_up_seconds)} at "
        f"{summary.rate:g} a second: {load.count(kind=Kind.INJECTED):,} answered 500 by the service itself, "
        f"{load.failed:,} failed; set-up took {duration(summary.set_up_seconds)}"
    )
    problems = summary.problems()
    for problem in problems:
        yield Text(f"PROBLEM  {problem}", style="bold red")
    if not problems:
        yield Text("All as promised: no request failed, no stable pod was touched.", style="green")
    yield Text("What to try next", style="bold")
    yield from (Text(f"  {hint}") for hint in hints)


def _table(results: Sequence[Result]) -> RenderableType:
    table = Table(box=None, padding=(0, 2), header_style="dim", pad_edge=False)
    for column in _COLUMNS:
        table.add_column(column, no_wrap=column != "what it is")
    for result in results:
        table.add_row(*_row(result))
    return table


def _row(result: Result) -> Iterator[RenderableType]:
    decision = result.course.decision
    word, style = _WORDS.get(str(decision.action) if decision else "", ("no decision", "red"))
    after = result.course.seconds_to_decision
    yield result.release.version.name
    yield result.release.title
    yield Text(word, style=style if result.as_expected else "bold red")
    yield duration(after) if after is not None else ""
    yield f"{result.clients.count(track='canary'):,}"
    yield f"{result.errors_of_candidate:,}"
    yield f"{result.clients.failed:,}"
    yield f"{result.stable_pods_restarted}"


def hints(app: sample.App, platform: str) -> list[str]:
    """What to try next."""
    local = platform == "local"
    inside = "$CHAFFINCH_INSIDE " if local else ""
    where = f"{app.name} -n {app.namespace}"
    plugin = f"{inside}.venv/bin/kubectl-chaffinch"
    return [
        "your own bad version, with load on it:",
        *(['  eval "$(cd tests && python3 -m cluster env)"'] if local else []),
        "  (cd tests && ../.venv/bin/python -m demo load) &",
        f"  {inside}kubectl set env deployment/{where} VERSION=v5 ERROR_RATE=0.05",
        f"  {plugin} status {where} -w",
        f"  {plugin} explain {where}",
        f"all evidence is in the object: {inside}kubectl get canaryrollout {where} -o yaml",
        "remove everything: make demo-down",
    ]
