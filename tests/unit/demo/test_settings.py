"""Settings of the tour, and that a good version can pass with them."""

import pytest

from chaffinch_operator.canary.gates import resolve
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.sources import Naming
from chaffinch_operator.schema import seconds
from chaffinch_stats import requests_to_pass
from demo.scenario import FIRST, RELEASES, version
from demo.settings import Settings, SettingsError
from support.sample import App, RolloutPlan


def spec() -> CanaryRolloutSpec:
    """The tour's spec."""
    return CanaryRolloutSpec.model_validate(RolloutPlan().canary_rollout(App("demo"))["spec"])


def test_settings_come_from_the_environment() -> None:
    """All three."""
    environ = {"CHAFFINCH_DEMO_NAMESPACE": "n", "CHAFFINCH_DEMO_RATE": "50", "CHAFFINCH_DEMO_PLAIN": "1"}
    settings = Settings.from_env(environ)
    assert (settings.namespace, settings.rate, settings.live) == ("n", 50.0, False)
    assert Settings.from_env({}).live


@pytest.mark.parametrize("rate", ["many", "0", "100000"])
def test_a_bad_rate_is_named(rate: str) -> None:
    """With what would do."""
    with pytest.raises(SettingsError, match=f"CHAFFINCH_DEMO_RATE={rate}"):
        Settings.from_env({"CHAFFINCH_DEMO_RATE": rate})


def test_a_good_version_is_expected_to_pass_before_its_steps_are_over() -> None:
    """At the usual load, with the usual errors: the tour should not have to wait for evidence."""
    tour = spec()
    errors = next(g for g in resolve(tour, Naming("demo", "shop", "a", "b")) if g.name == "errors")
    assert errors.count is not None
    share = sum((s.set_weight or 0) * seconds(s.min_duration or "0s") for s in tour.steps)
    canary_requests = Settings().rate * share / 100
    needed = requests_to_pass(errors.count, FIRST.error_rate, 0.5, float(tour.analysis.beta)) * 0.5
    assert needed < 0.6 * canary_requests


def test_every_release_changes_the_template_and_no_good_one_is_worse() -> None:
    """Good versions have the errors of the first one."""
    versions = [FIRST, *(r.version for r in RELEASES)]
    app = App("demo")
    templates = [app.deployment(v)["spec"]["template"] for v in versions]
    assert all(a != b for i, a in enumerate(templates) for b in templates[i + 1 :])
    assert RELEASES[0].version == version("v2", error_rate=FIRST.error_rate)
