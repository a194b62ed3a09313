"""Shell completion: the scripts, and the names of CanaryRollouts. Never an error, never slow for long."""

import subprocess
from collections.abc import Sequence
from enum import StrEnum

import typer

PROGRAM = "kubectl-chaffinch"
VARIABLE = "_KUBECTL_CHAFFINCH_COMPLETE"
_SECONDS = 3

KUBECTL_SCRIPT = f"""\
#!/bin/sh
# kubectl runs this to complete `kubectl chaffinch ...`: save it as kubectl_complete-chaffinch, executable, on PATH.
COMP_WORDS="{PROGRAM} $*" COMP_CWORD=$# {VARIABLE}=complete_bash {PROGRAM} 2>/dev/null
echo :4
"""


class Shell(StrEnum):
    """Where the script is for; `kubectl` completes `kubectl chaffinch ...` in every shell."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    KUBECTL = "kubectl"


def script(shell: Shell) -> str:
    """The completion script."""
    if shell is Shell.KUBECTL:
        return KUBECTL_SCRIPT
    from typer.completion import get_completion_script  # type: ignore[attr-defined] # noqa: PLC0415 -- rarely needed

    return str(get_completion_script(prog_name=PROGRAM, complete_var=VARIABLE, shell=shell.value)) + "\n"


def teach_shells() -> None:
    """Register the shells that typer can answer; it does so by itself only for its own --install-completion."""
    from typer.completion import completion_init  # type: ignore[attr-defined] # noqa: PLC0415 -- rarely needed

    completion_init()


def rollout_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names that start so. kubectl is asked: it answers in a tenth of the time our own client takes to load."""
    command = [
        "kubectl",
        "get",
        "canaryrollouts.chaffinch.dev",
        "-o",
        "name",
        "--request-timeout",
        f"{_SECONDS}s",
        *_place(ctx),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    names = (line.rpartition("/")[2] for line in done.stdout.splitlines())
    return [name for name in names if name.startswith(incomplete)]


def _place(ctx: typer.Context) -> Sequence[str]:
    options: list[str] = []
    for name in ("namespace", "context", "kubeconfig"):
        value = ctx.params.get(name) or (ctx.parent.params.get(name) if ctx.parent else None)
        if value:
            options += [f"--{name}", str(value)]
    return options
