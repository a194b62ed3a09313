"""Entry point of the executable kubectl-chaffinch."""

import os
import sys

import typer

from chaffinch_operator.cli.app import app
from chaffinch_operator.cli.complete import VARIABLE, teach_shells


def main() -> None:
    """Run the command of the command line, and end the process with its exit code."""
    if VARIABLE in os.environ:
        teach_shells()
    sys.exit(typer.main.get_command(app)(prog_name="kubectl chaffinch", complete_var=VARIABLE))


if __name__ == "__main__":
    main()
