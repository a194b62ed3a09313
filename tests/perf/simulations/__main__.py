"""`python -m perf.simulations`: run the simulations, write the report; exit 1 when a claim is missed."""

import argparse
import sys
import time
from pathlib import Path

from perf.simulations import report
from perf.simulations.cells import Cell
from perf.simulations.scenarios import SCENARIOS


def main(arguments: list[str]) -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m perf.simulations", description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000, help="runs per cell (default %(default)s)")
    parser.add_argument("--json", type=Path, help="where to write the figures as JSON")
    parser.add_argument("--markdown", type=Path, help="where to write the tables")
    parser.add_argument("--only", choices=[s.name for s in SCENARIOS], action="append", help="one scenario; repeatable")
    chosen = parser.parse_args(arguments)
    results: dict[str, list[Cell]] = {}
    for scenario in SCENARIOS:
        if chosen.only and scenario.name not in chosen.only:
            continue
        started = time.monotonic()
        results[scenario.name] = list(scenario.run(chosen.runs))
        missed = [cell for cell in results[scenario.name] if not cell.holds]
        sys.stdout.write(f"{scenario.name}: {time.monotonic() - started:.0f} s, {len(missed)} claims missed\n")
        sys.stdout.writelines(f"  missed: {c.case}; {c.rule}: {c.value} {c.bound}, {c.claim}\n" for c in missed)
        sys.stdout.flush()
    for path, text in ((chosen.json, report.as_json(results)), (chosen.markdown, report.markdown(results))):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return 0 if all(cell.holds for cells in results.values() for cell in cells) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
