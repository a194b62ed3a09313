"""The share of requests against sampling error."""

import pytest

from demo.shares import Share


@pytest.mark.parametrize(
    ("canary", "within"),
    [(100, True), (128, True), (72, True), (129, False), (71, False)],
    ids=["exact", "upper edge", "lower edge", "above", "below"],
)
def test_three_standard_deviations_are_allowed(canary: int, *, within: bool) -> None:
    """10 % of 1,000 requests: 100, give or take 28.46."""
    assert Share(10, canary, 1000).within is within


def test_without_requests_there_is_nothing_to_compare() -> None:
    """No traffic is no wrong split."""
    share = Share(10, 0, 0)
    assert share.within
    assert share.to_json()["observed"] is None


def test_figures_are_rounded_for_people() -> None:
    """Four digits."""
    assert Share(25, 1, 3).to_json() == {
        "canaryRequests": 1,
        "totalRequests": 3,
        "observed": 0.3333,
        "tolerance": 0.75,
        "within": True,
    }
