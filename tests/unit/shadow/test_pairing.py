"""What comes of a copy: refused, failed, or a pair with its outcomes and counts."""

from fractions import Fraction
from typing import Any

import pytest

from chaffinch_shadow.collect.copies import Copy, forwarded
from chaffinch_shadow.collect.latency import bin_of, quantile, upper_limit
from chaffinch_shadow.collect.pairing import audited, refusal
from chaffinch_shadow.collect.words import Drop, Failure
from unit.shadow.copies import BLOCK, PASS, UID, answer, copy, evaluation, paired


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (copy(), None),
        (copy(method="HEAD"), None),
        (copy(method="OPTIONS"), Drop.METHOD_NOT_ASKED),
        (copy(method="POST"), Drop.UNSAFE_METHOD),
        (copy(request_id=""), Drop.NO_REQUEST_ID),
        (copy(request_id="x" * 129), Drop.NO_REQUEST_ID),
        (copy(body=b"x" * 11), Drop.TOO_LARGE),
    ],
)
def test_what_is_not_compared(request_: Copy, why: Drop | None) -> None:
    """Only the methods asked for, with an id, and within the limit of the body."""
    assert refusal(evaluation(mirror={"maxBodyBytes": 10}), request_) == why


@pytest.mark.parametrize(
    ("control", "candidate", "label", "cell"),
    [(PASS, PASS, "0", 0), (PASS, BLOCK, "benign", 1), (BLOCK, PASS, "attack", 6), (BLOCK, BLOCK, "TRUE", 7)],
)
def test_the_cell_of_a_labelled_pair(control: Any, candidate: Any, label: str, cell: int) -> None:
    """The index is 4*label + 2*control + candidate."""
    made = paired(evaluation(labels={"header": "X-Label"}), copy(x_label=label), control, candidate)
    assert made.counts.cells == tuple(int(place == cell) for place in range(8))


def test_a_label_that_is_not_understood_is_counted_as_such() -> None:
    """It neither fails nor becomes a guess."""
    made = paired(evaluation(labels={"header": "x-label"}), copy(x_label="maybe"), BLOCK, PASS)
    assert (made.counts.unlabelled, made.counts.counts["label", "unknown"]) == ((0, 0, 1, 0), 1)


@pytest.mark.parametrize(
    ("control", "candidate", "drop", "error"),
    [
        (PASS, Failure.TIMED_OUT, "CandidateTimedOut", 1),
        (PASS, Failure.AWAY, "CandidateAway", 1),
        (PASS, Failure.BROKE_OFF, "CandidateBrokeOff", 1),
        (PASS, Failure.ANSWER_TOO_LARGE, "CandidateAnswerTooLarge", 1),
        (Failure.AWAY, PASS, "ControlAway", 2),
        (Failure.TIMED_OUT, Failure.AWAY, "ControlTimedOut", 3),
    ],
)
def test_a_version_that_does_not_answer_is_an_error_and_no_pair(
    control: Any, candidate: Any, drop: str, error: int
) -> None:
    """Silence is never taken for "not detected", and is an outcome of the error guardrail."""
    made = paired(evaluation(), copy(), control, candidate)
    assert made.sample is None
    assert made.counts.counts == {("dropped", drop, "none"): 1, ("error", str(error)): 1}


def test_a_500_is_an_answer_and_an_error() -> None:
    """It detects nothing, and counts against the version that gave it."""
    made = paired(evaluation(), copy(), BLOCK, answer(500))
    assert (made.counts.unlabelled, made.counts.numbers("error", width=4)) == ((0, 0, 1, 0), (0, 1, 0, 0))


def test_noise_is_counted_on_the_same_requests() -> None:
    """How the second control and the candidate differ from the control is one table, to be tested as pairs."""
    made = paired(evaluation(noiseControl="http://waf-b"), copy(), PASS, BLOCK, answer(200, b"other"))
    assert made.counts.numbers("differing", width=4) == (0, 0, 0, 1)
    assert made.counts.numbers("disagreeing", width=4) == (0, 1, 0, 0)


@pytest.mark.parametrize(
    ("ignore", "differs"),
    [([], True), (["json:$.ts"], True), (["json:$.ts", "header:x-served-by"], False)],
)
def test_ignored_places_do_not_make_answers_differ(ignore: list[str], differs: bool) -> None:
    """JSON is compared by value without ignored members; headers without ignored names."""
    of = evaluation(compare={"ignore": ignore})
    first = answer(200, b'{"a": 1, "ts": 1}', content_type="application/json", x_served_by="a", date="1")
    second = answer(200, b'{"ts": 2, "a": 1}', content_type="application/json", x_served_by="b", date="2")
    sample = paired(of, copy(), first, second).sample
    assert sample is not None
    assert sample.differing is differs


@pytest.mark.parametrize(("text", "score"), [("0.25", 0.25), ("nan", None), ("1e999", None), ("high", None)])
def test_scores_are_finite_numbers_or_none(text: str, score: float | None) -> None:
    """A score that is none does not spoil the pair."""
    sample = paired(evaluation(compare={"score": {"header": "X-Score"}}), copy(), answer(x_score=text)).sample
    assert sample is not None
    assert (sample.control_score, sample.candidate_score) == (score, None)


def test_strata_are_bounded_by_the_settings() -> None:
    """A client cannot make strata by sending new values."""
    of = evaluation(compare={"strata": {"header": "x-route", "values": ["login"]}})
    samples = [paired(of, copy(x_route=value)).sample for value in ("login", "'; drop", "")]
    assert [sample.stratum for sample in samples if sample] == ["login", "other", "other"]


def test_clients_are_grouped_by_a_pseudonym() -> None:
    """Equal clients share one, which is not their name and is another in another evaluation."""
    of = [evaluation(compare={"clusterBy": "header:x-client"})] * 2
    of += [evaluation(uid="6f0f5b5e-0000-4000-8000-000000000002", compare={"clusterBy": "header:x-client"})]
    samples = [paired(each, copy(x_client="alice")).sample for each in of]
    first, second, elsewhere = (sample.cluster for sample in samples if sample)
    assert first == second != elsewhere
    assert first is not None
    assert "alice" not in first


def test_the_audit_draws_at_its_rate_and_always_the_same() -> None:
    """Whoever asks, and whenever: the draw depends on the request's id alone."""
    drawn = [audited(UID, f"r-{number}", Fraction(1, 10)) for number in range(20_000)]
    assert 1850 < sum(drawn) < 2150
    assert drawn[:50] == [audited(UID, f"r-{number}", Fraction(1, 10)) for number in range(50)]
    assert all(audited(UID, f"r-{number}", Fraction(1)) for number in range(50))


def test_versions_get_the_request_as_the_client_sent_it() -> None:
    """Without what belongs to a connection, with the host that the gateway changed put right, and marked."""
    sent = copy(host="waf.example-shadow:8080", connection="close, x-hop", x_hop="1", accept="*/*")
    assert forwarded(sent, "candidate") == [
        ("host", "waf.example:8080"),
        ("x-request-id", "r-1"),
        ("accept", "*/*"),
        ("x-chaffinch-shadow", "candidate"),
    ]


def test_latency_bins_cover_all_times_and_are_narrow() -> None:
    """Bins follow one another without gaps, and none is wider than 1/32 of what it holds."""
    for micros in [*range(300), *(base + off for base in (2**12, 2**20, 2**31) for off in (-1, 0, 1))]:
        upper = upper_limit(bin_of(micros))
        assert micros <= upper <= micros + micros // 32
        assert bin_of(upper + 1) == bin_of(upper) + 1


def test_quantiles_come_from_the_bins() -> None:
    """The 99th of a hundred latencies, and none of none."""
    bins = {bin_of(micros): 1 for micros in range(40)}
    assert quantile(bins, Fraction(1, 2)) == 19
    assert quantile({}, Fraction(1, 2)) is None
