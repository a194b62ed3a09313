"""The command `report`."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from chaffinch_shadow.errors import InputError
from chaffinch_shadow.report import read, roc
from chaffinch_shadow.report.page import Flip, render

_USAGE = 2
Said = Annotated[Path, typer.Argument(help="What `analyze -o json` wrote, or GET /v1/evaluation answered")]
RowsFile = Annotated[Path | None, typer.Option("--rows", help="The rows, for ROC curves and the list of requests")]
Samples = Annotated[
    list[Path] | None,
    typer.Option("--samples", help="A page of GET /v1/samples/..., for the requests themselves; may be repeated"),
]
Output = Annotated[str, typer.Option("-o", "--output", help="The page; - for standard output")]


def report(document: Said, rows: RowsFile = None, samples: Samples = None, output: Output = "report.html") -> None:
    r"""Write an evaluation as one HTML page that needs nothing else.

    \b
      chaffinch-shadow analyze --rows rows.csv -o json > said.json
      chaffinch-shadow report said.json --rows rows.csv -o report.html
    """
    try:
        page = _page(document, rows, samples or [])
    except InputError as problem:
        _fail(str(problem))
    if output == "-":
        sys.stdout.write(page)
        return
    try:
        Path(output).write_text(page, encoding="utf-8")
    except OSError as problem:
        _fail(f"{output}: {problem.strerror or problem}")
    typer.echo(f"wrote {output}", err=True)


def _page(document: Path, rows: Path | None, samples: list[Path]) -> str:
    of = read.document(document)
    flips: list[Flip] | None = read.flips_of_samples(samples) if samples else None
    chart = None
    if rows is not None:
        found, listed = read.rows(rows)
        chart, known = roc.chart(found), {flip.name for flip in flips or ()}
        flips = [*(flips or ()), *(flip for flip in listed if flip.name not in known)]
    try:
        return render(of, flips, chart)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as problem:
        raise InputError(f"{document}: not what `analyze` writes ({type(problem).__name__} {problem})") from problem


def _fail(message: str) -> NoReturn:
    typer.echo(f"chaffinch-shadow: {message}", err=True)
    raise typer.Exit(_USAGE)
