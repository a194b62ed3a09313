"""Rules for every test run.

With CHAFFINCH_NO_SKIPS set (make test, make integration, make e2e), nothing may be left out in silence: a skipped test
or module fails, and a run of tests/e2e that collects no cluster test fails. Without it, tests whose cluster is not
there are skipped with the command that starts one.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import Scheduling

settings.register_profile("chaffinch", deadline=None)  # no test is timed: these machines are shared
settings.load_profile("chaffinch")

NO_SKIPS = "CHAFFINCH_NO_SKIPS"


@pytest.fixture(scope="session", autouse=True)
def _no_discovery_of_other_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep kubectl from remembering, by address, what an earlier API server on the same port served."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECACHEDIR", str(tmp_path_factory.mktemp("kubectl")))
        yield


def strict() -> bool:
    """Whether nothing may be skipped."""
    return bool(os.environ.get(NO_SKIPS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure; an expected failure stays what it is."""
    report = yield
    if strict() and report.skipped and not hasattr(report, "wasxfail"):
        refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a whole module into a failure."""
    report = yield
    if strict() and report.skipped:
        refuse(report)
    return report


def refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Make a skipped report a failed one that says why."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"{reason} (skips are failures while {NO_SKIPS} is set)"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse a run of tests/e2e that found none of its tests."""
    folder = Path(__file__).parent / "e2e"
    asked = any(Path(str(argument).split("::")[0]).resolve() == folder for argument in session.config.args)
    if strict() and asked and not any(folder in item.path.parents for item in session.items):
        raise pytest.UsageError(f"{folder} has no test to run, and {NO_SKIPS} is set")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Share tests among processes so that those on the cluster stay together."""
    from support import sharing  # here: these rules hold for runs elsewhere too, which never share

    return sharing.scheduler(config, log)
