"""The scripts of the PostgreSQL image, run as they run in pods: archive, backup, restore, restore for trial."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.postgres_image.pod import SCRIPTS, Instance

SCHEMA = """
    CREATE TABLE ledger (key integer, name text);
    CREATE TABLE checkpoint (ledger integer, size bigint, note text);
    CREATE TABLE paid (amount integer);
    INSERT INTO ledger VALUES (1, 'shop');
    INSERT INTO checkpoint VALUES (1, 2, E'shop\\n2\\nroot\\n\\n-- signature\\n');
"""


@pytest.fixture(scope="module")
def moments() -> dict[int, str]:
    """When each payment had been made."""
    return {}


@pytest.fixture(scope="module")
def database(moments: dict[int, str]) -> Iterator[Instance]:
    """A database with a backup, one payment before it and two after; then its volume is lost."""
    folder = Path(tempfile.mkdtemp(prefix="chaffinch-backups-"))
    shutil.chown(folder, "postgres", "postgres")
    shutil.copytree(SCRIPTS, folder / "scripts")
    made = Instance(folder, folder / "repository")
    made.make("data", "repository")
    try:
        made.start()
        made.sql(SCHEMA)
        moments[1] = made.pay(1)
        assert made.run("backup.sh") == ""
        made.sql("SELECT pg_sleep(1.1)")  # pgBackRest tells backups by their whole seconds
        moments[2] = made.pay(2)
        moments[3] = made.pay(3)
        yield made
    finally:
        made.end()
        shutil.rmtree(folder)


def test_a_restore_for_trial_has_the_newest_payment_and_the_newest_checkpoint(database: Instance) -> None:
    """Of the running database, beside it; the checkpoint is kept as it was signed."""
    trial = database.folder / "trial"
    assert database.run("rehearse.sh", LEDGER="shop", DATABASE="credits", FOLDER=str(trial)) == ""
    assert (trial / "anchor").read_text() == "shop\n2\nroot\n\n-- signature\n"
    assert (trial / "pgdata" / "PG_VERSION").is_file()
    assert not (trial / "pgdata" / "recovery.signal").exists()


def test_nothing_is_written_over_data_that_is_there(database: Instance) -> None:
    """A volume that is not empty is refused, whatever is asked for."""
    assert "nothing is written over it" in database.restore("")


def test_a_lost_volume_is_restored_to_a_moment(database: Instance, moments: dict[int, str]) -> None:
    """Between two payments: the first of them is there, the second is not; the password is the Secret's, a new one."""
    database.lose()
    assert database.restore(moments[2]) == ""
    database.start("second")
    assert database.paid("second") == "1 2"


def test_a_restored_volume_is_left_alone_when_its_pod_starts_again(database: Instance, moments: dict[int, str]) -> None:
    """The same request is done once; what was written since is kept."""
    database.pay(4)
    database.end()
    assert database.restore(moments[2]) == ""
    database.start("second")
    assert database.paid("second") == "1 2 4"


def test_what_is_written_after_a_restore_is_restored_again(database: Instance) -> None:
    """Without a new backup: the restored database archives a history of its own beside the one that was left."""
    database.lose()
    assert database.restore("") == ""
    database.start("third")
    assert database.paid("third") == "1 2 4"


def test_a_moment_after_everything_is_refused_in_plain_words(database: Instance) -> None:
    """PostgreSQL cannot know that it has reached it; the volume stays empty."""
    database.lose()
    assert "recovery ended before configured recovery target was reached" in database.restore("2037-01-01 00:00:00+00")
    assert not (database.folder / "data" / "pgdata").exists()


def test_another_passphrase_opens_nothing(database: Instance) -> None:
    """The repository is encrypted by pgBackRest itself."""
    other = Instance(database.folder, database.repository, passphrase="other")
    assert other.restore("").startswith("restore: ")
    assert not (database.folder / "data" / "pgdata").exists()
