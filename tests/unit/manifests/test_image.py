"""The image and the Deployment that runs it fit together."""

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from chaffinch_operator.settings import Settings

ROOT = Path(__file__).parents[3]
CONTAINERFILE = (ROOT / "Containerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def pod() -> dict[str, Any]:
    """Spec of the operator's pod."""
    deployment = yaml.safe_load((ROOT / "manifests/base/deployment.yaml").read_text())
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return spec


def test_the_image_installs_what_was_tested() -> None:
    """Every version in the image's lock file is the one of requirements.lock."""
    tested = dict(LOCKED.findall((ROOT / "requirements.lock").read_text()))
    image = dict(LOCKED.findall((ROOT / "requirements-image.lock").read_text()))
    assert image
    assert image.items() <= tested.items()


def test_the_image_has_all_that_the_operator_needs() -> None:
    """`make lock` was run after the last change of a dependency."""
    image = {name.lower() for name, _ in LOCKED.findall((ROOT / "requirements-image.lock").read_text())}
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["operator"]]
    assert [line for line in wanted if re.split(r"[<>=~! ]", line)[0] not in image] == []


def test_every_package_of_the_distribution_is_copied() -> None:
    """A new package cannot be forgotten in the image."""
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert [package for package in packages if f"COPY {package} " not in CONTAINERFILE] == []


def test_dependencies_are_installed_by_hash_before_the_code_is_copied() -> None:
    """A change of code rebuilds the last layers only, and nothing unpinned is installed."""
    install = CONTAINERFILE.index("pip install")
    assert "--require-hashes" in CONTAINERFILE[install:].splitlines()[0]
    assert install < CONTAINERFILE.index("COPY operator/")


def test_image_and_pod_run_as_the_same_ordinary_user() -> None:
    """Nothing runs as root, wherever the image is used."""
    security = pod()["securityContext"]
    assert f"USER {security['runAsUser']}:{security['runAsGroup']}" in CONTAINERFILE
    assert security["runAsUser"] > 0


def test_the_manifest_runs_this_version() -> None:
    """Image tag and distribution have the same version."""
    assert pod()["containers"][0]["image"] == f"chaffinch:{PROJECT['project']['version']}"


def test_port_and_probes_are_where_the_operator_listens() -> None:
    """Probes ask the port of the settings' default."""
    (container,) = pod()["containers"]
    assert container["ports"][0] == {"name": "http", "containerPort": Settings().http_port}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


def test_the_operator_learns_who_and_where_it_is() -> None:
    """Lease holder and namespace come from the downward API."""
    fields = {
        item["name"]: item["valueFrom"]["fieldRef"]["fieldPath"]
        for item in pod()["containers"][0]["env"]
        if "valueFrom" in item
    }
    settings = Settings.from_env({"POD_NAME": "pod-1", "POD_NAMESPACE": "elsewhere"})
    assert fields == {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace"}
    assert (settings.identity, settings.namespace) == ("pod-1", "elsewhere")


def test_there_is_time_to_hand_the_lease_over() -> None:
    """The grace period is longer than a leader may take to renew."""
    assert pod()["terminationGracePeriodSeconds"] > Settings().renew_seconds
