"""Screens as text at a fixed width, without colour: what people read. CHAFFINCH_GOLDEN=write renews the files."""

import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from chaffinch_operator.cli.rollout import Rollout, rollout_of
from chaffinch_operator.cli.screen import (
    ASCII,
    UNICODE,
    Glyphs,
    console_for,
    cut,
    glyphs_for,
    live,
    show_whole,
    text_of,
)
from chaffinch_operator.cli.show_explain import explanation
from chaffinch_operator.cli.show_status import Look, status_screen, weight_bar
from chaffinch_operator.cli.show_table import plain_line, rollout_table
from unit.cli.builders import (
    ALL,
    GATES,
    NOW,
    ago,
    ahead,
    at_rest,
    decision,
    gate,
    rejected,
    rollout,
    spec,
    status,
)

_GOLDEN = Path(__file__).parent / "golden"
_HISTORY = [
    {
        "digest": "c" * 16,
        "image": "registry.example/shop/checkout:1.9.0",
        "result": "Promoted",
        "reason": "GatesPassed",
        "at": ago(days=2),
        "message": "every gate proved the canary safe",
    },
    {
        "digest": "d" * 16,
        "image": "registry.example/shop/checkout:1.8.9",
        "result": "RolledBack",
        "reason": "GateFailed",
        "at": ago(days=3),
        "message": "errors proved harm: 4.0x",
    },
]
_NO_DATA = gate("errors", "NoData", message="errors: no series matches http_requests_total; is the canary scraped?")
_STATUSES: dict[str, dict[str, Any] | None] = {
    "analyzing": status(history=_HISTORY, forecast={"requestsNeeded": 18000, "decisionBy": ahead(minutes=14)}),
    "rejected": rejected(history=_HISTORY),
    "at_rest": at_rest(history=_HISTORY),
    "unseen": None,
    "alerted": status(
        "Pause",
        "PausedByAlert",
        "paused at weight 25 % by alert DatabaseDown {namespace=data} (not about the canary)",
        alerts=[
            {
                "fingerprint": "0" * 16,
                "name": "DatabaseDown",
                "startsAt": ago(minutes=5),
                "receivedAt": ago(minutes=4),
                "outcome": "Paused",
                "message": "DatabaseDown {namespace=data} (not about the canary)",
            }
        ],
    ),
    "shifting": status(
        "Shift",
        "StepWeight",
        "the weight of step 2 is being applied",
        gates=[_NO_DATA],
        weight={"desired": 25, "applied": 5},
        step={"index": 1},
    ),
    "approval": status(
        "Pause",
        "ApprovalRequired",
        "step 3 waits for a person",
        step={"index": 2, "startedAt": ago(minutes=1)},
        lastAction={
            "token": "promote@t1",
            "accepted": False,
            "message": "promote: errors proves harm",
            "at": ago(seconds=5),
        },
    ),
    "paused": status("Pause", "PausedByUser", "paused by a person", pausedByUser=True),
    "hold": status(
        "Hold",
        "InsufficientEvidence",
        "all steps are done; slo is not proven",
        weight={"desired": 50, "applied": 50, "observed": "50.2"},
        step={"index": 3, "startedAt": ago(minutes=9)},
    ),
}


_PLANNED = gate(
    "errors",
    canary={"bad": 31, "total": 1310},
    baseline={"bad": 96, "total": 12040},
    ratio="2.97",
    dispersion="1",
    dispersionSource="Spec",
    method="GroupSequential",
    message="errors: canary 31 of 1,310 (2.37 %), stable 96 of 12,040 (0.80 %): 3x, look 2 of 20: z of harm 4.10 "
    "(boundary 4.33), of safety -3.02 (boundary 4.33)",
)


@pytest.mark.parametrize("screen", [status_screen, explanation])
def test_planned_looks_are_told_by_their_sentence(screen: Callable[[Rollout, Look], RenderableType]) -> None:
    """Look and boundaries in place of e-values, which there are none of, and thresholds of them."""
    planned = spec()
    planned["analysis"] = {**planned["analysis"], "mode": "GroupSequential"}
    text = _text(screen(rollout_of(rollout(spec=planned, status=status(gates=[_PLANNED]))), Look(NOW)), width=400)
    assert "look 2 of 20: z of harm 4.10 (boundary 4.33), of safety -3.02 (boundary 4.33)" in text
    assert "planned looks" in text
    assert "evidence" not in text.lower()


def _text(renderable: RenderableType, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False, markup=False, emoji=False)
    return text_of(console, renderable) + "\n"


def _check(name: str, text: str) -> None:
    path = _GOLDEN / f"{name}.txt"
    if os.environ.get("CHAFFINCH_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", _STATUSES)
def test_the_status_screen_reads_as_recorded(name: str) -> None:
    """One screen for each situation of a rollout."""
    _check(f"status_{name}", _text(status_screen(rollout_of(rollout(status=_STATUSES[name])), Look(NOW))))


@pytest.mark.parametrize("name", _STATUSES)
def test_the_explanation_reads_as_recorded(name: str) -> None:
    """One explanation for each situation of a rollout."""
    _check(f"explain_{name}", _text(explanation(rollout_of(rollout(status=_STATUSES[name])), Look(NOW))))


@pytest.mark.parametrize("name", _STATUSES)
def test_no_line_is_wider_than_the_screen(name: str) -> None:
    """At 80 columns everything fits, also with long names in commands."""
    read = rollout_of(rollout(status=_STATUSES[name]))
    where = " -n a-rather-long-namespace --context a-rather-long-context"
    for renderable in (status_screen(read, Look(NOW, where=where)), explanation(read, Look(NOW, where=where))):
        assert max(len(line) for line in _text(renderable).splitlines()) <= 80


def test_the_table_reads_as_recorded() -> None:
    """One line per rollout, sorted by namespace and name."""
    read = [
        rollout_of(rollout(name, namespace, status=_STATUSES[which]))
        for name, namespace, which in (
            ("checkout", "shop", "analyzing"),
            ("cart", "shop", "rejected"),
            ("search", "find", "at_rest"),
            ("new", "shop", "unseen"),
        )
    ]
    _check("table", _text(rollout_table(read, NOW, namespaces=True)))


def test_the_wide_table_is_never_cut() -> None:
    """A narrow terminal wraps its lines; the text is all there."""
    console = Console(file=io.StringIO(), width=40, color_system=None)
    show_whole(console, rollout_table([rollout_of(rollout(status=_STATUSES["analyzing"]))], NOW, wide=True))
    assert isinstance(console.file, io.StringIO)
    assert "errors and slo are not decided yet" in console.file.getvalue()
    assert console.width == 40


def test_a_plain_line_holds_what_changes() -> None:
    """Decision, step, weight and verdicts, and no clock, so that equal states give equal lines."""
    assert plain_line(rollout_of(rollout(status=status(gates=ALL[:2])))) == (
        "shop/checkout  Shift (Analyzing)  step 2/4  weight 25 of 25 % observed 24.6 %  errors=Inconclusive slow=Pass  "
        "weight 25 %; errors and slo are not decided yet"
    )


@pytest.mark.parametrize(
    ("applied", "desired", "bar"),
    [
        (0, 0, "." * 40),
        (25, 25, "#" * 10 + "." * 30),
        (5, 25, "##" + "=" * 8 + "." * 30),
        (100, 100, "#" * 40),
        (50, 0, "#" * 20 + "." * 20),
    ],
)
def test_the_weight_bar_shades_what_is_not_applied_yet(applied: int, desired: int, bar: str) -> None:
    """Filled is applied, shaded is decided."""
    assert weight_bar(applied, desired, ASCII).plain == bar


@pytest.mark.parametrize(("encoding", "glyphs"), [("utf-8", UNICODE), ("ascii", ASCII), ("latin-1", ASCII)])
def test_the_characters_are_those_the_stream_can_carry(encoding: str, glyphs: Glyphs) -> None:
    """No encoding error on an old terminal."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    assert glyphs_for(console_for(stream)) == glyphs


def test_a_stream_that_knows_only_ascii_gets_the_whole_screen() -> None:
    """Nothing but ASCII is printed."""
    text = _text(status_screen(rollout_of(rollout(status=_STATUSES["analyzing"])), Look(NOW, ASCII)))
    assert text.isascii()


def test_a_table_that_is_redrawn_is_cut_at_the_edge() -> None:
    """Each rollout keeps to its one line, whatever the terminal's width."""
    console = Console(file=io.StringIO(), width=30, force_terminal=True, color_system="standard")
    with live(console) as screen:
        screen.update(
            cut(console, rollout_table([rollout_of(rollout(status=_STATUSES["analyzing"]))], NOW, wide=True)),
            refresh=True,
        )
    assert isinstance(console.file, io.StringIO)
    plain = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", console.file.getvalue())
    lines = [line for line in plain.splitlines() if line.strip()]
    assert lines[0].startswith("NAME      STATE")
    assert max(len(line) for line in lines) <= 30


@pytest.mark.parametrize(
    ("changes", "note"),
    [({"deletionTimestamp": ago()}, "It is being deleted."), ({"generation": 4}, "The spec was changed")],
)
def test_a_reader_is_told_what_to_know_first(changes: dict[str, Any], note: str) -> None:
    """A deletion or an unseen change makes the rest old news."""
    assert note in _text(status_screen(rollout_of(rollout(status=status(), **changes)), Look(NOW)))


def test_a_dedicated_baseline_is_what_the_canary_is_compared_with() -> None:
    """On the screen, in each gate's counts, and in the explanation."""
    seen = rollout_of(rollout(status=status(baseline="Dedicated", gates=ALL)))
    screen = _text(status_screen(seen, Look(NOW)))
    assert re.search(r"Compared with +deployment/checkout-baseline, a fresh copy of stable", screen)
    assert ", baseline " in screen
    assert "stable's" not in screen
    assert "baseline's bad share or more" in " ".join(_text(explanation(seen, Look(NOW))).split())


def test_a_suspended_rollout_says_so() -> None:
    """Nothing moves, and the reason is in the spec."""
    assert "spec.suspend is true" in _text(status_screen(rollout_of(rollout(spec=spec(suspend=True))), Look(NOW)))


def test_conditions_are_shown_only_when_they_are_bad() -> None:
    """And not when they repeat the decision."""

    def condition(kind: str, status: str, reason: str) -> dict[str, Any]:
        return {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": f"{kind} says",
            "observedGeneration": 3,
            "lastTransitionTime": "",
        }

    conditions = [
        condition("Ready", "False", "Analyzing"),
        condition("Stalled", "False", "Analyzing"),
        condition("HoldInstalled", "False", "HoldNotInstalled"),
        condition("Analyzed", "True", "Fine"),
    ]
    text = _text(status_screen(rollout_of(rollout(status=status(conditions=conditions))), Look(NOW)))
    assert [line.split()[0] for line in text.splitlines() if "says" in line] == ["HoldInstalled"]


def test_a_spec_that_cannot_be_read_costs_steps_and_bars_only() -> None:
    """Verdicts and sentences are still there."""
    text = _text(status_screen(rollout_of(rollout(spec={"steps": "all"}, status=status(gates=[_NO_DATA]))), Look(NOW)))
    assert "Steps" not in text
    assert "? errors  NoData  no series matches" in text


def test_a_version_that_is_too_old_says_so() -> None:
    """What the plugin does not understand is named on the screen."""
    read = rollout_of(rollout(status=status(lastDecision=decision("Shift", "MoonPhase"))))
    assert "does not understand status.lastDecision.reason" in _text(status_screen(read, Look(NOW)), 200)


def test_dry_run_is_marked() -> None:
    """A gate that never acts must not look as if it did."""
    gates = [{**GATES[0], "dryRun": True}]
    read = rollout_of(
        rollout(
            spec=spec(analysis={**spec()["analysis"], "gates": gates}),
            status=status(gates=[gate("errors", "Fail", dryRun=True)]),
        )
    )
    assert "Fail (dry run)" in _text(status_screen(read, Look(NOW)))
    assert "it never acts" in _text(explanation(read, Look(NOW)))
