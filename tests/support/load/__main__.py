"""`python -m support.load --address A --host H --rate R`: one JSON line a second, totals at the end.

Each line is `{"at": <epoch seconds of the second's begin>, "final": false, ...tally}`; the last, with `"final": true`,
has the totals. Ends by SIGTERM or SIGINT, after --seconds, or when the process that started it is gone.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from support.load.client import Goal
from support.load.generator import Generator, Shape
from support.load.tally import Tally


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="support.load", description="Steady load, counted by what clients see.")
    parser.add_argument("--address", required=True, help="address of the gateway")
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--host", required=True, help="value of the Host header")
    parser.add_argument("--path", default="/")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second (default 200)")
    parser.add_argument("--clients", type=int, default=24, help="connections at most (default 24)")
    parser.add_argument(
        "--new-connections",
        type=float,
        default=0.05,
        help="share of requests that close their connection (default 0.05)",
    )
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds until a request has failed (default 10)")
    parser.add_argument("--seconds", type=float, default=3600.0, help="end after this time (default 3600)")
    parser.add_argument("--output", type=Path, help="write the totals to this file as well")
    return parser.parse_args(given)


async def run(options: argparse.Namespace) -> Tally:
    """Send load, print lines; the totals."""
    goal = Goal(options.address, options.port, options.host, options.path, options.timeout)
    generator = Generator(goal, Shape(options.rate, options.clients, options.new_connections))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(generator.run(stop))
        tasks.create_task(_end(stop, options.seconds, os.getppid()))
        counting = tasks.create_task(_count(generator, sending))
    return counting.result()


async def _end(stop: asyncio.Event, seconds: float, parent: int) -> None:
    """Bounded in time, and not left behind by a parent that was killed."""
    last = time.monotonic() + seconds
    while not stop.is_set() and time.monotonic() < last and os.getppid() == parent:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 1.0)
    stop.set()


async def _count(generator: Generator, sending: "asyncio.Task[None]") -> Tally:
    totals = Tally()
    while not sending.done():
        at = time.time()
        await asyncio.wait([sending], timeout=1.0 - at % 1.0)
        second = generator.take()
        totals.merge(second)
        _print({"at": at, "final": False, **second.to_json()})
    return totals


def _print(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def main(given: Sequence[str] | None = None) -> int:
    """Run until told to stop."""
    options = arguments(given)
    try:
        totals = asyncio.run(run(options)).to_json()
        _print({"at": time.time(), "final": True, **totals})
    except BrokenPipeError:
        # the reader is gone; nothing may be written any more, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if options.output:
        options.output.write_text(json.dumps(totals, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
