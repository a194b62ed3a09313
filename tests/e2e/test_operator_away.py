"""While the operator does not run: templates stay held, deletions wait; what it does once it is back, or never is.

One story of three shops, told once; each test looks at one promise.
"""

from dataclasses import dataclass, field

import pytest

from chaffinch_operator.canary.reasons import Action, Reason
from support.kubectl import KubectlError
from support.operator import Operator
from support.rollouts import Pod, Said, Shop, Street
from support.timeline import KIND, doing

pytestmark = pytest.mark.cluster

ONLY_RESTARTS = {"provider": None, "gates": [{"name": "restarts", "podRestarts": {"max": 0}}]}
LONG_STEP = {"steps": [{"setWeight": 34, "minDuration": "10m"}], "analysis": ONLY_RESTARTS}
NAMESPACE_SECONDS = 60.0
RESUME = "kubectl rollout resume deployment/shop"


@dataclass(slots=True)
class Record:
    """What was seen."""

    cleaned: Said | None = None
    pods_before: dict[str, Pod] = field(default_factory=dict)
    pods_held: dict[str, Pod] = field(default_factory=dict)
    held: bool = False
    revisions: int = 0
    drift: list[str] = field(default_factory=list)
    refusal: str = ""
    selector_with_canary: dict[str, str] = field(default_factory=dict)
    selector_after: dict[str, str] = field(default_factory=dict)
    canary_gone: bool = False
    still_held: bool = False
    pods_after_deletion: dict[str, Pod] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    hung: bool = False
    left_after_cleanup: bool = True
    held_after_cleanup: bool = False
    canary_gone_after_cleanup: bool = False


def away(record: Record, operator: Operator, held: Shop, orphan: Shop) -> None:
    """The operator is stopped: one shop changes its template, another deletes its CanaryRollout mid-canary."""
    assert operator.terminate() == 0
    record.pods_before = held.stable_pods()
    held.release("v2")
    body = held.get("deployment")
    assert body is not None
    seen = f"jsonpath={{.status.observedGeneration}}={body['metadata']['generation']}"
    held.kubectl("wait", f"--for={seen}", "deployment/shop", "--timeout=20s")
    record.held, record.pods_held = held.paused, held.stable_pods()
    record.revisions = len(held.grounds.kubectl.list("replicasets", held.namespace, "app=shop"))
    record.drift = drift(held)
    orphan.delete_rollout()
    record.hung = (orphan.get(KIND) or {"metadata": {}})["metadata"].get("deletionTimestamp") is not None
    record.cleaned = orphan.chaffinch("cleanup", orphan.name, "--yes")
    record.left_after_cleanup = orphan.get(KIND) is not None
    record.canary_gone_after_cleanup, record.held_after_cleanup = orphan.canary_is_gone(), orphan.paused


def back(record: Record, held: Shop) -> None:
    """The operator is back: the canary begins; a release past it is refused; then its CanaryRollout is deleted."""
    held.wait(doing(Action.SHIFT, Reason.ANALYZING, weight=34), 60, "the canary of the held template")
    record.drift += drift(held)
    record.selector_with_canary = held.selector()
    try:
        held.kubectl("rollout", "resume", "deployment/shop")
    except KubectlError as error:
        record.refusal = str(error)
    held.delete_rollout()
    held.wait_gone(40)
    record.canary_gone, record.selector_after, record.still_held = held.canary_is_gone(), held.selector(), held.paused
    record.pods_after_deletion = held.stable_pods()
    record.notes = [e.get("note", "") for e in held.events()]


def drift(shop: Shop) -> list[str]:
    """What kubectl diff says."""
    try:
        shop.diff()
    except KubectlError as error:
        return [str(error)]
    return []


@pytest.fixture(scope="module")
def shops(street: Street) -> list[Shop]:
    """One to be held, one to lose its operator mid-canary, one whose namespace is deleted mid-canary."""
    return street.open_all({"spec": LONG_STEP}, {"spec": LONG_STEP}, {"spec": LONG_STEP})


@pytest.fixture(scope="module")
def record(shops: list[Shop], operator: Operator) -> Record:
    """The story."""
    found = Record()
    held, orphan, doomed = shops
    for shop in (orphan, doomed):
        shop.release("v2")
    for shop in (orphan, doomed):
        shop.wait(doing(Action.SHIFT, Reason.ANALYZING, weight=34), 60, "a canary with traffic")
    away(found, operator, held, orphan)
    operator.start().wait_ready()
    back(found, held)
    return found


def test_nothing_rolls_out_without_the_operator(record: Record) -> None:
    """A template that changes while the operator is stopped is held by the API server: same pods, no new revision."""
    assert record.held
    assert record.pods_held == record.pods_before
    assert record.revisions == 1


def test_canary_begins_when_the_operator_is_back(record: Record, shops: list[Shop]) -> None:
    """The template that was held meanwhile gets its canary, isolated from the Service's own clients."""
    assert (Action.SHIFT, Reason.ANALYZING) in shops[0].timeline.decisions()
    assert set(record.selector_with_canary) == {"app", "pod-template-hash"}


def test_git_and_cluster_agree_while_held(record: Record) -> None:
    """Kubectl diff is empty while a template is held without an operator, and while its canary runs."""
    assert record.drift == []


def test_release_past_the_canary_is_refused(record: Record) -> None:
    """Kubectl rollout resume on a held target is refused, and the message names the way out."""
    assert "Deployment shop is held by CanaryRollout shop" in record.refusal
    assert "kubectl chaffinch promote shop --force" in record.refusal


def test_deletion_in_mid_canary_gives_everything_back(record: Record) -> None:
    """After its CanaryRollout is deleted no canary is left, the selector is the user's, stable's pods are untouched."""
    assert record.canary_gone
    assert record.selector_after == {"app": "shop"}
    assert record.pods_after_deletion == record.pods_before


def test_deletion_leaves_the_unproven_template_held(record: Record) -> None:
    """An unproven template stays held after the deletion, and an event says how to release it."""
    assert record.still_held
    assert any(RESUME in note for note in record.notes), record.notes


def test_held_template_is_released_by_kubectl_after_the_deletion(record: Record, shops: list[Shop]) -> None:
    """Without a CanaryRollout, kubectl rollout resume releases the held template."""
    shops[0].kubectl("rollout", "resume", "deployment/shop")
    shops[0].wait_rolled_out(60)
    assert not record.pods_before.keys() & shops[0].stable_pods().keys()


def test_deletion_waits_for_an_operator_that_is_gone(record: Record) -> None:
    """A CanaryRollout that is deleted without an operator hangs on its finalizer."""
    assert record.hung


def test_cleanup_ends_a_deletion_that_hangs(record: Record) -> None:
    """Kubectl chaffinch cleanup removes canary and finalizer, and names the command that releases the Deployment."""
    assert record.cleaned is not None
    assert record.cleaned.exit_status == 0, record.cleaned.errors
    assert not record.left_after_cleanup
    assert record.canary_gone_after_cleanup
    assert record.held_after_cleanup
    assert "kubectl rollout resume deployment/shop" in record.cleaned.output


def test_orphan_is_released_by_kubectl_after_the_cleanup(record: Record, shops: list[Shop]) -> None:
    """What was cleaned up is released with kubectl rollout resume."""
    shops[1].kubectl("rollout", "resume", "deployment/shop")
    shops[1].wait_rolled_out(60)
    assert not shops[1].paused


def test_namespace_is_gone_within_a_minute(record: Record, shops: list[Shop]) -> None:
    """A namespace that is deleted in mid-canary goes within a minute."""
    shops[2].kubectl(
        "delete", "namespace", shops[2].namespace, f"--timeout={NAMESPACE_SECONDS:.0f}s", seconds=NAMESPACE_SECONDS + 10
    )
