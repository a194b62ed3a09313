"""Commands from the command line to exit code, stdout and stderr."""

import json
from typing import Any

import pytest
import yaml

from chaffinch_operator.errors import KindMissing, Refused, Unavailable
from chaffinch_operator.resources import CANARYROLLOUTS
from unit.cli.builders import at_rest, rejected, rollout, status
from unit.cli.conftest import Run
from unit.cli.fakes import FakeCluster

ACTION = "chaffinch.dev/action"


def _answering(accepted: bool, message: str) -> FakeCluster:
    """A cluster whose operator answers at once."""
    cluster = FakeCluster(rollout(status=status()))

    def answer(obj: dict[str, Any], _patch: object) -> None:
        token = obj["metadata"]["annotations"][ACTION]
        obj["status"]["lastAction"] = {
            "token": token,
            "accepted": accepted,
            "message": message,
            "at": "2026-11-24T12:00:01Z",
        }

    cluster.after_patch = answer
    return cluster


def test_status_of_one_shows_its_screen(run: Run) -> None:
    """Without a terminal it is plain text."""
    result = run(FakeCluster(rollout(status=status())), "status", "checkout")
    assert result.exit_code == 0
    assert "shop/checkout  Analyzing" in result.stdout
    assert "\x1b" not in result.stdout


def test_status_of_all_shows_the_namespace(run: Run) -> None:
    """Other namespaces are left out."""
    result = run(FakeCluster(rollout(status=status()), rollout("search", "find", status=at_rest())), "status")
    assert "checkout" in result.stdout
    assert "search" not in result.stdout


@pytest.mark.parametrize("args", [("status", "-A"), ("status", "--all-namespaces")])
def test_all_namespaces_are_shown_on_request(run: Run, args: tuple[str, ...]) -> None:
    """The table then names the namespace."""
    result = run(FakeCluster(rollout(status=status()), rollout("search", "find", status=at_rest())), *args)
    assert result.stdout.startswith("NAMESPACE")
    assert "find" in result.stdout


@pytest.mark.parametrize(
    "args",
    [
        ("-n", "find", "status", "search"),
        ("status", "search", "-n", "find"),
        ("-n", "shop", "status", "search", "--namespace", "find"),
    ],
)
def test_the_namespace_may_stand_before_or_after_the_command(run: Run, args: tuple[str, ...]) -> None:
    """As with kubectl; the later one wins."""
    result = run(FakeCluster(rollout("search", "find", status=at_rest())), *args)
    assert "find/search  Promoted" in result.stdout


def test_an_empty_namespace_is_said_beside_the_result(run: Run) -> None:
    """Stdout stays empty for scripts."""
    result = run(FakeCluster(), "status")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "No CanaryRollouts found in namespace shop.\n"


def test_json_and_yaml_carry_the_same(run: Run) -> None:
    """Two spellings of one document."""
    cluster = FakeCluster(rollout(status=status()))
    as_json = json.loads(run(cluster, "status", "checkout", "-o", "json").stdout)
    as_yaml = yaml.safe_load(run(cluster, "status", "checkout", "-o", "yaml").stdout)
    assert as_json == as_yaml
    assert as_json["kind"] == "RolloutStatus"


def test_a_list_in_json_is_empty_rather_than_missing(run: Run) -> None:
    """Scripts get a document whatever there is."""
    assert json.loads(run(FakeCluster(), "status", "-o", "json").stdout)["items"] == []


def test_explain_says_why(run: Run) -> None:
    """Sentences and the evidence."""
    result = run(FakeCluster(rollout(status=rejected())), "explain", "checkout")
    assert "The chance of ever seeing this much from a harmless canary" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("args", "verb"),
    [
        (("promote", "checkout"), "promote"),
        (("promote", "checkout", "--force"), "promote-force"),
        (("abort", "checkout"), "abort"),
        (("retry", "checkout"), "retry"),
        (("pause", "checkout"), "pause"),
        (("resume", "checkout"), "resume"),
    ],
)
def test_an_action_is_an_annotation(run: Run, args: tuple[str, ...], verb: str) -> None:
    """Each command writes its verb with a token, and nothing else."""
    cluster = _answering(True, "done")
    result = run(cluster, *args)
    assert result.exit_code == 0
    wish = {"metadata": {"annotations": {ACTION: f"{verb}@t1"}}}
    assert cluster.writes == [("patch", "CanaryRollout shop/checkout", wish)]


def test_an_accepted_action_is_told(run: Run) -> None:
    """With the operator's message, on stdout."""
    result = run(_answering(True, "rolling back"), "abort", "checkout")
    assert (result.stdout, result.stderr) == ("shop/checkout: abort accepted. rolling back\n", "")


def test_a_refused_action_fails_with_the_operators_message(run: Run) -> None:
    """Exit code 1, and the way out."""
    result = run(_answering(False, "nothing is under way"), "abort", "checkout")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "abort refused. nothing is under way" in result.stderr
    assert "kubectl chaffinch status checkout" in result.stderr


def test_silence_of_the_operator_fails_after_the_timeout(run: Run) -> None:
    """The request stands; the message says how to withdraw it."""
    cluster = FakeCluster(rollout(status=status()))
    result = run(cluster, "abort", "checkout", "--timeout", "2")
    assert result.exit_code == 1
    assert "no answer from the operator in 2 s" in result.stderr
    assert "kubectl annotate canaryrollout checkout chaffinch.dev/action-" in result.stderr


def test_an_answer_to_another_request_is_no_answer(run: Run) -> None:
    """Only the own token counts."""
    last = {"token": "abort@t0", "accepted": True, "message": "", "at": ""}
    cluster = FakeCluster(rollout(status=status(lastAction=last)))
    assert run(cluster, "abort", "checkout", "--timeout", "1").exit_code == 1


def test_a_late_answer_is_waited_for(run: Run) -> None:
    """Up to the deadline."""
    cluster = FakeCluster(rollout(status=status()))
    answer = {"token": "abort@t1", "accepted": True, "message": "ok", "at": ""}
    cluster.at.append((5, lambda: cluster.read(CANARYROLLOUTS, "checkout")["status"].update(lastAction=answer)))
    assert run(cluster, "abort", "checkout").exit_code == 0


@pytest.mark.parametrize(("accepted", "result"), [(True, "accepted"), (False, "refused")])
def test_the_result_of_an_action_in_json(run: Run, accepted: bool, result: str) -> None:
    """The document says it, and so does the exit code."""
    done = run(_answering(accepted, "why"), "abort", "checkout", "-o", "json")
    assert json.loads(done.stdout) == {
        "kind": "ActionResult",
        "version": 1,
        "namespace": "shop",
        "name": "checkout",
        "action": "abort",
        "token": "abort@t1",
        "result": result,
        "message": "why",
        "at": "2026-11-24T12:00:01Z",
    }
    assert done.exit_code == (0 if accepted else 1)


@pytest.mark.parametrize(("name", "hint"), [("chekout", "did you mean checkout?"), ("zzz", "there is checkout")])
def test_a_name_that_is_not_there_names_those_that_are(run: Run, name: str, hint: str) -> None:
    """A typo costs one look."""
    result = run(FakeCluster(rollout(status=status())), "status", name)
    assert result.exit_code == 1
    assert f'there is no CanaryRollout "{name}" in namespace "shop"' in result.stderr
    assert hint in result.stderr


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (Unavailable("no answer: connection refused"), "cannot reach the API server of this pod's cluster: no answer"),
        (KindMissing("canaryrollouts.chaffinch.dev"), "Chaffinch is not installed there"),
        (Refused(403, "Forbidden", 'User "eve" cannot get resource'), 'forbidden: User "eve" cannot get resource'),
    ],
)
def test_expected_errors_are_two_lines(run: Run, error: Any, message: str) -> None:
    """What is wrong and what to do; no traceback, exit code 1."""
    cluster = FakeCluster()
    cluster.raises["get", "canaryrollouts"] = error
    result = run(cluster, "status", "checkout")
    assert (result.exit_code, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert [line.split(":")[0] for line in lines] == ["error", "hint"]
    assert message.replace("this pod's cluster", 'context "test"') in lines[0]


@pytest.mark.parametrize(
    "args",
    [
        ("status", "checkout", "-A"),
        ("status", "--until-done"),
        ("status", "checkout", "--timeout", "5s"),
        ("status", "checkout", "-w", "-o", "json"),
        ("status", "checkout", "-w", "--timeout", "soon"),
        ("cleanup",),
        ("cleanup", "checkout", "--all"),
        ("cleanup", "checkout", "-A"),
        ("abort",),
        ("statsu",),
        ("status", "-o", "xml"),
    ],
)
def test_a_senseless_command_line_is_exit_code_2(run: Run, args: tuple[str, ...]) -> None:
    """Nothing is done, and stderr says why."""
    cluster = FakeCluster(rollout(status=status()))
    result = run(cluster, *args)
    assert (result.exit_code, result.stdout, cluster.writes) == (2, "", [])
    assert result.stderr
