"""How long a group sequential test takes over the stages of a rollout, by simulation; see `timing` for the other tests.

A look is taken when the information passes the next of the marks that divide what is planned into equal parts, on the
side, of harm or of safety, that is furthest from its end. Information grows nearly as expected, so looks and boundaries
are computed once, from its expectation. Pure: the caller hands in the source of chance.
"""

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from chaffinch_stats import group_sequential, spending
from chaffinch_stats.group_sequential import GroupGate, Side
from chaffinch_stats.races import Stage, Truth
from chaffinch_stats.timing import MASK, RUNS, Bytes, Delays, quantiles

_MANY = 10_000.0


@dataclass(frozen=True, slots=True)
class _Piece:
    """Requests of one stage between two looks."""

    ends: float
    """Seconds since the first stage began."""
    look: bool
    """Whether a look is taken at its end."""
    canary: float
    baseline: float
    """Requests, over the dispersion."""
    truth: Truth


def delays(
    gate: GroupGate,
    stages: Sequence[Stage],
    truth: Truth,
    interval_seconds: float,
    chance: Bytes,
    runs: int = RUNS,
) -> tuple[Delays, Delays]:
    """Simulate when harm is found, and when safety is; either ends the test, and some runs end without any.

    Args:
        gate: the design.
        stages: shape (stages,).
        truth: what the arms really do.
        interval_seconds: requests are counted once in so many seconds.
        chance: where randomness comes from.
        runs: how many rollouts are simulated.

    """
    never = Delays((math.inf,) * runs)
    pieces = list(_pieces(gate, stages, truth, interval_seconds))
    if not any(piece.look for piece in pieces):
        return never, never
    bounds = [_boundaries(gate, pieces, harm=harm) for harm in (True, False)]
    ends = [_run(gate, pieces, (bounds[0], bounds[1]), chance) for _ in range(runs)]
    return Delays(tuple(sorted(harm for harm, _ in ends))), Delays(tuple(sorted(safe for _, safe in ends)))


def _pieces(gate: GroupGate, stages: Sequence[Stage], truth: Truth, interval: float) -> Iterator[_Piece]:
    """All requests up to the last look, cut at looks and at changes of the weight."""
    planned = (gate.harm_information, gate.safe_information)
    begun, looks, gathered = 0.0, 0, (0.0, 0.0)
    for position, stage in enumerate(stages):
        last = position == len(stages) - 1
        left = math.inf if last else float(math.floor((stage.seconds - stage.blind_seconds) / interval + 1e-9))
        growth = _growth(gate, stage, truth, interval)
        done = 0.0
        while looks < gate.looks and left > 0.0 and min(growth) > 0.0:
            mark = (looks + 1) / gate.looks
            missing = [(mark * p - g) / r for p, g, r in zip(planned, gathered, growth, strict=True)]
            intervals = min(left, max(1.0, math.ceil(max(missing) - 1e-9)))
            gathered = (gathered[0] + intervals * growth[0], gathered[1] + intervals * growth[1])
            left, done = left - intervals, done + intervals
            passed = min(g / p for g, p in zip(gathered, planned, strict=True))
            due = math.floor(passed * gate.looks * (1.0 + 1e-9))
            piece = _piece(gate, stage, truth, interval, intervals)
            yield replace(piece, ends=begun + stage.blind_seconds + done * interval, look=due > looks)
            looks = max(looks, due)
        begun += stage.seconds


def _growth(gate: GroupGate, stage: Stage, truth: Truth, interval: float) -> tuple[float, float]:
    """What an interval tells, on average over many: of harm, and of safety."""
    harm, safety = _information(gate, _piece(gate, stage, truth, interval, _MANY))
    return harm / _MANY, safety / _MANY


def _piece(gate: GroupGate, stage: Stage, truth: Truth, interval: float, intervals: float) -> _Piece:
    requests = intervals * interval / gate.dispersion
    return _Piece(0.0, look=False, canary=requests * stage.canary, baseline=requests * stage.baseline, truth=truth)


def _information(gate: GroupGate, piece: _Piece) -> tuple[float, float]:
    """What the requests are expected to tell: of harm, and of safety."""
    canary = (piece.canary * piece.truth.canary, piece.canary)
    baseline = (piece.baseline * piece.truth.baseline, piece.baseline)
    of_harm, of_safety = (
        group_sequential.score_of(canary, baseline, r)[1] for r in (gate.harm_ratio, gate.margin_ratio)
    )
    return of_harm, of_safety


def _boundaries(gate: GroupGate, pieces: Sequence[_Piece], *, harm: bool) -> list[float]:
    """The z boundary after every piece; inf where no look is taken, or after the test has ended."""
    planned = gate.harm_information if harm else gate.safe_information
    error = gate.alpha if harm else gate.beta
    at: list[float] = []
    targets: list[float] = []
    places: list[int] = []
    information = 0.0
    last = max(k for k, piece in enumerate(pieces) if piece.look)
    for k, piece in enumerate(pieces):
        information += _information(gate, piece)[0 if harm else 1]
        if piece.look and information > (at[-1] if at else 0.0) and (not at or at[-1] < planned):
            at.append(information)
            targets.append(error if k == last else spending.spent(gate.spending, error, information / planned))
            places.append(k)
    found = [math.inf] * len(pieces)
    for k, boundary in zip(places, spending.boundaries_of(tuple(targets), tuple(at)), strict=True):
        found[k] = boundary
    return found


def _run(
    gate: GroupGate, pieces: Sequence[_Piece], bounds: tuple[Sequence[float], Sequence[float]], chance: Bytes
) -> tuple[float, float]:
    """One rollout: when harm is found, and when safety is."""
    dice = array("H", chance(4 * len(pieces)))
    harm, safe = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    for k, piece in enumerate(pieces):
        canary = quantiles(piece.canary, piece.truth.canary)[dice[2 * k] & MASK]
        baseline = quantiles(piece.baseline, piece.truth.baseline)[dice[2 * k + 1] & MASK]
        arms = ((canary, piece.canary), (baseline, piece.baseline))
        for sums, ratio, sign in ((harm, gate.harm_ratio, 1.0), (safe, gate.margin_ratio, -1.0)):
            score, variance, third = group_sequential.score_of(*arms, ratio)
            sums[0] += sign * score
            sums[1] += variance
            sums[2] += sign * third
        if piece.look:
            if bounds[0][k] < math.inf and _z(harm) >= bounds[0][k]:
                return piece.ends, math.inf
            if bounds[1][k] < math.inf and _z(safe) >= bounds[1][k]:
                return math.inf, piece.ends
    return math.inf, math.inf


def _z(sums: Sequence[float]) -> float:
    score, information, third = sums
    return Side(score, information, third).normal_z
