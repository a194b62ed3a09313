"""A real API server takes every object of a ledger as it is built."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaffinch_operator.children.seen import JobState
from chaffinch_operator.children.writes import Apply
from chaffinch_operator.credits.decide import decide
from chaffinch_operator.credits.model import CreditsLedgerSpec
from chaffinch_operator.credits.objects import made_once
from chaffinch_operator.credits.plan import plan
from chaffinch_operator.credits.snapshot import Validity
from cluster.apiserver import ApiServer
from unit.credits_slice.builders import running, snapshot, spec

pytestmark = pytest.mark.apiserver
NOW = datetime(2026, 1, 1, tzinfo=UTC)
VERSIONS = {
    "NetworkPolicy": "networking.k8s.io/v1",
    "Service": "v1",
    "StatefulSet": "apps/v1",
    "Deployment": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "PersistentVolumeClaim": "v1",
    "PodDisruptionBudget": "policy/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
}
EXTERNAL = {"external": {"dsnSecretRef": {"name": "pg", "key": "dsn"}}}
S3 = {"endpoint": "s3.shop.svc:7070", "bucket": "backups", "region": "eu", "secretRef": {"name": "s3"}}
SPECS = (
    spec(replicas=3, tls={}, encryption={"keySecretRef": {"name": "kek"}}),
    spec(autoscaling={}, tls={"mode": "Mutual"}, deletionPolicy="Delete", access={"allowFrom": [{"namespace": "api"}]}),
    spec(database=EXTERNAL, access={"apiKeysSecretRef": {"name": "keys", "key": "k"}}),
    spec(database={"managed": {"backup": {"repository": {"volume": "1Gi"}}}}),
    spec(database={"managed": {"backup": {"repository": {"s3": S3}}, "restoreFrom": {"ledger": "old", "s3": S3}}}),
    spec(
        database={
            "managed": {
                "backup": {"repository": {"volume": "1Gi"}},
                "restoreFrom": {"ledger": "old", "time": "2026-01-01T00:00:00Z"},
            }
        }
    ),
)


@pytest.mark.parametrize("wanted", SPECS)
def test_every_object_is_valid_and_has_no_unknown_field(api: ApiServer, wanted: CreditsLedgerSpec) -> None:
    """Strict validation, so that a misspelt field is an error and not a silent loss."""
    names = ("pg", "keys", "kek", "s3", "old-backup", "old-audit", *made_once(wanted, "api-credits"))
    world = snapshot(
        namespace="default",
        job=JobState.SUCCEEDED,
        database=running(1),
        secrets={
            name: frozenset({"dsn", "k", "passphrase", "key.pem", "accessKey", "secretKey", "ca.crt"}) for name in names
        },
        certificate=Validity(NOW, NOW + timedelta(days=90)),
        authority=Validity(NOW, NOW + timedelta(days=90)),
    )
    bodies = [
        {"apiVersion": VERSIONS[o.kind], "kind": o.kind, **o.body}
        for o in plan(wanted, world, decide(wanted, world, NOW), NOW)
        if isinstance(o, Apply)
    ]
    answer = apply(api, *bodies)
    assert answer.returncode == 0, answer.stderr
    assert len(answer.stdout.splitlines()) == len(bodies)
    assert {"Deployment", "Job", "NetworkPolicy"} <= {body["kind"] for body in bodies}


def apply(api: ApiServer, *objects: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Server-side apply as a dry run."""
    command: list[str | Path] = [
        api.kubectl,
        "--kubeconfig",
        api.kubeconfig,
        "apply",
        "--server-side",
        "--dry-run=server",
    ]
    return subprocess.run(
        [*command, "--validate=strict", "-f", "-"],
        input=yaml.safe_dump_all(objects),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
