"""The commands, and what is written at their ends."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from rich.text import Text

import cluster
from demo import stage
from demo.display import Display
from demo.down import take_down
from demo.ending import ending, hints
from demo.errors import TourError
from demo.plain import load_line
from demo.scenario import FIRST, RELEASES
from demo.settings import Settings, SettingsError
from demo.summary import Result, Summary
from demo.tour import Tour
from demo.trouble import findings
from support import sample
from support.kubectl import Kubectl, KubectlError
from support.load.process import Load, LoadError
from support.load.tally import Tally

EXIT_FAILED, EXIT_INTERRUPTED = 1, 130
EXPECTED = (TourError, KubectlError, LoadError, cluster.ClusterError, SettingsError, OSError)
SUMMARY = "summary.json"
_CLIENT_SECONDS = 3600.0
_TELL_SECONDS = 10.0
_WAY_OUT = "run `make demo` again: it starts over from any state; `make demo-down` removes everything"


@dataclass(slots=True)
class Record:
    """What has come about so far, so that there is a summary however the tour ends."""

    started_at: datetime
    platform: str = ""
    set_up_seconds: float = 0.0
    load_since: float = 0.0
    load: Tally = field(default_factory=Tally)
    results: list[Result] = field(default_factory=list)

    def summary(self, settings: Settings, trouble: str) -> Summary:
        """As it stands."""
        total = (datetime.now(UTC) - self.started_at).total_seconds()
        return Summary(
            self.platform,
            self.started_at,
            self.set_up_seconds,
            total,
            settings.rate,
            len(RELEASES),
            self.results,
            self.load,
            trouble,
        )


def main(given: Sequence[str] | None = None) -> int:
    """Run a command."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="the tour")
    up.add_argument("--plain", action="store_true", help="lines instead of a live screen")
    commands.add_parser("load", help="load on the application until Ctrl-C, for releases of your own")
    down = commands.add_parser("down", help="remove what the tour made, and its cluster")
    down.add_argument("--keep-cluster", action="store_true", help="leave the cluster running")
    options = parser.parse_args(given)
    try:
        settings = Settings.from_env()
        if options.command == "down":
            return take_down(settings, keep_cluster=options.keep_cluster)
        if options.command == "load":
            return give_load(settings)
        return give_tour(replace(settings, live=settings.live and not options.plain))
    except KeyboardInterrupt:
        sys.stderr.write(f"\ninterrupted; {_WAY_OUT}\n")
        return EXIT_INTERRUPTED
    except EXPECTED as error:
        sys.stderr.write(f"error: {error}\n{_WAY_OUT}\n")
        return EXIT_FAILED


def give_tour(settings: Settings) -> int:
    """`up`."""
    display, record = Display(live=settings.live), Record(datetime.now(UTC))
    app, plan = sample.App(settings.namespace), sample.RolloutPlan()
    kubectl, trouble = None, ""
    (settings.output / SUMMARY).unlink(missing_ok=True)
    try:
        display.heading("Set-up")
        access = cluster.connect()
        record.platform = access.platform
        kubectl = Kubectl(access)
        set_up(access, kubectl, app, plan, display)
        with clients_of(access, kubectl, app, settings) as load, Tour.open(kubectl, app, load, display) as tour:
            try:
                release_all(tour, record, display)
            finally:
                record.load = load.between(record.load_since) if record.load_since else Tally()
    except EXPECTED as error:
        trouble = str(error)
    return conclude(settings, record, display, app, kubectl, trouble)


def set_up(
    access: cluster.Access, kubectl: Kubectl, app: sample.App, plan: sample.RolloutPlan, display: Display
) -> None:
    """Everything that must be there before the first release."""
    with display.step("images of the operator and of the sample service"):
        stage.build_images(access)
    with display.step("operator"):
        stage.install_operator(kubectl)
    with display.step(f"sample application {FIRST.name} in namespace {app.namespace}, {app.replicas} pods"):
        stage.deploy_first_version(kubectl, app, plan)


@contextmanager
def clients_of(access: cluster.Access, kubectl: Kubectl, app: sample.App, settings: Settings) -> Iterator[Load]:
    """Load on the application through the Gateway while the block runs."""
    with access.reach(*stage.gateway_service(kubectl), 80) as found:
        address, _, port = found.rpartition(":")
        options: dict[str, str | float] = {
            "address": address,
            "port": port,
            "host": app.host,
            "rate": settings.rate,
            "seconds": _CLIENT_SECONDS,
        }
        with Load(options, prefix=access.command_prefix) as load:
            yield load


def give_load(settings: Settings) -> int:
    """`load`: until Ctrl-C, for releases of your own."""
    display, app = Display(live=False), sample.App(settings.namespace)
    access = cluster.connect()
    with clients_of(access, Kubectl(access), app, settings) as load:
        display.say(f"{settings.rate:g} requests a second to {app.host}; Ctrl-C ends it")
        while True:
            time.sleep(_TELL_SECONDS)
            load.check()
            display.say(load_line(load.between()))


def release_all(tour: Tour, record: Record, display: Display) -> None:
    """One release after the other, as long as each ends as it should."""
    with display.step("load"):
        record.load_since = tour.await_load()
    record.set_up_seconds = (datetime.now(UTC) - record.started_at).total_seconds()
    present = FIRST
    for number, release in enumerate(RELEASES, 1):
        display.heading(f"Release {number} of {len(RELEASES)}: {release.version.name}, {release.title}")
        result = tour.make(release, present)
        record.results.append(result)
        tell(result, display)
        if not result.as_expected:
            return
        if result.course.decision is not None and result.course.decision.action == "Promote":
            present = release.version


def tell(result: Result, display: Display) -> None:
    """The decision and its reasons, for good."""
    decision = result.course.decision
    if decision is None:
        display.say(Text("no decision", style="bold red"))
        return
    style = "bold green" if result.as_expected else "bold red"
    display.say(
        Text(
            f"{decision.action} ({decision.reason}) after {result.course.seconds_to_decision:.0f} s: "
            f"{decision.message}",
            style=style,
        )
    )
    for sentence in decision.sentences:
        display.say(f"  {sentence}")
    for share in result.shares:
        seen = share.clients.observed
        split = "no requests" if seen is None else f"{seen:.1%} of {share.clients.total:,} requests (clients' count)"
        display.say(f"  weight {share.operator.weight} %: {split}")


def conclude(
    settings: Settings, record: Record, display: Display, app: sample.App, kubectl: Kubectl | None, trouble: str
) -> int:
    """Write the summary, show it, and what is known when something went wrong."""
    summary = record.summary(settings, trouble)
    settings.output.mkdir(parents=True, exist_ok=True)
    target = settings.output / SUMMARY
    target.write_text(json.dumps(summary.to_json(), indent=2) + "\n")
    failed = bool(summary.problems())
    if failed and kubectl is not None:
        for title, text in findings(kubectl, app):
            display.heading(title)
            display.say(text)
    display.heading("")
    for part in ending(summary, hints(app, record.platform)):
        display.say(part)
    display.say(f"Figures: {target}")
    if failed:
        display.say(_WAY_OUT)
    return EXIT_FAILED if failed else 0
