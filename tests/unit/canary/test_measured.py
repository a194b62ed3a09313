"""Whole passes of a service that is hours old: its past is measured once, before the first look, and then fixed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from chaffinch_operator.resources import CANARYROLLOUTS
from unit.canary.builders import ERRORS, NOW, RESTARTS, SPEC, merged
from unit.canary.cluster import Shop

QUICK = merged(SPEC, {"steps": [{"setWeight": 25, "minDuration": "1m"}, {"setWeight": 50, "minDuration": "1m"}]})
HOURS = 3 * 3600
MEASURED = "History: 2h, stable, each block of time against those around it, blocks of "


async def seasoned(version: str = "good") -> Shop:
    """A service that has run for three hours, and a candidate."""
    shop = Shop.opened(QUICK)
    await shop.run(3)
    shop.cluster.tick(HOURS)
    shop.cluster.push(version)
    return shop


def errors(shop: Shop) -> dict[str, Any]:
    """The gate in status."""
    found: dict[str, Any] = shop.status["gates"][0]
    return found


def said(shop: Shop) -> str:
    """The sentence of the last decision."""
    return str(shop.status["lastDecision"]["message"])


async def test_the_past_is_in_status_before_the_first_look() -> None:
    """While the canary starts; there is a dispersion and no evidence, and then evidence with that dispersion."""
    shop = await seasoned()
    await shop.run(3)
    assert errors(shop)["dispersionSource"].startswith(MEASURED)
    assert "evidence" not in errors(shop)
    fixed = {key: errors(shop)[key] for key in ("dispersion", "dispersionSource", "method")}
    came = NOW + timedelta(seconds=HOURS + 4)
    assert all(came - timedelta(minutes=1) < end <= came for _, end in shop.counters.ranges)
    await shop.run(120)
    assert errors(shop)["evidence"]
    assert {key: errors(shop)[key] for key in fixed} == fixed
    assert len(shop.counters.ranges) == 2  # bad and total, once


async def test_a_young_service_is_judged_as_with_dispersion_one() -> None:
    """The same decision at the same second, with the same evidence to the bit; only the source says otherwise."""
    ends = []
    for value in ("Auto", "1"):
        shop = Shop.opened(merged(QUICK, {"analysis": {"gates": [{**ERRORS, "dispersion": value}, RESTARTS]}}))
        await shop.run(5)
        shop.cluster.push("good")
        await shop.run(100)
        gate = errors(shop)
        ends.append((shop.verdict, shop.status["lastDecision"]["at"], gate["evidence"], gate["dispersion"]))
        assert gate["dispersionSource"].startswith("Assumed: " if value == "Auto" else "Spec")
    assert ends[0] == ends[1]


async def test_a_silent_past_is_waited_for() -> None:
    """No weight, no look and no assumption until Prometheus answers."""
    shop = await seasoned()
    shop.counters.forgetful = True
    await shop.run(30)
    assert shop.verdict == ("Start", "ProviderUnreachable")
    assert "about the past, asked for stable's history (minBaselineHistory of gate errors)" in said(shop)
    shop.counters.forgetful = False
    await shop.run(60)
    assert shop.verdict == ("Shift", "Analyzing")
    assert errors(shop)["dispersionSource"].startswith(MEASURED)


async def test_a_gate_that_is_changed_midway_is_measured_before_its_first_look() -> None:
    """It starts anew, and its past is that before the candidate; while that is not known, no interval is read."""
    shop = await seasoned()
    await shop.run(60)
    shop.counters.forgetful = True
    shop.cluster.see(CANARYROLLOUTS)["spec"] = merged(
        QUICK, {"analysis": {"gates": [{**ERRORS, "marginRatio": "3"}, RESTARTS]}}
    )
    await shop.run(60)
    assert shop.verdict == ("Shift", "ProviderUnreachable")
    assert "evidence" not in errors(shop)
    shop.counters.forgetful = False
    await shop.run(60)
    assert errors(shop)["dispersionSource"].startswith(MEASURED)
    assert errors(shop)["evidence"]
    first, *others = shop.counters.ranges
    assert all(window == first for window in others)


async def test_a_new_candidate_is_measured_anew() -> None:
    """Its past ends where it came."""
    shop = await seasoned("bad")
    await shop.run(200)
    assert shop.verdict == ("Rejected", "RolledBack")
    shop.cluster.push("good")
    await shop.run(20)
    windows = sorted(set(shop.counters.ranges))
    assert len(windows) == 2
    assert windows[1][1] - windows[0][1] >= timedelta(seconds=180)


async def test_dying_after_every_write_changes_no_dispersion() -> None:
    """What was measured, and the evidence that rests on it, are the same to the bit."""
    undisturbed, dying = await seasoned(), await seasoned()
    await undisturbed.run(100)
    await dying.run_dying(100)
    kept = ("dispersion", "dispersionSource", "method", "evidence", "message")
    assert [errors(dying)[key] for key in kept] == [errors(undisturbed)[key] for key in kept]
    assert errors(dying)["evidence"]


PLANNED = merged(
    QUICK,
    {
        "analysis": {
            "mode": "GroupSequential",
            "groupSequential": {"looks": 5, "detectRatio": "6"},
            "gates": [{**ERRORS, "marginRatio": "6"}, RESTARTS],
        }
    },
)


async def planned(version: str, *, dying: bool = False) -> Shop:
    """A release judged at planned looks."""
    shop = Shop.opened(PLANNED)
    await shop.run(5)
    shop.cluster.push(version)
    await (shop.run_dying(400) if dying else shop.run(400))
    return shop


@pytest.mark.parametrize(
    ("version", "verdict", "words"),
    [("good", ("Idle", "Promoted"), "z of safety reached"), ("bad", ("Rejected", "RolledBack"), "z of harm reached")],
)
async def test_planned_looks_decide_a_release_also_of_an_operator_that_dies(
    version: str, verdict: tuple[str, str], words: str
) -> None:
    """A good one is promoted, a bad one rolled back; dying after every write changes no bit of the evidence."""
    undisturbed, dying = await planned(version), await planned(version, dying=True)
    assert undisturbed.verdict == dying.verdict == verdict
    assert words in errors(undisturbed)["message"]
    assert errors(undisturbed)["method"] == "GroupSequential"
    assert [errors(dying)[key] for key in ("evidence", "message")] == [
        errors(undisturbed)[key] for key in ("evidence", "message")
    ]


async def test_a_plan_that_cannot_be_is_an_invalid_spec() -> None:
    """The condition names the field."""
    shop = Shop.opened(merged(PLANNED, {"analysis": {"gates": [{**ERRORS, "harmRatio": "7", "marginRatio": "8"}]}}))
    await shop.run(2)
    stalled = next(c for c in shop.status["conditions"] if c["type"] == "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "InvalidSpec")
    assert "spec.analysis.groupSequential.detectRatio must exceed harmRatio of gate errors" in stalled["message"]
