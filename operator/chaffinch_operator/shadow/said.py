"""What the service says of its counts, put into the status: whole numbers, decimal strings, a bounded number of parts.

The document is that of `chaffinch-shadow analyze`, with coverage, noise and shards. What is missing is left out; what
contradicts its form makes the whole answer unusable.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from chaffinch_operator.conditions import cut
from chaffinch_operator.shadow.status import (
    CoverageStatus,
    DiscordantStatus,
    DroppedStatus,
    MetricStatus,
    NoiseStatus,
    ReasonStatus,
    ShadowEvaluationStatus,
    StratumStatus,
)

Json = Mapping[str, Any]
VERDICTS = ("Promote", "Hold", "Reject", "Inconclusive")
_REASONS, _METRICS, _STRATA, _DROPPED, _MESSAGE, _NAME = 12, 8, 17, 16, 300, 64
_DIGITS = 6
_MOST = 2**63 - 1


class UnusableError(ValueError):
    """The service's answer is not what it should be; the message says in which field."""


def require(said: Json, uid: str, generation: int) -> Json:
    """The answer, if it is about this very generation of this object. UnusableError otherwise."""
    if (said.get("uid"), said.get("generation")) != (uid, generation):
        raise UnusableError("the service still answers for an earlier spec")
    if said.get("verdict") not in VERDICTS:
        raise UnusableError(f"verdict: {said.get('verdict')!r} is none of {', '.join(VERDICTS)}")
    return said


def told(status: ShadowEvaluationStatus, said: Json, *, final: bool) -> ShadowEvaluationStatus:
    """The status with what was said. final: the verdict may be read. UnusableError when a number is none."""
    try:
        parts = _parts(said)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise UnusableError(f"the service's answer is not understood: {type(problem).__name__} {problem}") from problem
    shown = {"verdict": said["verdict"], "reasons": _reasons(said)} if final else {"verdict": "", "reasons": []}
    return status.model_copy(update={**parts, **shown})


def _parts(said: Json) -> dict[str, Any]:
    coverage, noise = said.get("coverage"), said.get("noise")
    found: dict[str, Any] = {
        "cells": [_count(n) for n in said["cells"]],
        "requests": _count(said.get("requests", 0)),
        "labelled": _count(said.get("labelled", 0)),
        "discordant": _discordant(said["discordant"]),
        "metrics": [_metric(each) for each in said["metrics"][:_METRICS]],
        "auc": _auc(said.get("auc") or {}),
        "strata": _strata(said.get("strata") or ()),
    }
    if coverage:
        found["coverage"] = _coverage(coverage)
    if noise:
        found["noise"] = NoiseStatus(
            requests=_count(noise.get("requests", 0)), differing=_count(noise.get("differing", 0))
        )
    return found


def _reasons(said: Json) -> list[ReasonStatus]:
    found = (said.get("reasons") or ())[:_REASONS]
    return [
        ReasonStatus(reason=str(one["reason"])[:_NAME], message=cut(str(one.get("message", "")), _MESSAGE))
        for one in found
    ]


def _discordant(said: Json) -> DiscordantStatus:
    positive, negative = said["positive"], said["negative"]
    return DiscordantStatus(
        lost=_count(positive["lost"]),
        gained=_count(positive["gained"]),
        new_false_alarms=_count(negative["lost"]),
        repaired_false_alarms=_count(negative["gained"]),
        p_always_valid=_number(said.get("pAlwaysValid")),
    )


def _metric(said: Json, name: str = "") -> MetricStatus:
    limits = said.get("interval")
    low, high = limits if isinstance(limits, list) and len(limits) == 2 else ("", "")
    return MetricStatus(
        name=name or str(said["name"])[:_NAME],
        control=_number(said.get("control")),
        candidate=_number(said.get("candidate")),
        difference=_number(said.get("difference")),
        low=_number(low),
        high=_number(high),
    )


def _auc(said: Json) -> MetricStatus | None:
    """None where there are no scores."""
    return _metric(said, "auc") if isinstance(said.get("control"), (int, float)) else None


def _strata(said: Iterable[Json]) -> list[StratumStatus]:
    return [
        StratumStatus(
            name=str(one["name"])[:_NAME],
            cells=[_count(n) for n in one["cells"]],
            lost=_count(one["lost"]),
            gained=_count(one["gained"]),
        )
        for one in list(said)[:_STRATA]
    ]


def _coverage(said: Json) -> CoverageStatus:
    """Drops are told by reason and size; here by reason."""
    sums: dict[str, int] = {}
    for one in said.get("dropped") or ():
        reason = str(one["reason"])[:_NAME]
        sums[reason] = sums.get(reason, 0) + _count(one["copies"])
    most = sorted(sums.items(), key=lambda item: (-item[1], item[0]))[:_DROPPED]
    return CoverageStatus(
        received=_count(said.get("received", 0)),
        pairs=_count(said.get("pairs", 0)),
        share=_number(said.get("share")),
        dropped=[DroppedStatus(reason=reason, copies=copies) for reason, copies in most],
    )


def _count(value: object) -> int:
    """A count, which the service may write as a string. What exceeds 64 bits cannot be written to a status."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError(f"{value!r} is no count")
    count = int(value)
    if not 0 <= count <= _MOST:
        raise ValueError(f"{value!r} is out of range")
    return count


def _number(value: object) -> str:
    """A number as a decimal string; a word, such as NotAvailable, as it is."""
    if value is None or isinstance(value, bool):
        return ""
    return f"{value:.{_DIGITS}g}" if isinstance(value, (int, float)) else str(value)[:32]
