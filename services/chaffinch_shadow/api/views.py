"""From sums to what is answered. Pure."""

from collections.abc import Iterable
from fractions import Fraction

import asyncpg

from chaffinch_shadow.api.models import (
    CellsView,
    CoverageView,
    DamageView,
    Dropped,
    GuardrailsView,
    Latency,
    SampleView,
    Shard,
    Stratum,
)
from chaffinch_shadow.collect.coverage import Coverage, Damage
from chaffinch_shadow.collect.labels import LabelReport
from chaffinch_shadow.collect.latency import quantile
from chaffinch_shadow.collect.tally import CELLS, PAIRS, ShardState, Tally
from chaffinch_shadow.store.reads import headers_of

_PLACES = 6


def decimal(share: Fraction | float | None) -> str | None:
    """A number as a decimal string."""
    return None if share is None else f"{float(share):.{_PLACES}g}"


def _texts(counts: Iterable[int]) -> list[str]:
    return [str(n) for n in counts]


def cells(generation: int, labels: LabelReport, found: tuple[Damage, ...]) -> CellsView:
    """The counts of an evaluation."""
    tally = labels.tally
    return CellsView(
        generation=generation,
        cells=_texts(tally.cells),
        unlabelled=_texts(tally.unlabelled),
        strata=[_stratum(tally, name) for name in tally.strata],
        weighted=None if labels.weighted is None else [decimal(n) or "" for n in labels.weighted],
        labels={state.value: str(n) for state, n in labels.states.items()},
        label_maturity=decimal(labels.maturity),
        damage=_damage(found),
    )


def _stratum(tally: Tally, name: str) -> Stratum:
    own, unlabelled = tally.numbers("cell", name, width=CELLS), tally.numbers("unlabelled", name, width=PAIRS)
    return Stratum(name=name, cells=_texts(own), unlabelled=_texts(unlabelled))


def coverage(of: Coverage, ratio_p: float | None, found: tuple[Damage, ...]) -> CoverageView:
    """What became of the copies."""
    dropped = [
        Dropped(reason=reason, size=size, copies=str(n), in_scope=reason.in_scope)
        for (reason, size), n in sorted(of.dropped.items())
    ]
    return CoverageView(
        received=str(of.received),
        pairs=str(of.pairs),
        paired_by_size={size: str(n) for size, n in sorted(of.paired.items())},
        dropped=dropped,
        share=decimal(of.share),
        ratio_p=decimal(ratio_p),
        damage=_damage(found),
    )


def guardrails(tally: Tally) -> GuardrailsView:
    """Errors, noise and latency."""
    versions = sorted({key[0] for key in tally.under("latency")})
    return GuardrailsView(
        errors=_texts(tally.numbers("error", width=PAIRS)),
        differing=_texts(tally.numbers("differing", width=PAIRS)),
        disagreeing=_texts(tally.numbers("disagreeing", width=PAIRS)),
        latency={version: _latency(tally, version) for version in versions},
    )


def _latency(tally: Tally, version: str) -> Latency:
    bins = {int(key[0]): n for key, n in tally.under("latency", version).items()}
    p50, p95, p99 = (quantile(bins, Fraction(percent, 100)) for percent in (50, 95, 99))
    return Latency(p50=p50, p95=p95, p99=p99)


def shards(states: dict[str, ShardState]) -> list[Shard]:
    """How far each is."""
    return [Shard(shard=name, progress=str(state.progress), done=state.done) for name, state in states.items()]


def sample(row: asyncpg.Record) -> SampleView:
    """A stored pair."""
    own = {name: row[name] for name in SampleView.model_fields if name not in {"label_state", "headers"}}
    return SampleView(label_state=row["state"], headers=headers_of(row), **own)


def _damage(found: tuple[Damage, ...]) -> list[DamageView]:
    return [DamageView(reason=one.reason, message=one.message) for one in found]
