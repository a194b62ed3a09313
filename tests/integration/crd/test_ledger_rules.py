"""Every CEL rule of CreditsLedger, on a real API server: what it accepts, what it refuses, and what it says then."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.apiserver

CRD = Path(__file__).parents[3] / "crds/chaffinch.dev_creditsledgers.yaml"
DSN = {"dsnSecretRef": {"name": "pg", "key": "dsn"}}
S3 = {
    "endpoint": "s3.eu-central-1.amazonaws.com",
    "bucket": "backups",
    "region": "eu-central-1",
    "secretRef": {"name": "s3"},
}
Spec = dict[str, Any]


def spec(**changes: Any) -> Spec:
    """A spec that is valid, with the given top-level fields instead."""
    return {"assets": [{"code": "CREDIT", "scale": 2}], "database": {"managed": {}}} | changes


def managed(**changes: Any) -> Spec:
    """A valid spec with these fields of a managed database."""
    return spec(database={"managed": changes})


@dataclass(frozen=True, slots=True)
class Case:
    """A rule, named by what it says; `old` is there before, for rules about changes."""

    message: str
    accepted: Spec
    refused: Spec
    old: Spec | None = None
    names: tuple[str, str] = ("", "")
    """Names of the accepted and the refused object, for rules about names."""


CASES = (
    Case(
        "metadata.name is the name of a Service too: up to 40 of a-z, 0-9 and -, a letter first, no - last",
        spec(),
        spec(),
        names=("a" * 40, "9-lives"),
    ),
    Case("set at most one of replicas and autoscaling", spec(replicas=3), spec(replicas=3, autoscaling={})),
    Case(
        "autoscaling.minReplicas must not exceed autoscaling.maxReplicas",
        spec(autoscaling={"minReplicas": 3, "maxReplicas": 3}),
        spec(autoscaling={"minReplicas": 4, "maxReplicas": 3}),
    ),
    Case(
        "set exactly one of database.managed and database.external",
        spec(database={"external": DSN}),
        spec(database={"managed": {}, "external": DSN}),
    ),
    Case(
        "the kind of database cannot be changed: make another object and move the data to it",
        spec(),
        spec(database={"external": DSN}),
        old=spec(),
    ),
    Case(
        "database.managed.storage cannot be changed: enlarge the PersistentVolumeClaim instead",
        spec(database={"managed": {"storage": "10Gi"}}),
        spec(database={"managed": {"storage": "20Gi"}}),
        old=spec(),
    ),
    Case(
        "database.managed.restoreFrom is for a new CreditsLedger: make another one, or delete this one first",
        managed(restoreFrom={"ledger": "old"}, storage="10Gi"),
        managed(restoreFrom={"ledger": "old", "time": "2026-01-31T12:00:00Z"}),
        old=managed(restoreFrom={"ledger": "old"}),
    ),
    Case(
        "set exactly one of backup.repository.volume and backup.repository.s3",
        managed(backup={"repository": {"s3": S3}}),
        managed(backup={"repository": {"s3": S3, "volume": "1Gi"}}),
    ),
    Case(
        "database.managed.backup.repository.volume cannot be changed: enlarge the PersistentVolumeClaim",
        managed(backup={"repository": {"volume": "1Gi"}, "retention": "7d"}),
        managed(backup={"repository": {"volume": "2Gi"}}),
        old=managed(backup={"repository": {"volume": "1Gi"}}),
    ),
    Case(
        "an asset can neither be removed nor get another scale: accounts may hold it",
        spec(assets=[{"code": "USD"}, {"code": "CREDIT", "scale": 2}]),
        spec(assets=[{"code": "CREDIT", "scale": 3}]),
        old=spec(),
    ),
)
NUMBERED = [pytest.param(index, case, id=case.message[:40]) for index, case in enumerate(CASES)]


def messages(node: Any) -> set[str]:
    """Messages of all rules below a node of the schema."""
    if isinstance(node, list):
        return set().union(*map(messages, node))
    if not isinstance(node, dict):
        return set()
    own = {rule["message"] for rule in node.get("x-kubernetes-validations", ())}
    return own.union(*(messages(value) for key, value in node.items() if key != "x-kubernetes-validations"))


def ledger(content: Spec, name: str) -> dict[str, Any]:
    """The object."""
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "chaffinch.dev/v1alpha1", "kind": "CreditsLedger", "metadata": meta, "spec": content}


def test_every_rule_has_a_case() -> None:
    """A rule without a case here, and a case whose rule is gone, fail this test."""
    assert {case.message for case in CASES} == messages(yaml.safe_load(CRD.read_text()))


@pytest.mark.parametrize(("index", "case"), NUMBERED)
def test_a_rule_lets_pass_what_it_should_and_says_what_not(index: int, case: Case, kubectl: Any) -> None:
    """What obeys the rule is accepted; what breaks it is refused, and the answer says what to change."""
    good, bad = (name or f"ledger-{index}" for name in case.names)
    if case.old is not None:
        assert kubectl("apply", "--server-side", "-f", "-", given=ledger(case.old, good)).code == 0
    accepted = kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", given=ledger(case.accepted, good))
    assert accepted.code == 0, accepted.err
    refused = kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", given=ledger(case.refused, bad))
    assert refused.code == 1
    assert case.message in refused.err


def test_the_sample_is_valid(kubectl: Any) -> None:
    """With no field that the schema does not know."""
    sample = Path(__file__).parents[3] / "manifests/samples/credits.yaml"
    answer = kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", sample)
    assert answer.code == 0, answer.err
