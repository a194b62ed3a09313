"""The present traffic of a gate: from the command line, from the status of a rollout under way, or from Prometheus."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chaffinch_operator.canary import calibration, clock, history
from chaffinch_operator.canary.gates import ResolvedGate
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import IN_FLIGHT
from chaffinch_operator.canary.status import GateStatus
from chaffinch_operator.cli import words
from chaffinch_operator.cli.failures import DeclinedError, UsageProblemError
from chaffinch_operator.cli.forecasts import GateTraffic
from chaffinch_operator.cli.rollout import Rollout
from chaffinch_operator.ports.prometheus import Ranges

_FEWEST = 100
"""Requests below which a share says nothing."""


@dataclass(frozen=True, slots=True)
class ByHand:
    """Numbers from the command line; the key "" stands for every gate."""

    per_second: Mapping[str, float]
    bad_share: Mapping[str, float]
    dispersion: Mapping[str, float]

    def of(self, numbers: Mapping[str, float], gate: str) -> float | None:
        """What was said about a gate."""
        return numbers.get(gate, numbers.get(""))

    def covers(self, gate: str) -> bool:
        """Whether nothing else is needed."""
        return self.of(self.per_second, gate) is not None and self.of(self.bad_share, gate) is not None

    def over(self, gate: ResolvedGate, found: "Measured | None") -> GateTraffic | None:
        """These numbers, and where there are none those found; None if neither says it all."""
        said = (self.of(self.per_second, gate.name), self.of(self.bad_share, gate.name))
        per_second = said[0] if said[0] is not None else found.per_second if found else None
        bad_share = said[1] if said[1] is not None else found.bad_share if found else None
        if per_second is None or bad_share is None:
            return None
        phi, whence = self._dispersion(gate, found)
        origin = "as given" if None not in said or found is None else found.origin
        return GateTraffic(per_second, bad_share, phi, f"{origin}; dispersion {phi:.3g} {whence}")

    def _dispersion(self, gate: ResolvedGate, found: "Measured | None") -> tuple[float, str]:
        said = self.of(self.dispersion, gate.name)
        if said is not None:
            return said, "as given"
        design = gate.count or gate.rate
        if found is not None and found.dispersion is not None:
            return found.dispersion, found.dispersion_origin
        if design is not None and design.dispersion > 1.0:
            return design.dispersion, "of the spec"
        return 1.0, "assumed"


@dataclass(frozen=True, slots=True)
class Measured:
    """Numbers that were found."""

    per_second: float
    bad_share: float
    origin: str
    dispersion: float | None = None
    dispersion_origin: str = ""


def by_hand(per_second: Sequence[str], bad_share: Sequence[str], dispersion: Sequence[str]) -> ByHand:
    """Read --rps, --bad-rate and --dispersion, each NUMBER or GATE=NUMBER."""
    return ByHand(
        _numbers("--rps", per_second, 0.0, math.inf),
        _numbers("--bad-rate", bad_share, 0.0, 1.0),
        _numbers("--dispersion", dispersion, 1.0, math.inf),
    )


def _numbers(option: str, texts: Iterable[str], low: float, high: float) -> dict[str, float]:
    out: dict[str, float] = {}
    for text in texts:
        gate, _, number = text.rpartition("=")
        value = words.number(number)
        if value is None or not (low <= value <= high) or math.isinf(value):
            top = f" to {high:g}" if math.isfinite(high) else " or more"
            raise UsageProblemError(
                f'{option} "{text}": "{number}" is not a number of {low:g}{top}', f"write {option} 1 or {option} GATE=1"
            )
        out[gate] = value
    return out


def check_names(given: ByHand, gates: Sequence[ResolvedGate]) -> None:
    """UsageProblemError for a gate that there is not."""
    counting = [gate.name for gate in gates if gate.count or gate.rate]
    for numbers in (given.per_second, given.bad_share, given.dispersion):
        for name in numbers:
            if name and name not in counting:
                raise UsageProblemError(
                    f'there is no gate "{name}" that counts requests', f"gates that do: {words.listing(counting)}"
                )


def from_status(rollout: Rollout, gates: Sequence[ResolvedGate]) -> dict[str, Measured]:
    """What a rollout under way has seen so far, gate by gate; nothing before there is enough of it."""
    status = rollout.status
    started, end = clock.parse(status.step.started_at), clock.parse(status.interval_end)
    seconds = (end - started).total_seconds() if started and end else 0.0
    if not rollout.is_doing(*IN_FLIGHT) or seconds <= 0.0 or status.step.total_requests < _FEWEST:
        return {}
    requests = status.step.total_requests / seconds
    if rollout.spec is not None and rollout.spec.canary.baseline == "Dedicated" and status.weight.applied:
        # Only the canary and its baseline are judged; stable serves the rest.
        requests = status.step.canary_requests / seconds * 100 / status.weight.applied
    by_name = {gate.name: gate for gate in status.gates}
    first = next((by_name[g.name] for g in gates if g.count and g.name in by_name), None)
    out = {}
    for gate in gates:
        seen = by_name.get(gate.name)
        if seen is None or first is None or not first.canary.total:
            continue
        arm = seen.baseline if gate.count else seen.canary
        if (gate.count or gate.rate) and arm.total >= _FEWEST:
            per_second = requests * seen.canary.total / first.canary.total
            whose = (
                "the canary" if not gate.count else "stable" if gate.compared == "stable" else f"the {gate.compared}"
            )
            origin = f"this rollout's {arm.total:,} requests of {whose}"
            out[gate.name] = Measured(per_second, arm.bad / arm.total, origin, *_kept(seen))
    return out


def _kept(seen: GateStatus) -> tuple[float | None, str]:
    phi = words.number(seen.dispersion)
    source = seen.dispersion_source or "of this rollout"
    return (phi, f"({source})") if phi is not None and phi >= 1.0 else (None, "")


async def from_prometheus(
    prometheus: Ranges, spec: CanaryRolloutSpec, gates: Sequence[ResolvedGate], now: datetime, window_seconds: float
) -> dict[str, Measured]:
    """What stable did in the window, as the operator reads it, and the dispersion that it would take from it."""
    out = {}
    for gate in gates:
        found = await _measured(prometheus, spec, gate, now, window_seconds)
        if found is not None:
            out[gate.name] = found
    return out


async def _measured(
    prometheus: Ranges, spec: CanaryRolloutSpec, gate: ResolvedGate, now: datetime, window: float
) -> Measured | None:
    always = replace(gate, auto=True, history_seconds=max(window, gate.history_seconds))
    past = await history.read(prometheus, spec, always, now)
    if past.problem:
        raise DeclinedError(f"gate {gate.name}: {past.problem}", "correct the query: docs/gates.md")
    seen = [arm for arm in past.whole[-max(1, round(window / past.step_seconds)) :] if arm is not None]
    total, bad = sum(arm.total for arm in seen), sum(arm.bad for arm in seen)
    if total < _FEWEST:
        return None
    length = len(seen) * past.step_seconds
    origin = f"{total:,} requests in {words.duration(length)}"
    chosen = calibration.calibrate(gate, past)
    return Measured(total / length, bad / total, origin, float(chosen.dispersion), f"({chosen.source})")


def missing(spec: CanaryRolloutSpec, names: Sequence[str]) -> DeclinedError:
    """Gates of which nothing is known."""
    gates = f"gate{'s' if len(names) > 1 else ''} {words.listing(list(names))}"
    why = "there is no Prometheus to ask" if spec.analysis.provider is None else "Prometheus has too few requests"
    options = " ".join(f"--bad-rate {name}=0.004" for name in names)
    return DeclinedError(f"the traffic of {gates} is not known: {why}", f"say it by hand: --rps 100 {options}")
