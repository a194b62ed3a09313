"""Options that every command has, as kubectl has them: before or after the command's name, the latter wins."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import update_wrapper
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chaffinch_operator.cli.failures import CliError
from chaffinch_operator.cli.world import World

if TYPE_CHECKING:
    from chaffinch_operator.cli.session import Session

PANEL = "Options of kubectl"
_META = "chaffinch.flags"


class Output(StrEnum):
    """How to print."""

    JSON = "json"
    YAML = "yaml"
    WIDE = "wide"


@dataclass(frozen=True, slots=True)
class Flags:
    """What was given; None is nothing."""

    namespace: str | None = None
    context: str | None = None
    kubeconfig: str | None = None
    output: Output | None = None
    no_color: bool | None = None

    def over(self, below: "Flags") -> "Flags":
        """These, and where nothing was given those below."""
        mine = {f.name: getattr(self, f.name) for f in fields(self)}
        return Flags(**{name: getattr(below, name) if value is None else value for name, value in mine.items()})


_TYPES: dict[str, Any] = {
    "namespace": Annotated[
        str | None,
        typer.Option(
            "--namespace", "-n", metavar="NAME", help="Namespace; default: the context's.", rich_help_panel=PANEL
        ),
    ],
    "context": Annotated[
        str | None, typer.Option("--context", metavar="NAME", help="Context of the kubeconfig.", rich_help_panel=PANEL)
    ],
    "kubeconfig": Annotated[
        str | None, typer.Option("--kubeconfig", metavar="FILE", help="Path of the kubeconfig.", rich_help_panel=PANEL)
    ],
    "output": Annotated[
        Output | None, typer.Option("--output", "-o", help="Print data, or a wider table.", rich_help_panel=PANEL)
    ],
    "no_color": Annotated[
        bool | None,
        typer.Option("--no-color", help="No colours; the variable NO_COLOR does it too.", rich_help_panel=PANEL),
    ],
}


def with_flags(command: Callable[..., Coroutine[Any, Any, int]]) -> Callable[..., None]:
    """Make a command of `async (session, ...) -> exit code`: it gets the shared options and words for its errors.

    An option of its own that has a shared one's name, such as `output` for a file, stands in that one's place.
    """
    own = list(inspect.signature(command).parameters.values())[1:]
    shared = [name for name in _TYPES if name not in {p.name for p in own}]

    def run(ctx: typer.Context, **given: Any) -> None:  # noqa: ANN401 -- typer's
        flags = Flags(**{name: given.pop(name) for name in shared}).over(ctx.meta.get(_META, Flags()))
        code = 0
        with plain_errors():
            code = asyncio.run(command(_session(ctx, flags), **given))
        if code:
            raise typer.Exit(code)

    update_wrapper(run, command)
    _sign(run, own)
    return run


def global_flags(callback: Callable[[], None]) -> Callable[..., None]:
    """Let the shared options stand before the command's name too."""

    def run(ctx: typer.Context, **given: Any) -> None:  # noqa: ANN401 -- typer's
        ctx.meta[_META] = Flags(**given)
        callback()

    update_wrapper(run, callback)
    _sign(run, [])
    return run


def _sign(run: Callable[..., None], own: list[inspect.Parameter]) -> None:
    keyword = inspect.Parameter.KEYWORD_ONLY
    left = {name: kind for name, kind in _TYPES.items() if name not in {p.name for p in own}}
    shared = [inspect.Parameter(name, keyword, default=None, annotation=kind) for name, kind in left.items()]
    first = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    parameters = [first, *(p.replace(kind=keyword) for p in own), *shared]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # what inspect.signature looks for
    run.__annotations__ = {p.name: p.annotation for p in parameters}


def _session(ctx: typer.Context, flags: Flags) -> "Session":
    from chaffinch_operator.cli.session import Session  # noqa: PLC0415 -- keeps --help quick

    return Session(flags, ctx.obj if isinstance(ctx.obj, World) else World())


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn expected errors into two lines on stderr and an exit code."""
    try:
        yield
    except CliError as error:
        _end(error)


def _end(error: CliError) -> None:
    typer.echo(f"error: {error.message}", err=True)
    if error.hint:
        typer.echo(f"hint: {error.hint}", err=True)
    raise typer.Exit(error.exit_code)
