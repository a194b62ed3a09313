"""Which cluster and namespace: kubectl's rules."""

import os
from pathlib import Path

import pytest

from chaffinch_operator.cli.failures import DeclinedError, UsageProblemError
from chaffinch_operator.cli.kubeconfig import Place, find_place


def _config(path: Path, current: str = "", **namespaces: str) -> Path:
    contexts = [f"- name: {name}\n  context: {{cluster: c, namespace: '{ns}'}}\n" for name, ns in namespaces.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"current-context: '{current}'\n" + ("contexts:\n" + "".join(contexts) if contexts else ""))
    return path


def test_the_current_context_and_its_namespace(tmp_path: Path) -> None:
    """Without options, as for kubectl."""
    path = _config(tmp_path / ".kube" / "config", "prod", prod="shop")
    assert find_place({"HOME": str(tmp_path)}, None, None) == Place(str(path), "prod", "shop")


def test_a_context_without_namespace_is_default(tmp_path: Path) -> None:
    """The namespace "default"."""
    path = _config(tmp_path / "c", "prod", prod="")
    assert find_place({}, str(path), None).namespace == "default"


def test_another_context_has_its_own_namespace(tmp_path: Path) -> None:
    """--context goes before current-context."""
    path = _config(tmp_path / "c", "prod", prod="shop", test="play")
    assert find_place({}, str(path), "test") == Place(str(path), "test", "play")


def test_several_files_of_the_variable_are_merged(tmp_path: Path) -> None:
    """Missing ones are skipped; the first to say something wins."""
    first, second = _config(tmp_path / "a", "prod", other="x"), _config(tmp_path / "b", "no", prod="shop", other="y")
    value = os.pathsep.join([str(first), str(tmp_path / "missing"), str(second)])
    assert find_place({"KUBECONFIG": value}, None, None) == Place(f"{first}{os.pathsep}{second}", "prod", "shop")
    assert find_place({"KUBECONFIG": value}, None, "other").namespace == "x"


def test_the_option_goes_before_the_variable(tmp_path: Path) -> None:
    """--kubeconfig alone is read."""
    mine, other = _config(tmp_path / "a", "prod", prod="shop"), _config(tmp_path / "b", "test", test="play")
    assert find_place({"KUBECONFIG": str(other)}, str(mine), None).context == "prod"


def test_in_a_pod_the_service_account_is_used(tmp_path: Path) -> None:
    """With its namespace, when there is no kubeconfig."""
    account = tmp_path / "namespace"
    account.write_text("shop\n")
    assert find_place({"HOME": str(tmp_path)}, None, None, account) == Place("", "", "shop")


def test_no_kubeconfig_at_all_says_where_it_was_sought(tmp_path: Path) -> None:
    """And how to name one."""
    with pytest.raises(DeclinedError, match="no kubeconfig at") as caught:
        find_place({"HOME": str(tmp_path)}, None, None, tmp_path / "none")
    assert "--kubeconfig" in caught.value.hint


def test_a_context_that_is_not_there_names_one_that_is(tmp_path: Path) -> None:
    """A typo costs one look."""
    with pytest.raises(UsageProblemError) as caught:
        find_place({}, str(_config(tmp_path / "c", "prod", prod="shop")), "prd")
    assert caught.value.hint == "did you mean prod?"


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    """Only for --kubeconfig; kubectl skips missing files of the variable."""
    with pytest.raises(UsageProblemError, match="is no file"):
        find_place({}, str(tmp_path / "none"), None)


@pytest.mark.parametrize("text", ["contexts: [", "\x00"])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    """No traceback of a YAML parser."""
    path = tmp_path / "c"
    path.write_text(text)
    with pytest.raises(DeclinedError, match=f"cannot read the kubeconfig {path}"):
        find_place({}, str(path), None)


def test_a_file_without_current_context_asks_for_one(tmp_path: Path) -> None:
    """As kubectl would go to localhost, which nobody means."""
    with pytest.raises(DeclinedError, match="no current context"):
        find_place({}, str(_config(tmp_path / "c")), None)
