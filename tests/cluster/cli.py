"""The command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from cluster.build import Cache
from cluster.config import Config
from cluster.console import Console


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="cluster")
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build")
    build.add_argument("names", nargs="*")
    options = parser.parse_args(arguments)
    Cache.of(Config.from_env().cache).build(options.names, Console())
    return 0
