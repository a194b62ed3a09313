"""The file that the operator writes is the one that the service reads."""

import json

import pytest

from chaffinch_operator.shadow.evaluation import file, size
from chaffinch_operator.shadow.model import ShadowEvaluationSpec
from chaffinch_shadow.collect.evaluation import load
from unit.shadow_slice.builders import ADOPT, REPLAY, UID, snapshot, spec

FULL = spec(
    noiseControl={"serviceRef": {"name": "waf-b", "port": 80}},
    traffic={
        "mirror": {
            "methods": ["GET", "POST"],
            "allowUnsafe": True,
            "maxBodyBytes": "64Ki",
            "redact": ["header:x-own", "json:$.card", "query:token"],
        }
    },
    compare={
        "outcome": {"statusIn": [403, 429]},
        "score": {"header": "x-score"},
        "ignore": ["json:$.ts"],
        "clusterBy": "header:x-client",
        "strata": {"header": "x-route", "values": ["login", "search"]},
    },
    labels={"source": {"header": "x-label"}, "maxDelay": "2h"},
    hypothesis={"metric": "recall", "margin": "0.02", "prevalence": "0.01", "design": "FixedN"},
    guardrails=[{"metric": "lostDetections", "maxIncrease": "0.01"}, {"metric": "latencyP99", "maxRatio": "1.5"}],
    retention={"samples": "3d", "aggregates": "30d"},
)


@pytest.mark.parametrize("wanted", [spec(), FULL, spec(traffic=ADOPT), spec(traffic=REPLAY)])
def test_the_service_reads_what_the_operator_writes(wanted: ShadowEvaluationSpec) -> None:
    """Every field of the spec that the service knows."""
    found = load(file(wanted, snapshot()))
    assert (str(found.uid), found.control, found.candidate) == (UID, "http://waf:80", "http://waf-next:80")


def test_every_field_arrives() -> None:
    """None is dropped on the way."""
    found = load(file(FULL, snapshot()))
    assert found.noise_control == "http://waf-b:80"
    assert (found.mirror.max_body_bytes, found.labels.max_delay_seconds) == (65536, 7200)
    assert (found.retention.samples_days, found.retention.aggregates_days) == (3, 30)
    assert found.compare.strata is not None
    assert found.compare.strata.values == ("login", "search")
    assert found.compare.score is not None
    limits = {each.metric: each.limit for each in found.guardrails}
    assert limits == {"lostDetections": "0.01", "latencyP99": "1.5"}


def test_the_same_spec_is_the_same_text() -> None:
    """Its name is made from it."""
    assert file(spec(), snapshot()) == file(spec(), snapshot())
    assert json.loads(file(spec(), snapshot()))["generation"] == 1


@pytest.mark.parametrize(("text", "found"), [("512", 512), ("64Ki", 65536), ("1Mi", 1 << 20)])
def test_sizes_are_bytes(text: str, found: int) -> None:
    """As Kubernetes writes them."""
    assert size(text) == found
