"""Backups in a bucket behind a real S3 API, by the very settings that the operator gives to pods."""

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chaffinch_operator.children.seen import JobState
from chaffinch_operator.children.writes import Apply
from chaffinch_operator.credits import certificates
from chaffinch_operator.credits.decide import decide
from chaffinch_operator.credits.plan import plan
from cluster import Config
from cluster.build import Cache
from cluster.console import Console
from cluster.deadline import wait_until
from integration.postgres_image.pod import SCRIPTS, Instance, free_port
from unit.credits_slice.builders import NOW, running, snapshot, spec

SECRETS = {"accessKey": "user", "secretKey": "secret-of-a-test", "passphrase": "word"}
BUCKET = "backups"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Of everything here."""
    made = Path(tempfile.mkdtemp(prefix="chaffinch-bucket-"))
    shutil.chown(made, "postgres", "postgres")
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    """Of a gateway that serves S3 over HTTPS from a folder, with one bucket; its authority is in ca.crt."""
    cache = Cache.of(Config.from_env().cache)
    cache.build(["versitygw"], Console())
    now = datetime.now(UTC)
    authority = certificates.authority("bucket", now)
    server = certificates.issue(authority, "localhost", ["localhost"], now)
    for name, content in (
        ("ca.crt", authority.certificate),
        ("tls.crt", server.certificate + authority.certificate),
        ("tls.key", server.key),
    ):
        (folder / name).write_bytes(content)
    for name in (f"s3/{BUCKET}", "metadata"):
        (folder / name).mkdir(parents=True)
    found = free_port()
    options = [
        f"--port=127.0.0.1:{found}",
        f"--cert={folder}/tls.crt",
        f"--key={folder}/tls.key",
        "--region=eu",
        "--quiet",
    ]
    keys = [f"--access={SECRETS['accessKey']}", f"--secret={SECRETS['secretKey']}"]
    backend = ["posix", f"--sidecar={folder}/metadata", f"{folder}/s3"]
    process = subprocess.Popen([cache.program("versitygw", "versitygw"), *options, *keys, *backend])
    try:
        wait_until(lambda: _answers(found), "the gateway to answer", seconds=30)
        yield found
    finally:
        process.terminate()
        process.wait(10)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def database(folder: Path, port: int) -> Iterator[Instance]:
    """A database whose repository is the bucket; paths are those of the test, all else is the operator's."""
    s3 = {"endpoint": f"localhost:{port}", "bucket": BUCKET, "region": "eu", "secretRef": {"name": "s3"}}
    wanted = spec(database={"managed": {"backup": {"repository": {"s3": s3}}}})
    names = ("postgres", "audit", "keys", "backup")
    secrets = {f"api-credits-{name}": frozenset({"passphrase"}) for name in names}
    secrets["s3"] = frozenset({"accessKey", "secretKey", "ca.crt"})
    world = snapshot(secrets=secrets, database=running(1), job=JobState.SUCCEEDED, verifier_key="k")
    operations = plan(wanted, world, decide(wanted, world, NOW), NOW)
    (stateful,) = [o.body for o in operations if isinstance(o, Apply) and o.kind == "StatefulSet"]
    given = {
        each["name"]: each["value"] if "value" in each else SECRETS[each["valueFrom"]["secretKeyRef"]["key"]]
        for each in stateful["spec"]["template"]["spec"]["containers"][0]["env"]
        if each["name"].startswith("PGBACKREST_REPO1_")
    }
    given["PGBACKREST_REPO1_STORAGE_CA_FILE"] = str(folder / "ca.crt")
    shutil.copytree(SCRIPTS, folder / "scripts")
    made = Instance(folder, Path("unused"), settings=given)
    made.make("data")
    try:
        yield made
    finally:
        made.end()


def test_a_lost_volume_is_restored_from_a_bucket(database: Instance, folder: Path) -> None:
    """A backup, a payment after it whose WAL is archived, the loss of the volume, and both payments are back."""
    database.start()
    database.sql("CREATE TABLE paid (amount integer)")
    database.pay(1)
    assert database.run("backup.sh") == ""
    database.pay(2)
    database.lose()
    assert (folder / "s3" / BUCKET / "shop" / "api-credits" / "backup").is_dir()
    assert database.restore("") == ""
    database.start("second")
    assert database.paid("second") == "1 2"
