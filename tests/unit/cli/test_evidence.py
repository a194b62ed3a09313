"""Evidence against its thresholds."""

import math

import pytest

from chaffinch_operator.canary.gates import Kind
from chaffinch_operator.cli.evidence import gate_views, thresholds_of
from chaffinch_operator.cli.rollout import rollout_of
from unit.cli.builders import ERRORS, GATES, RESTARTS, SLO, SPLIT, gate, rollout, spec, status


def test_acting_count_gates_share_alpha() -> None:
    """Ratio, latency and objective share it; split and restarts do not."""
    thresholds = thresholds_of(rollout_of(rollout()).spec)
    assert thresholds is not None
    assert thresholds.sharing == 3
    assert (thresholds.harm, thresholds.safe) == pytest.approx((math.log(60), math.log(20)))


def test_a_gate_in_dry_run_takes_no_share() -> None:
    """What cannot roll back costs the others nothing."""
    gates = [{**GATES[0], "dryRun": True}, *GATES[1:]]
    thresholds = thresholds_of(rollout_of(rollout(spec=spec(analysis={**spec()["analysis"], "gates": gates}))).spec)
    assert thresholds is not None
    assert thresholds.sharing == 2


def test_a_spec_without_gates_counts_the_default_ones() -> None:
    """Errors and latency share alpha."""
    thresholds = thresholds_of(rollout_of(rollout(spec=spec(analysis={**spec()["analysis"], "gates": []}))).spec)
    assert thresholds is not None
    assert thresholds.sharing == 2


def test_progress_is_logarithmic_and_stays_between_none_and_all() -> None:
    """Evidence against a claim is no progress, and more than enough is enough."""
    views = gate_views(
        rollout_of(
            rollout(
                status=status(
                    gates=[
                        gate("errors", logEHarm=str(math.log(60) / 2), logESafe="-3"),
                        gate("slow", logEHarm="99", logESafe="-inf"),
                    ]
                )
            )
        )
    )
    assert [v.harm.progress for v in views if v.harm] == pytest.approx([0.5, 1.0])
    assert [v.safe.progress for v in views if v.safe] == [0.0, 0.0]


def test_harm_once_proven_stays_proven() -> None:
    """The p-value remembers the largest evidence there was."""
    proven = gate("errors", "Fail", logEHarm="1", pValue="0.001")
    [view] = gate_views(rollout_of(rollout(status=status(gates=[proven]))))
    assert view.harm is not None
    assert view.harm.reached
    assert view.harm.chance == pytest.approx(0.001)


def test_only_counting_gates_have_meters() -> None:
    """Split and restarts have a verdict and a sentence, no evidence bars."""
    views = gate_views(rollout_of(rollout(status=status(gates=[ERRORS, SLO, SPLIT, RESTARTS]))))
    assert [(v.kind, v.harm is not None) for v in views] == [
        (Kind.RATIO, True),
        (Kind.OBJECTIVE, True),
        (Kind.SPLIT, False),
        (Kind.RESTARTS, False),
    ]


def test_a_gate_the_spec_has_lost_is_still_shown() -> None:
    """Its kind and thresholds are unknown; its verdict is not."""
    [view] = gate_views(rollout_of(rollout(status=status(gates=[gate("gone", "Pass", logEHarm="1")]))))
    assert (view.kind, view.harm, view.verdict) == (None, None, "Pass")


def test_an_open_interval_has_an_infinite_end() -> None:
    """With no bad request of stable's the ratio has no upper limit."""
    [view] = gate_views(rollout_of(rollout(status=status(gates=[gate("errors", interval=["0.5", "inf"])]))))
    assert view.interval == (0.5, math.inf)
