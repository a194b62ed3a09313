"""The verdict on what is stored: the analysis of `chaffinch-shadow analyze`, with coverage, noise and shards.

Whoever asks twice within a moment gets the same answer, so that questions never cost more than a share of the time.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from chaffinch_shadow.analysis.analyse import analyse_rows
from chaffinch_shadow.analysis.rows import Rows
from chaffinch_shadow.analysis.verdict import needs_no_label
from chaffinch_shadow.api import evidence, views
from chaffinch_shadow.api.models import EvaluationView, NoiseView
from chaffinch_shadow.api.service import Service
from chaffinch_shadow.collect.coverage import Coverage, Damage, damage
from chaffinch_shadow.collect.evaluation import Evaluation
from chaffinch_shadow.collect.labels import LabelReport, report
from chaffinch_shadow.collect.tally import PAIRS, ShardState, Tally, total
from chaffinch_shadow.document import Json, document
from chaffinch_shadow.store import reads

_LEAST_SECONDS, _SHARE = 1.0, 10
"""An answer is kept for a second, or ten times as long as it took."""
INCONCLUSIVE = "Inconclusive"


@dataclass(frozen=True, slots=True)
class _Known:
    """What is stored, as of one moment."""

    running: bool
    states: dict[str, ShardState]
    tally: Tally
    labels: LabelReport
    rows: Rows


class Judge:
    """Judges one evaluation."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = asyncio.Lock()
        self._until = 0.0
        self._kept: EvaluationView | None = None

    async def now(self, *, fresh: bool = False) -> EvaluationView:
        """The evaluation as it stands; fresh: not the answer of a moment ago."""
        async with self._lock:
            began = time.monotonic()
            if self._kept is None or fresh or began >= self._until:
                known = await self._look()
                self._kept = await asyncio.to_thread(self._judged, known)
                self._until = time.monotonic() + max(_LEAST_SECONDS, _SHARE * (time.monotonic() - began))
            return self._kept

    async def _look(self) -> _Known:
        of, key = self._service.evaluation, self._service.registered.key
        async with self._service.view() as connection:
            at = datetime.now(UTC)
            found = await reads.find(connection, of.uid, of.generation)
            states = await reads.states(connection, key)
            labels = report(await reads.groups(connection, key, at), of.audit_rate)
            rows = evidence.of_counts(labels.tally)
            if evidence.needs_rows(of):
                rows = evidence.of_pairs([dict(row) async for row in reads.rows(connection, key, at)], of)
        tally = total(state.tally for state in states.values())
        return _Known(found is not None and found.running, states, tally, labels, rows)

    def _judged(self, known: _Known) -> EvaluationView:
        of, coverage = self._service.evaluation, Coverage.of(known.tally)
        found = (*damage(coverage, known.labels), *_sampled(of))
        # what was lost on the way is told by `found`, with its reasons, and by the analysis, as a share
        expected = coverage.pairs + coverage.lost or None
        analysis = analyse_rows(
            known.rows, evidence.question(of), expected=expected, observed=evidence.observed(known.tally)
        )
        return EvaluationView(
            uid=str(of.uid),
            generation=of.generation,
            namespace=of.namespace,
            name=of.name,
            running=known.running,
            shards=views.shards(known.states),
            shards_done=sum(state.done for state in known.states.values()),
            coverage=views.coverage(coverage, None, found),
            noise=_noise(known.tally) if of.noise_control is not None else None,
            **_damaged(document(analysis), found, [needs_no_label(each) for each in analysis.reasons]),
        )


def _sampled(of: Evaluation) -> tuple[Damage, ...]:
    """Of an audit's labels the analysis knows no weights, and without them every rate is of a chosen few."""
    if of.audit_rate is None or of.audit_rate >= 1:
        return ()
    message = (
        "Agreeing pairs are labelled by sample (auditRate): the weighted counts are in /v1/cells, without a verdict."
    )
    return (Damage("AuditNotWeighted", message),)


def _damaged(said: dict[str, Json], found: tuple[Damage, ...], plain: list[bool]) -> dict[str, Json]:
    """Damaged evidence decides nothing, whatever the counts say; its reasons come first.

    plain: of each reason, whether it rejects all the same, for it needs neither labels nor all of the requests.
    """
    if not found:
        return said
    own: list[Json] = [
        {"reason": one.reason, "message": one.message, "metric": None, "value": None, "limit": None, "p": None}
        for one in found
    ]
    reasons = said["reasons"]
    assert isinstance(reasons, list)
    told = {one.reason for one in found}
    breaches = [each for each, rejects in zip(reasons, plain, strict=True) if rejects]
    rest = [each for each, rejects in zip(reasons, plain, strict=True) if not rejects]
    others = [each for each in rest if not (isinstance(each, dict) and each.get("reason") in told)]
    verdict = said["verdict"] if breaches else INCONCLUSIVE
    return said | {"verdict": verdict, "reasons": [*breaches, *own, *others]}


def _noise(tally: Tally) -> NoiseView:
    """Of the answers of the second control, those that differ from the control's; index 2*noise + candidate."""
    counts = tally.numbers("differing", width=PAIRS)
    return NoiseView(requests=str(sum(counts)), differing=str(counts[2] + counts[3]))
