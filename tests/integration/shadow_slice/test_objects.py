"""A real API server takes every object of an evaluation as it is built."""

import pytest

from chaffinch_operator.children.writes import Apply
from chaffinch_operator.shadow.decide import decide
from chaffinch_operator.shadow.model import ShadowEvaluationSpec
from chaffinch_operator.shadow.plan import plan
from cluster.apiserver import ApiServer
from integration.credits_slice.test_objects import VERSIONS, apply
from unit.shadow_slice.builders import NEW, NOW, REPLAY, spec, step, up

pytestmark = pytest.mark.apiserver
EXTERNAL = {"external": {"dsnSecretRef": {"name": "pg", "key": "dsn"}}}
CLAIM = {"replay": {"source": {"volume": {"claimName": "c"}}}}
SPECS = (
    spec(traffic={"mirror": {"allowFrom": [{"namespace": "gateways"}]}}, database=EXTERNAL),
    spec(traffic=REPLAY),
    spec(traffic=CLAIM, parallelism=2),
)


@pytest.mark.parametrize("wanted", SPECS)
def test_every_object_is_valid_and_has_no_unknown_field(api: ApiServer, wanted: ShadowEvaluationSpec) -> None:
    """Strict validation, so that a misspelt field is an error and not a silent loss."""
    names = ("pg", "waf-rules-postgres", "waf-rules-token")
    world = up(namespace="default", secrets={name: frozenset({"dsn", "token"}) for name in names})
    _, status = step(wanted, NEW, world)
    decision = decide(wanted, status, world, NOW)
    versions = {**VERSIONS, "CronJob": "batch/v1", "ConfigMap": "v1"}
    bodies = [
        {"apiVersion": versions[o.kind], "kind": o.kind, **o.body}
        for o in plan(wanted, status, world, decision)
        if isinstance(o, Apply)
    ]
    answer = apply(api, *bodies)
    assert answer.returncode == 0, answer.stderr
    assert len(answer.stdout.splitlines()) == len(bodies)
    assert {"Deployment", "Job", "CronJob", "ConfigMap", "NetworkPolicy"} <= {body["kind"] for body in bodies}
