"""`python -m chaffinch_operator.crdgen`: writes what is generated, and says what is stale."""

import shutil
from pathlib import Path

import pytest

from chaffinch_operator.crdgen.__main__ import main
from chaffinch_operator.crdgen.crd import KINDS
from chaffinch_operator.crdgen.files import generated

ROOT = Path(__file__).parents[3]
GENERATED = generated(ROOT)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the sources that generation reads, and nothing generated."""
    (tmp_path / "pyproject.toml").touch()
    reasons = [f"operator/chaffinch_operator/{kind.slice}/reasons.py" for kind in KINDS]
    for name in (*reasons, "manifests/argocd/chaffinch.dev"):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, target)
    return tmp_path


def test_the_committed_files_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    """What is in the repository is what the code says."""
    assert main(["--check", "--root", str(ROOT)]) == 0, capsys.readouterr().out


def test_missing_files_are_written_and_then_current(checkout: Path) -> None:
    """One run is enough."""
    assert main(["--root", str(checkout)]) == 0
    assert main(["--check", "--root", str(checkout)]) == 0


def test_a_second_run_writes_nothing(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Output is deterministic, and unchanged files keep their time."""
    main(["--root", str(checkout)])
    capsys.readouterr()
    main(["--root", str(checkout)])
    assert capsys.readouterr().out == ""


def test_stale_files_are_shown_and_fail(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--check exits 1 with a diff for each stale file, and repairs nothing."""
    main(["--root", str(checkout)])
    for name in GENERATED:
        (checkout / name).write_text("edited by hand\n")
    capsys.readouterr()
    assert main(["--check", "--root", str(checkout)]) == 1
    said = capsys.readouterr()
    assert [line for line in said.out.splitlines() if line.startswith("--- ")] == [
        f"--- {name} (committed)" for name in GENERATED
    ]
    assert said.out.count("-edited by hand") == len(GENERATED)
    assert f"{len(GENERATED)} generated files are stale: run python -m chaffinch_operator.crdgen" in said.err
    assert {(checkout / name).read_text() for name in GENERATED} == {"edited by hand\n"}


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written anywhere else."""
    assert main(["--root", str(tmp_path)]) == 2
    assert "no checkout" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_every_generated_file_says_so() -> None:
    """Nobody edits one by mistake."""
    assert [name for name, text in GENERATED.items() if "Generated from" not in text.splitlines()[0]] == []
