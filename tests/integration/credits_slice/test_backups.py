"""Backups of a ledger on a real API server: what is made, what is noticed, what is never overwritten."""

from typing import Any

import pytest

from chaffinch_operator.credits.reconcile import BACKUP_SECONDS
from chaffinch_operator.credits.secrets_made import signing_key
from chaffinch_operator.resources import CRONJOBS, JOBS, PODS, SECRETS, STATEFULSETS, VOLUME_CLAIMS
from integration.credits_slice.world import NAME, World

pytestmark = pytest.mark.apiserver
BACKUP = {"repository": {"volume": "1Gi"}}
BACKED_UP = {"managed": {"backup": BACKUP}}
WORDS = "restore: ERROR: [041]: unable to open missing file"


async def healthy(here: World) -> tuple[str, str]:
    """Reason and message of BackupHealthy."""
    (found,) = [each for each in (await here.status())["conditions"] if each["type"] == "BackupHealthy"]
    return found["reason"], found["message"]


async def tried(here: World, name: str, *, well: bool) -> None:
    """A Job of the CronJob that restores for trial, which has ended; its pod says why it failed."""
    cron = await here.get(CRONJOBS, f"{NAME}-restore-check")
    template = cron["spec"]["jobTemplate"]
    owner = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "name": cron["metadata"]["name"],
        "uid": cron["metadata"]["uid"],
    }
    meta = {**template["metadata"], "name": name, "namespace": here.namespace, "ownerReferences": [owner]}
    await here.admin.create(JOBS, {"metadata": meta, "spec": template["spec"]})
    pod: dict[str, Any] = {
        "metadata": {"name": name, "namespace": here.namespace, "labels": {"batch.kubernetes.io/job-name": name}},
        "spec": {"containers": [{"name": "restore", "image": "x"}]},
    }
    await here.admin.create(PODS, pod)
    ended = {"exitCode": 1, "message": WORDS.removeprefix("restore: ")}
    status = {
        "containerStatuses": [
            {
                "name": "restore",
                "image": "x",
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {"terminated": ended},
            }
        ]
    }
    await here.admin.patch(PODS, name, here.namespace, {"status": status}, subresource="status")
    await here.migrated(well=well)


async def test_the_first_backup_is_made_at_once_and_its_time_is_told(here: World) -> None:
    """With what archives before it, and CronJobs for all that follow."""
    await here.up(database=BACKED_UP)
    assert (await healthy(here))[0] == "BackupPending"
    assert (await here.step()).requeue_after == BACKUP_SECONDS
    await here.migrated()
    assert await here.steps(1) == "Serving"
    reason, message = await healthy(here)
    assert reason == "BackedUp"
    assert (await here.status())["backup"] == {
        "repository": f"PersistentVolumeClaim {NAME}-backup",
        "lastBackup": here.clock().strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    assert "last verified restore none yet" in message
    assert {c["metadata"]["name"] for c in await here.admin.list(CRONJOBS, here.namespace)} == {
        f"{NAME}-backup",
        f"{NAME}-restore-check",
    }


async def test_a_failed_restore_for_trial_is_told_in_the_words_of_its_pod(here: World) -> None:
    """The ledger serves on; the next good one makes up for it, though its Job is not ours to judge by name."""
    await here.up(database=BACKED_UP)
    await here.migrated()
    await tried(here, "first", well=False)
    assert await here.steps(2) == "Serving"
    reason, message = await healthy(here)
    assert reason == "RestoreCheckFailed"
    assert WORDS in message
    assert f"kubectl create job -n {here.namespace}" in message
    here.later(minutes=1)
    await tried(here, "second", well=True)
    await here.steps(1)
    assert (await healthy(here))[0] == "BackedUp"
    assert (await here.status())["backup"]["lastVerifiedRestore"] == here.clock().strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_a_passphrase_that_is_gone_is_asked_for_and_not_made_anew(here: World) -> None:
    """What the repository holds is encrypted with it; with the Secret back, it goes on."""
    await here.up(database=BACKED_UP)
    before = await here.get(SECRETS, f"{NAME}-backup")
    await here.admin.delete(SECRETS, f"{NAME}-backup", here.namespace)
    assert await here.steps(2) == "PassphraseLost"
    assert await here.admin.get(SECRETS, f"{NAME}-backup", here.namespace) is None
    meta = {"name": f"{NAME}-backup", "namespace": here.namespace, "labels": before["metadata"]["labels"]}
    await here.admin.create(SECRETS, {"metadata": meta, "data": before["data"]})
    assert await here.steps(2) == "Serving"


async def test_a_password_that_is_gone_is_made_anew_and_the_database_restarts(here: World) -> None:
    """Its pod sets the password that the Secret has; the volume knew another."""
    await here.up(database=BACKED_UP)
    before, old = await here.get(STATEFULSETS, f"{NAME}-postgres"), await here.secret(f"{NAME}-postgres")
    await here.admin.delete(SECRETS, f"{NAME}-postgres", here.namespace)
    await here.steps(3)
    after = await here.get(STATEFULSETS, f"{NAME}-postgres")
    assert await here.secret(f"{NAME}-postgres") != old
    assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1


async def test_a_ledger_is_restored_from_what_another_left(here: World) -> None:
    """Volume, passphrase and signing key must be there; each that is missing is named before anything is made."""
    await here.bind()
    await here.apply(database={"managed": {"backup": BACKUP, "restoreFrom": {"ledger": "old"}}})
    assert await here.steps(1) == "SecretNotFound"
    for name, content in (("old-backup", {"passphrase": "word"}), ("old-audit", signing_key())):
        meta = {"name": name, "namespace": here.namespace}
        await here.admin.create(SECRETS, {"metadata": meta, "stringData": content})
    assert await here.steps(1) == "NoSuchBackup"
    assert await here.admin.list(STATEFULSETS, here.namespace) == []
    size = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    await here.admin.create(
        VOLUME_CLAIMS, {"metadata": {"name": "old-backup", "namespace": here.namespace}, "spec": size}
    )
    assert await here.steps(3) == "DatabaseStarting"
    assert "is being restored from the backup of old" in (await here.status())["lastDecision"]["message"]
