"""Running commands against a cluster in memory."""

from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from chaffinch_operator.cli.app import app
from unit.cli.fakes import FakeCluster

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Run a command line against a cluster; stdout and stderr apart."""

    def call(cluster: FakeCluster, *args: str, stdin: str = "") -> Result:
        return CliRunner().invoke(app, list(args), obj=cluster.world(), input=stdin)

    return call
