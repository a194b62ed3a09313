"""kind and the present context are used by the commands that a person would type."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from cluster.access import Access, connect
from cluster.config import Config
from cluster.console import Console
from cluster.errors import ClusterError
from cluster.forward import forwarded_address


class Recorder:
    """Takes command lines and gives prepared answers."""

    def __init__(self, **answers: str) -> None:
        self.commands: list[str] = []
        self._answers = answers

    def __call__(self, command: list[str]) -> str:
        """Note the command."""
        self.commands.append(" ".join(command))
        return next((answer for word, answer in self._answers.items() if word in command), "")


def kind(tmp_path: Path, recorder: Recorder) -> Access:
    """A connection to kind."""
    config = Config("demo", tmp_path, "kind")
    return connect(config, console=Console(io.StringIO()), environ={}, runner=recorder)


def current(tmp_path: Path, environ: dict[str, str], recorder: Recorder, *, agrees: bool = False) -> Access:
    """A connection to the present context."""
    config = Config("demo", tmp_path, "current")
    return connect(config, environ=environ, runner=recorder, ask=lambda _question: agrees)


def test_missing_kind_cluster_is_created_with_a_kubeconfig_of_its_own(tmp_path: Path) -> None:
    """The user's kubeconfig is not touched."""
    recorder = Recorder(get="other\n")
    access = kind(tmp_path, recorder)
    assert recorder.commands == [
        "kind get clusters",
        f"kind create cluster --name=demo --kubeconfig={access.kubeconfig} --wait=180s",
    ]
    assert access.kubeconfig.parent == tmp_path / "clusters"


def test_present_kind_cluster_is_used(tmp_path: Path) -> None:
    """Its kubeconfig is exported again: it may have been made elsewhere."""
    recorder = Recorder(get="demo\nother\n")
    access = kind(tmp_path, recorder)
    assert recorder.commands[1:] == [f"kind export kubeconfig --name=demo --kubeconfig={access.kubeconfig}"]
    assert (access.context, access.command_prefix) == ("kind-demo", [])


def test_kind_builds_with_docker_and_loads_into_the_nodes(tmp_path: Path) -> None:
    """The two commands of kind's own guide."""
    recorder = Recorder(get="demo\n")
    access = kind(tmp_path, recorder)
    access.build_image(Path("/src/Containerfile"), "localhost/app:1")
    access.load_image("localhost/app:1")
    assert recorder.commands[2:] == [
        "docker build --file=/src/Containerfile --tag=localhost/app:1 /src",
        "kind load docker-image --name=demo localhost/app:1",
    ]


def test_present_context_needs_consent(tmp_path: Path) -> None:
    """A cluster that we did not make is refused by default."""
    recorder = Recorder(config="production\n")
    with pytest.raises(ClusterError, match=r"'production'.*CHAFFINCH_CLUSTER_YES=1"):
        current(tmp_path, {}, recorder)


@pytest.mark.parametrize(("environ", "agrees"), [({"CHAFFINCH_CLUSTER_YES": "1"}, False), ({}, True)])
def test_consent_is_given_by_setting_or_answer(tmp_path: Path, environ: dict[str, str], *, agrees: bool) -> None:
    """Both ways lead to the same context, named in every command from then on."""
    access = current(tmp_path, {**environ, "KUBECONFIG": "/k"}, Recorder(config="mine\n"), agrees=agrees)
    assert (access.context, access.kubeconfig) == ("mine", Path("/k"))


def test_present_context_loads_images_by_the_users_command(tmp_path: Path) -> None:
    """Only the user knows how images get to the nodes."""
    recorder = Recorder(config="mine\n")
    environ = {"CHAFFINCH_CLUSTER_YES": "1", "CHAFFINCH_LOAD_IMAGE": "minikube image load"}
    current(tmp_path, environ, recorder).load_image("localhost/app:1")
    assert recorder.commands[-1] == "minikube image load localhost/app:1"


def test_present_context_without_a_command_for_images_says_what_to_set(tmp_path: Path) -> None:
    """The message names the setting."""
    access = current(tmp_path, {"CHAFFINCH_CLUSTER_YES": "1"}, Recorder(config="mine\n"))
    with pytest.raises(ClusterError, match="CHAFFINCH_LOAD_IMAGE"):
        access.load_image("localhost/app:1")


def test_forwarded_address_is_read() -> None:
    """Kubectl chooses the port and tells it."""
    assert forwarded_address("Forwarding from 127.0.0.1:40123 -> 9090\n") == "127.0.0.1:40123"


def test_failed_forwarding_is_an_error() -> None:
    """Kubectl ended without a word on standard output."""
    with pytest.raises(ClusterError, match="ready pod"):
        forwarded_address("")
