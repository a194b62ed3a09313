"""From a copy and the answers to it to a sample and its counts."""

import math
from dataclasses import dataclass
from fractions import Fraction
from hashlib import blake2b
from uuid import UUID

from chaffinch_shadow.collect.compare import fingerprint
from chaffinch_shadow.collect.copies import Answer, Copy, first
from chaffinch_shadow.collect.evaluation import Evaluation
from chaffinch_shadow.collect.latency import bin_of
from chaffinch_shadow.collect.redact import Stored, redact
from chaffinch_shadow.collect.tally import Tally, one, total
from chaffinch_shadow.collect.words import SAFE_METHODS, Drop, Failure, candidate_drop, control_drop, size_class

OTHER, EVERYTHING = "other", "all"
MOST_ID = 128
_FIRST_ERROR = 500
_TRUE, _FALSE = frozenset(("1", "true", "attack", "positive")), frozenset(("0", "false", "benign", "negative"))


@dataclass(frozen=True, slots=True)
class Answers:
    """What the versions said to one copy; noise is None where no second control is asked for."""

    control: Answer | Failure
    candidate: Answer | Failure
    noise: Answer | Failure | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """A pair, as it is stored.

    Attributes:
        request_id: by which labels find it.
        ordinal: place in time, or in the file.
        stratum: part that it belongs to.
        cluster: pseudonym of the client, or None.
        label: from the request itself, or None.
        control: the control detected something.
        candidate: the candidate did.
        control_score: of the control, or None.
        candidate_score: of the candidate, or None.
        differing: the answers differ in what is compared.
        audited: it is to be labelled whatever the versions said.
        control_status: HTTP status.
        candidate_status: HTTP status.
        size: class of the body's size.
        request: redacted.

    """

    request_id: str
    ordinal: int
    stratum: str
    cluster: str | None
    label: bool | None
    control: bool
    candidate: bool
    control_score: float | None
    candidate_score: float | None
    differing: bool
    audited: bool
    control_status: int
    candidate_status: int
    size: str
    request: Stored


@dataclass(frozen=True, slots=True)
class Made:
    """What came of a copy: a sample where there is a pair, and counts to add once, with the sample."""

    sample: Sample | None
    counts: Tally


def refusal(evaluation: Evaluation, copy: Copy) -> Drop | None:
    """Return why a copy is not sent to the versions, or None."""
    if copy.method not in evaluation.mirror.methods:
        return Drop.METHOD_NOT_ASKED if copy.method in SAFE_METHODS else Drop.UNSAFE_METHOD
    if not copy.request_id or len(copy.request_id) > MOST_ID or not copy.request_id.isprintable():
        return Drop.NO_REQUEST_ID
    return Drop.TOO_LARGE if len(copy.body) > evaluation.mirror.max_body_bytes else None


def dropped(drop: Drop, body_bytes: int) -> Tally:
    """Return the count of a copy without a pair."""
    return one("dropped", drop, size_class(body_bytes))


def duplicate(size: str) -> Tally:
    """Return the count of a pair whose request id is stored already."""
    return one("dropped", Drop.DUPLICATE, size)


def pair(evaluation: Evaluation, copy: Copy, answers: Answers) -> Made:
    """Return the sample and the counts of a copy that the versions were asked about.

    A version that did not answer is an error of that version, and the copy has no pair.
    """
    control, candidate = answers.control, answers.candidate
    counts = [_errors(control, candidate)]
    if isinstance(control, Failure):
        return Made(None, total([*counts, dropped(control_drop(control), len(copy.body))]))
    if isinstance(candidate, Failure):
        return Made(None, total([*counts, dropped(candidate_drop(candidate), len(copy.body))]))
    sample = _sample(evaluation, copy, control, candidate)
    counts += [one("paired", sample.size), _outcome(sample, bad_label=_bad_label(evaluation, copy))]
    counts += [_latency("control", control), _latency("candidate", candidate)]
    counts += _noise(evaluation, answers.noise, control, sample)
    return Made(sample, total(counts))


def _sample(evaluation: Evaluation, copy: Copy, control: Answer, candidate: Answer) -> Sample:
    request_id = copy.request_id or ""
    return Sample(
        request_id=request_id,
        ordinal=copy.ordinal,
        stratum=_stratum(evaluation, copy),
        cluster=_cluster(evaluation, copy),
        label=_label(evaluation, copy),
        control=detected(evaluation, control),
        candidate=detected(evaluation, candidate),
        control_score=_score(evaluation, control),
        candidate_score=_score(evaluation, candidate),
        differing=fingerprint(control, evaluation.ignore) != fingerprint(candidate, evaluation.ignore),
        audited=audited(evaluation.uid, request_id, evaluation.audit_rate),
        control_status=control.status,
        candidate_status=candidate.status,
        size=size_class(len(copy.body)),
        request=redact(copy, evaluation.redact),
    )


def detected(evaluation: Evaluation, answer: Answer) -> bool:
    """Whether an answer counts as a detection."""
    return answer.status in evaluation.compare.outcome.status_in


def audited(uid: UUID, request_id: str, rate: Fraction | None) -> bool:
    """Whether a request is in the random audit: the same answer whoever asks, with probability `rate` over ids."""
    if rate is None:
        return False
    drawn = int.from_bytes(blake2b(request_id.encode(), key=uid.bytes, digest_size=8).digest())
    return drawn * rate.denominator < rate.numerator << 64


def read_label(text: str) -> bool | None:
    """Return the label that a header says, or None when it says nothing known."""
    word = text.strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def _label(evaluation: Evaluation, copy: Copy) -> bool | None:
    if copy.label is not None:
        return copy.label
    text = first(copy.headers, evaluation.labels.header.lower()) if evaluation.labels.header else None
    return None if text is None else read_label(text)


def _bad_label(evaluation: Evaluation, copy: Copy) -> bool:
    header = evaluation.labels.header
    text = first(copy.headers, header.lower()) if header and copy.label is None else None
    return text is not None and read_label(text) is None


def _stratum(evaluation: Evaluation, copy: Copy) -> str:
    strata = evaluation.compare.strata
    if strata is None:
        return EVERYTHING
    value = first(copy.headers, strata.header.lower())
    return value if value in strata.values else OTHER


def _cluster(evaluation: Evaluation, copy: Copy) -> str | None:
    """Return a pseudonym: what was sent cannot be read back without guessing it, and differs between evaluations."""
    value = first(copy.headers, evaluation.cluster_header) if evaluation.cluster_header else None
    return None if value is None else blake2b(value.encode(), key=evaluation.uid.bytes, digest_size=12).hexdigest()


def _score(evaluation: Evaluation, answer: Answer) -> float | None:
    score = evaluation.compare.score
    text = first(answer.headers, score.header.lower()) if score else None
    try:
        value = math.nan if text is None else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _outcome(sample: Sample, *, bad_label: bool) -> Tally:
    verdicts = 2 * sample.control + sample.candidate
    if sample.label is not None:
        return one("cell", sample.stratum, str(4 * sample.label + verdicts))
    unlabelled = one("unlabelled", sample.stratum, str(verdicts))
    return unlabelled + one("label", "unknown") if bad_label else unlabelled


def _errors(control: Answer | Failure, candidate: Answer | Failure) -> Tally:
    return one("error", str(2 * _is_error(control) + _is_error(candidate)))


def _is_error(answer: Answer | Failure) -> bool:
    return isinstance(answer, Failure) or answer.status >= _FIRST_ERROR


def _latency(version: str, answer: Answer) -> Tally:
    return one("latency", version, str(bin_of(answer.micros)))


def _noise(evaluation: Evaluation, noise: Answer | Failure | None, control: Answer, sample: Sample) -> list[Tally]:
    """Return how the second control and the candidate each differ from the control: in answers and in verdicts."""
    if noise is None:
        return []
    if isinstance(noise, Failure):
        return [one("noise", noise.value)]
    differs = fingerprint(control, evaluation.ignore) != fingerprint(noise, evaluation.ignore)
    disagrees = detected(evaluation, noise) != sample.control
    return [
        one("differing", str(2 * differs + sample.differing)),
        one("disagreeing", str(2 * disagrees + (sample.candidate != sample.control))),
    ]
