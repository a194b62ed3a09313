"""Backups of a managed database: what is made for them, and what users are told of them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chaffinch_operator.children import seen
from chaffinch_operator.children.seen import Ended, Found, JobState
from chaffinch_operator.children.writes import Apply, Delete
from chaffinch_operator.credits.decide import decide
from chaffinch_operator.credits.objects import key_ref
from chaffinch_operator.credits.plan import MakeSecret, plan
from chaffinch_operator.credits.reasons import Reason
from chaffinch_operator.credits.report import report
from chaffinch_operator.credits.snapshot import Snapshot
from chaffinch_operator.credits.status import CreditsLedgerStatus
from unit.credits_slice.builders import NOW, running, snapshot, spec

BACKUP = {"repository": {"volume": "20Gi"}}
BACKED_UP = spec(database={"managed": {"backup": BACKUP}})
KEPT = ("PersistentVolumeClaim", "api-credits-backup")
UP = snapshot(
    database=running(1),
    job=JobState.SUCCEEDED,
    service=running(3),
    verifier_key="k",
    secrets={f"api-credits-{name}": frozenset({"passphrase"}) for name in ("postgres", "audit", "keys", "backup")},
)
HOUR = timedelta(hours=1)
Object = dict[str, Any]


def restored(ledger: str, **more: str) -> Any:
    """A ledger that begins with a backup."""
    return spec(database={"managed": {"backup": BACKUP, "restoreFrom": {"ledger": ledger, **more}}})


def applied(wanted: Any, world: Snapshot = UP) -> dict[tuple[str, str], Object]:
    """Objects that are applied, by kind and name."""
    operations = plan(wanted, world, decide(wanted, world, NOW), NOW)
    return {(o.kind, o.body["metadata"]["name"]): o.body for o in operations if isinstance(o, Apply)}


def environment(container: Object) -> dict[str, Any]:
    """Values by name; what comes from a Secret by its name."""
    return {
        each["name"]: each["value"] if "value" in each else each["valueFrom"]["secretKeyRef"]["name"]
        for each in container["env"]
    }


def database_pod(wanted: Any, world: Snapshot = UP) -> Object:
    """Of the StatefulSet."""
    pod: Object = applied(wanted, world)["StatefulSet", "api-credits-postgres"]["spec"]["template"]["spec"]
    return pod


def healthy(world: Snapshot, before: CreditsLedgerStatus | None = None) -> tuple[str, str, str]:
    """Status, reason and message of BackupHealthy."""
    after = report(BACKED_UP, before or CreditsLedgerStatus(), world, decide(BACKED_UP, world, NOW), NOW)
    (found,) = [each for each in after.conditions if each.type == "BackupHealthy"]
    return found.status, found.reason, found.message


def test_a_ledger_without_backups_says_so() -> None:
    """And has no Jobs for them."""
    assert not [kind for kind, _ in applied(spec()) if kind in {"CronJob", "PersistentVolumeClaim"}]
    after = report(spec(), CreditsLedgerStatus(), UP, decide(spec(), UP, NOW), NOW)
    assert [c.reason for c in after.conditions if c.type == "BackupHealthy"] == ["NoBackups"]


def test_all_containers_speak_of_one_encrypted_repository() -> None:
    """The database archives where backups are made and restored from, with one passphrase."""
    made = applied(BACKED_UP)
    containers = [database_pod(BACKED_UP)["containers"][0]]
    containers.append(made["Job", "api-credits-first-backup"]["spec"]["template"]["spec"]["containers"][0])
    check = made["CronJob", "api-credits-restore-check"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    containers.append(check["initContainers"][0])
    for name in ("REPO1_PATH", "REPO1_CIPHER_TYPE", "REPO1_CIPHER_PASS", "STANZA", "PG1_SOCKET_PATH", "LOCK_PATH"):
        assert len({environment(each)[f"PGBACKREST_{name}"] for each in containers}) == 1, name
    assert environment(containers[0])["PGBACKREST_REPO1_CIPHER_TYPE"] == "aes-256-cbc"
    assert environment(containers[0])["PGBACKREST_REPO1_CIPHER_PASS"] == "api-credits-backup"


def test_backups_outlive_their_ledger_even_where_data_is_deleted() -> None:
    """Neither the volume nor its passphrase has an owner, or is deleted."""
    assert "ownerReferences" not in applied(BACKED_UP)[KEPT]["metadata"]
    wanted = BACKED_UP.model_copy(update={"deletion_policy": "Delete"})
    doomed = replace(UP, deleting=True)
    decision = decide(wanted, doomed, NOW)
    names = {o.name for o in plan(wanted, doomed, decision, NOW) if isinstance(o, Delete)}
    assert names == {"api-credits-postgres", "api-credits-audit", "api-credits-keys"}
    assert "api-credits-backup" in decision.message


def test_a_lost_passphrase_is_not_made_anew() -> None:
    """A new one would open nothing; backups would fail in silence until somebody needs them."""
    world = replace(UP, secrets={**UP.secrets, "api-credits-backup": frozenset()}, objects={KEPT: Found()})
    decision = decide(BACKED_UP, world, NOW)
    assert decision.reason is Reason.PASSPHRASE_LOST
    assert plan(BACKED_UP, world, decision, NOW) == []


def test_a_lost_password_is_made_anew_and_set_by_a_restart() -> None:
    """The pod's template has the password's digest; the database sets at its start what the Secret says."""
    lost = replace(UP, secrets={k: v for k, v in UP.secrets.items() if k != "api-credits-postgres"})
    operations = plan(spec(), lost, decide(spec(), lost, NOW), NOW)
    assert [o.name for o in operations if isinstance(o, MakeSecret)] == ["api-credits-postgres"]
    first, second = (
        applied(spec(), replace(UP, password_digest=each))["StatefulSet", "api-credits-postgres"]["spec"]["template"]
        for each in ("a", "b")
    )
    assert first["metadata"]["annotations"] != second["metadata"]["annotations"]


def test_the_pod_of_a_database_waits_for_its_password() -> None:
    """Else it would be replaced as soon as the password is there."""
    assert ("StatefulSet", "api-credits-postgres") not in applied(spec(), snapshot())


def test_a_restored_ledger_keeps_name_and_key_of_the_one_it_comes_from() -> None:
    """Its history is signed with that key, and clients ask for that name."""
    wanted = restored("shop-credits", time="2026-01-31T12:00:00.5Z")
    assert key_ref(wanted, "api-credits").name == "shop-credits-audit"
    made = {f"api-credits-{name}": frozenset({"passphrase"}) for name in ("postgres", "keys", "backup")}
    world = source_there()
    pod = database_pod(wanted, replace(world, secrets={**world.secrets, **made}))
    found = environment(pod["initContainers"][0])
    assert found["RESTORE_TIME"] == "2026-01-31 12:00:00.5+00"
    assert found["PGBACKREST_REPO1_CIPHER_PASS"] == "shop-credits-backup"
    claims = {
        v["name"]: v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "persistentVolumeClaim" in v
    }
    assert claims == {"repository": "api-credits-backup", "source": "shop-credits-backup"}


@pytest.mark.parametrize(
    ("world", "reason", "words"),
    [
        (
            replace(UP, secrets={}),
            Reason.SECRET_NOT_FOUND,
            "restoreFrom.ledger: there is no Secret shop-credits-backup",
        ),
        (snapshot(), Reason.SECRET_NOT_FOUND, "restoreFrom.ledger"),
    ],
)
def test_a_restore_from_nowhere_names_the_field(world: Snapshot, reason: Reason, words: str) -> None:
    """Before anything is made."""
    decision = decide(restored("shop-credits"), world, NOW)
    assert decision.reason is reason
    assert words in decision.message


def source_there(**more: Any) -> Snapshot:
    """What `shop-credits` left is there; the new database is not up yet."""
    kept = {"shop-credits-backup": frozenset({"passphrase"}), "shop-credits-audit": frozenset({"key.pem"})}
    return snapshot(secrets=kept, verifier_key="k", **more)


def test_a_volume_of_backups_that_is_gone_is_named() -> None:
    """A pod that waits for it for ever would say nothing."""
    decision = decide(restored("shop-credits"), source_there(source_there=False), NOW)
    assert decision.reason is Reason.NO_SUCH_BACKUP
    assert "PersistentVolumeClaim shop-credits-backup" in decision.message


@pytest.mark.parametrize(
    ("words", "way_out"),
    [
        ("replay: FATAL:  recovery ended before configured recovery target was reached", "leave restoreFrom.time out"),
        ("restore: ERROR: [075]: unable to find backup set with stop time less than '2026-01-01'", "a later time"),
    ],
)
def test_a_failed_restore_says_what_the_pod_said_and_the_way_out(words: str, way_out: str) -> None:
    """A time after everything that was written cannot be reached; nor can one before the first backup."""
    decision = decide(restored("shop-credits"), source_there(restore_failed=words), NOW)
    assert decision.reason is Reason.RESTORE_FAILED
    assert words in decision.message
    assert way_out in decision.message


S3 = {"endpoint": "s3.shop.svc:7070", "bucket": "backups", "region": "eu", "secretRef": {"name": "s3"}}
IN_BUCKET = spec(database={"managed": {"backup": {"repository": {"s3": S3}}}})
WITH_KEYS = replace(UP, secrets={**UP.secrets, "s3": frozenset({"accessKey", "secretKey", "ca.crt"})})


def test_a_bucket_is_reached_with_the_keys_of_its_secret_and_nothing_else_is() -> None:
    """Its port is opened for the database and the Jobs of backups; there is no volume, and keys are in no object."""
    made = applied(IN_BUCKET, WITH_KEYS)
    assert KEPT not in made
    found = environment(made["StatefulSet", "api-credits-postgres"]["spec"]["template"]["spec"]["containers"][0])
    assert found["PGBACKREST_REPO1_PATH"] == "/shop/api-credits"
    assert (found["PGBACKREST_REPO1_S3_ENDPOINT"], found["PGBACKREST_REPO1_STORAGE_PORT"]) == ("s3.shop.svc", "7070")
    assert (found["PGBACKREST_REPO1_S3_KEY"], found["PGBACKREST_REPO1_S3_KEY_SECRET"]) == ("s3", "s3")
    for name in ("database", "backup-out", "restore-check-out"):
        egress = made["NetworkPolicy", f"api-credits-{name}"]["spec"]["egress"]
        assert {port["port"] for rule in egress for port in rule["ports"]} == {53, 7070}


def test_pods_of_backups_on_a_volume_have_no_network() -> None:
    """No policy opens anything for them, and the database speaks to nobody of itself."""
    made = applied(BACKED_UP)
    assert ("NetworkPolicy", "api-credits-backup-out") not in made
    assert made["NetworkPolicy", "api-credits-database"]["spec"]["egress"] == []


def test_a_bucket_without_its_keys_is_named() -> None:
    """With the field that names the Secret."""
    decision = decide(IN_BUCKET, UP, NOW)
    assert decision.reason is Reason.SECRET_NOT_FOUND
    assert "spec.database.managed.backup.repository.s3.secretRef" in decision.message


@pytest.mark.parametrize(
    ("backup", "check", "reason"),
    [
        (Ended(), Ended(), "BackupPending"),
        (Ended(well=NOW), Ended(), "BackedUp"),
        (Ended(well=NOW, badly=NOW - HOUR), Ended(well=NOW), "BackedUp"),
        (Ended(well=NOW - HOUR, badly=NOW, why="archive: no space"), Ended(well=NOW), "BackupFailed"),
        (Ended(well=NOW), Ended(badly=NOW, why="verify: first bad entry: 7"), "RestoreCheckFailed"),
    ],
)
def test_the_last_backup_and_the_last_restore_for_trial_decide(backup: Ended, check: Ended, reason: str) -> None:
    """What failed before the last success is forgotten."""
    status, found, message = healthy(replace(UP, backup=backup, restore_check=check))
    assert (status, found) == ("True" if reason == "BackedUp" else "False", reason)
    for ended in (backup, check):
        assert not ended.failing or ended.why in message


def test_times_and_a_failed_restore_stand_when_their_jobs_are_gone() -> None:
    """Jobs go after a while; what they found is not forgotten."""
    seen_now = replace(UP, backup=Ended(well=NOW), restore_check=Ended(badly=NOW, why="verify: unsound"))
    before = report(BACKED_UP, CreditsLedgerStatus(), seen_now, decide(BACKED_UP, seen_now, NOW), NOW)
    after = report(BACKED_UP, before, UP, decide(BACKED_UP, UP, NOW), NOW)
    assert after.backup.last_backup == "2026-01-01T00:00:00Z"
    assert [c.reason for c in after.conditions if c.type == "BackupHealthy"] == ["RestoreCheckFailed"]


def job(name: str, ended: str, at: str) -> Object:
    """A Job as the API shows it."""
    return {
        "metadata": {"name": name},
        "status": {"conditions": [{"type": ended, "status": "True", "lastTransitionTime": at}]},
    }


def test_a_job_that_failed_before_the_last_good_one_is_no_failure() -> None:
    """However the API lists them."""
    bad, good = job("a", "Failed", "2026-01-01T00:00:00Z"), job("b", "Complete", "2026-01-02T00:00:00Z")
    assert not seen.ended([good, bad]).failing
    later = job("c", "Failed", "2026-01-03T00:00:00Z")
    found = seen.ended([later, bad, good])
    assert (found.failing, found.job) == (True, "c")


def test_the_newest_pod_says_which_container_failed_and_why() -> None:
    """A sidecar that was ended with its pod says nothing."""
    failed = {"name": "restore", "state": {"terminated": {"exitCode": 1, "message": "archive: not there\n"}}}
    waiting = {"name": "verify", "state": {"waiting": {}}}
    unsound = {"name": "verify", "state": {"terminated": {"exitCode": 3, "message": "first bad entry: 3"}}}
    ended = {"name": "restored", "state": {"terminated": {"exitCode": 137}}}
    old = {"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, "status": {"containerStatuses": []}}
    new = {
        "metadata": {"creationTimestamp": "2026-01-02T00:00:00Z"},
        "status": {"initContainerStatuses": [failed], "containerStatuses": [waiting]},
    }
    assert seen.last_words([old, new]) == "restore: archive: not there"
    status = {"initContainerStatuses": [ended], "containerStatuses": [unsound]}
    assert seen.last_words([old, {**new, "status": status}]) == "verify: first bad entry: 3"
    assert seen.last_words([old]) == ""
