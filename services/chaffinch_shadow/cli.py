"""The command chaffinch-shadow: analyze and plan here; what runs in a cluster is in `commands`."""

import json
import sys
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from chaffinch_shadow import commands, reporting
from chaffinch_shadow.analysis.analyse import Analysis, analyse_cells, analyse_rows
from chaffinch_shadow.analysis.question import DEFAULT_GUARDRAILS, LOST_DETECTIONS, Aim, Design, Guardrail, Question
from chaffinch_shadow.document import document
from chaffinch_shadow.errors import InputError
from chaffinch_shadow.readers.outcomes import Outcomes
from chaffinch_shadow.readers.results import read_results
from chaffinch_shadow.readers.rows import read_rows
from chaffinch_shadow.render import sizes, text
from chaffinch_stats.paired import Cells, Metric
from chaffinch_stats.paired.sizing import always_valid_size, fixed_size

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None,
    help="Is the candidate better than the control, on the same requests?",
)  # fmt: skip
_USAGE = 2

_ANALYZE = """Compare two versions that saw the same requests, and say what follows.

Give one of: --cells, --rows, or two files of results.

\b
  chaffinch-shadow analyze --cells 85,1,10,17,1853,902,104,34103
  chaffinch-shadow analyze --rows requests.parquet --prevalence 0.01 -o json
  chaffinch-shadow analyze control.csv candidate.csv --guardrail falsePositiveRate=0.001

Cells are eight counts; the index of one is 4*label + 2*control + candidate. Rows are CSV or Parquet with the columns
label, control, candidate, and perhaps control_score, candidate_score, cluster, stratum, time. Files of results have
request_id and outcome, and perhaps label (in either), score, cluster, stratum, time. An empty label is none.

Exit status: 0 whatever the verdict, 2 when something cannot be read. With --fail-unless Promote, 3 on another verdict.
"""


@app.callback()
def _commands() -> None:
    """Keep `analyze` a command of its own."""


Files = Annotated[list[Path] | None, typer.Argument(help="Two files of results: the control's, the candidate's")]
CellsText = Annotated[str, typer.Option("--cells", help="Eight counts, c0,...,c7")]
RowsFile = Annotated[Path | None, typer.Option("--rows", help="One row a request, .csv or .parquet")]
Test = Annotated[Aim, typer.Option("--test", help="What the candidate must show on the metric")]
Primary = Annotated[Metric, typer.Option("--metric", help="The primary metric")]
Margin = Annotated[float, typer.Option(help="How much worse is as good, or (Superiority) how much better it must be")]
Alpha = Annotated[float, typer.Option(help="Chance of a wrong claim")]
DesignOption = Annotated[Design, typer.Option("--design", help="AlwaysValid if the data are looked at more than once")]
Planned = Annotated[int, typer.Option(help="AlwaysValid: requests at which the limits are tightest")]
Prevalence = Annotated[str, typer.Option(help="Share of label 1 in production, such as 0.01; else that of the data")]
Guards = Annotated[
    list[str] | None,
    typer.Option(
        "--guardrail",
        help="metric=limit: worse by so much at most; may be repeated. Also "
        f"{LOST_DETECTIONS}=share. Default: {DEFAULT_GUARDRAILS[0].metric}={DEFAULT_GUARDRAILS[0].limit:g}",
    ),
]
NoGuards = Annotated[bool, typer.Option("--no-guardrails", help="Not even the default one")]
MaxLost = Annotated[int, typer.Option(help="Lost detections that need no look; more hold the candidate")]
Expected = Annotated[int | None, typer.Option(help="Requests that should be in the data; too few: Inconclusive")]
MinLabelled = Annotated[float, typer.Option(help="Share of requests that must have a label")]
OutcomesText = Annotated[str, typer.Option("--outcomes", help="Graded verdicts, mildest first: allow,challenge,block")]
Positive = Annotated[str, typer.Option(help="Those that count as a detection: challenge,block")]
Areas = Annotated[str, typer.Option("--auc", help="exact, binned, or auto: binned above two million rows")]
Output = Annotated[str, typer.Option("-o", "--output", help="table or json")]
Seed = Annotated[int, typer.Option(help="Of the bootstrap")]
FailUnless = Annotated[str, typer.Option(help="Exit with 3 unless this is the verdict")]


@app.command(help=_ANALYZE)
def analyze(
    files: Files = None,
    cells: CellsText = "",
    rows: RowsFile = None,
    test: Test = Aim.NON_INFERIORITY,
    metric: Primary = Metric.MCC,
    margin: Margin = 0.01,
    alpha: Alpha = 0.05,
    design: DesignOption = Design.FIXED_N,
    planned: Planned = 10_000,
    prevalence: Prevalence = "",
    guardrail: Guards = None,
    no_guardrails: NoGuards = False,
    max_lost: MaxLost = 0,
    expected: Expected = None,
    min_labelled: MinLabelled = 0.0,
    outcomes: OutcomesText = "",
    positive: Positive = "",
    auc: Areas = "auto",
    output: Output = "table",
    seed: Seed = 1,
    fail_unless: FailUnless = "",
) -> None:
    """Compare two versions; the help is in _ANALYZE."""
    try:
        _one_of(("table", "json"), output, "-o")
        _one_of(("", "Promote", "Hold", "Reject", "Inconclusive"), fail_unless, "--fail-unless")
        question = Question(
            test, metric, margin, alpha, design, planned, _share(prevalence),
            () if no_guardrails else _guardrails(guardrail), max_lost, min_labelled,
        )  # fmt: skip
        source = _Source(files or [], cells, rows, Outcomes.parse(outcomes, positive))
        found = _analyse(source, question, expected, seed, auc)
    except (InputError, ValueError) as problem:
        _fail(str(problem))
    typer.echo(json.dumps(document(found), allow_nan=False) if output == "json" else text(found))
    if fail_unless and found.verdict != fail_unless:
        raise typer.Exit(3)


class _Source:
    """Where the data come from: one of three."""

    def __init__(self, files: list[Path], cells: str, rows: Path | None, outcomes: Outcomes) -> None:
        if (bool(files) + bool(cells) + (rows is not None)) != 1:
            raise InputError("give one of --cells, --rows, or two files of results")
        if files and len(files) != 2:
            raise InputError(f"two files of results are needed, the control's and the candidate's; got {len(files)}")
        self.files, self.cells, self.rows, self.outcomes = files, cells, rows, outcomes


def _analyse(source: _Source, question: Question, expected: int | None, seed: int, auc: str) -> Analysis:
    _one_of(("auto", "exact", "binned"), auc, "--auc")
    exact = {"auto": None, "exact": True, "binned": False}[auc]
    if source.cells:
        return analyse_cells(_cells(source.cells), question, expected=expected, seed=seed)
    if source.rows is not None:
        return analyse_rows(
            read_rows(source.rows, source.outcomes), question, expected=expected, seed=seed, exact_auc=exact
        )
    joined = read_results(source.files[0], source.files[1], source.outcomes)
    for note in joined.notes:
        typer.echo(f"chaffinch-shadow: {note}", err=True)
    return analyse_rows(joined.rows, question, expected=expected or joined.expected, seed=seed, exact_auc=exact)


@app.command()
def plan(
    ratio: Annotated[float, typer.Option(help="Discordant requests of the better version per one of the worse")] = 2.0,
    discordance: Annotated[float, typer.Option(help="Share of requests on which the versions differ")] = 0.03,
    alpha: Alpha = 0.05,
    power: Annotated[float, typer.Option(help="Chance to find the difference, for one look")] = 0.8,
    output: Output = "table",
) -> None:
    r"""Say how many discordant pairs, and requests, a comparison needs.

    \b
      chaffinch-shadow plan --ratio 2 --discordance 0.027
    """
    try:
        _one_of(("table", "json"), output, "-o")
        fixed = fixed_size(ratio, discordance, alpha, power)
        any_time = always_valid_size(ratio, discordance, alpha)
    except (InputError, ValueError) as problem:
        _fail(str(problem))
    if output == "table":
        typer.echo(sizes(fixed, any_time))
        return
    found = {
        name: {"discordant": size.discordant, "requests": size.requests}
        for name, size in (("fixedN", fixed), ("alwaysValid", any_time))
    }
    typer.echo(json.dumps(found))


def _cells(given: str) -> Cells:
    words = given.split(",")
    if len(words) != 8:
        raise InputError(
            f"--cells: {len(words)} counts where eight are needed, c0,...,c7 (index 4*label + 2*control + candidate)"
        )
    for index, word in enumerate(words):
        if not (word.strip().isascii() and word.strip().isdigit()):
            raise InputError(f'--cells: c{index} is "{word}"; counts are whole numbers of 0 or more')
    return Cells.of([int(word) for word in words])


def _guardrails(given: list[str] | None) -> tuple[Guardrail, ...]:
    return DEFAULT_GUARDRAILS if given is None or not given else tuple(_guardrail(each) for each in given)


def _guardrail(given: str) -> Guardrail:
    metric, equals, limit = given.partition("=")
    try:
        return Guardrail(metric.strip(), float(limit) if equals else _no_limit(given))
    except ValueError as problem:
        raise InputError(f'--guardrail "{given}": {problem}') from problem


def _no_limit(given: str) -> NoReturn:
    raise InputError(f'--guardrail "{given}": write metric=limit, such as falsePositiveRate=0.001')


def _share(given: str) -> Fraction | None:
    if not given:
        return None
    try:
        return Fraction(Decimal(given))
    except (InvalidOperation, ValueError, OverflowError) as problem:
        raise InputError(f'--prevalence "{given}": write a share, such as 0.01') from problem


def _one_of(allowed: tuple[str, ...], given: str, option: str) -> None:
    if given not in allowed:
        raise InputError(f'{option} must be {", ".join(word for word in allowed if word)}; got "{given}"')


def _fail(message: str) -> NoReturn:
    typer.echo(f"chaffinch-shadow: {message}", err=True)
    raise typer.Exit(_USAGE)


app.command()(reporting.report)
commands.register(app)


def main() -> None:
    """Entry point of the console script."""
    sys.exit(app())
