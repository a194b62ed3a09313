"""Sets the stage: images, operator, and the sample application in its first version, whatever was there before."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cluster import Access
from cluster.context_hash import context_hash
from demo.errors import TourError
from demo.scenario import FIRST, IMAGES
from demo.settings import REPOSITORY
from support import sample
from support.kubectl import Kubectl, KubectlError

OPERATOR_NAMESPACE = "chaffinch-system"
OPERATOR = "deployment/chaffinch-operator"
OVERLAY = REPOSITORY / "manifests" / "overlays" / "local"
OPERATOR_IMAGE = "localhost/chaffinch:dev"
OPERATOR_CONTAINERFILE = REPOSITORY / "Containerfile"
_OWNER = "gateway.envoyproxy.io/owning-gateway"
GATEWAY_LABELS = f"{_OWNER}-name=public,{_OWNER}-namespace=gateway-system"
_READY_SECONDS = 150.0
_GONE_SECONDS = 90.0
_TRIES_SECONDS = 60.0
_POLL_SECONDS = 1.0


def build_images(access: Access) -> None:
    """Build the operator's image and one for each version of the shop, unless they are there."""
    access.build_image(OPERATOR_CONTAINERFILE, OPERATOR_IMAGE, REPOSITORY)
    for tag in IMAGES:
        access.build_image(sample.CONTAINERFILE, tag, sample.FOLDER)
    for tag in (OPERATOR_IMAGE, *IMAGES):
        access.load_image(tag)


def install_operator(kubectl: Kubectl) -> None:
    """Install it, or bring it to the present manifests and image; return when it is ready."""
    kubectl.apply_folder(str(OVERLAY))
    _roll_on_change(kubectl, OPERATOR, OPERATOR_NAMESPACE, context_hash(OPERATOR_CONTAINERFILE, REPOSITORY))
    kubectl(
        "rollout",
        "status",
        f"--namespace={OPERATOR_NAMESPACE}",
        OPERATOR,
        f"--timeout={_READY_SECONDS:.0f}s",
        seconds=_READY_SECONDS + 10,
    )
    kubectl.wait("condition=Established", f"crd/{sample.ROLLOUTS}", OPERATOR_NAMESPACE, seconds=_TRIES_SECONDS)


def _roll_on_change(kubectl: Kubectl, target: str, namespace: str, content: str) -> None:
    """The image keeps its name, so its content is noted in the template: pods are replaced when it is another."""
    note = {"spec": {"template": {"metadata": {"annotations": {"chaffinch.dev/build": content[:16]}}}}}
    kubectl("patch", f"--namespace={namespace}", target, "--type=merge", f"--patch={json.dumps(note)}")


def deploy_first_version(kubectl: Kubectl, app: sample.App, plan: sample.RolloutPlan) -> None:
    """The application in its first version under a new CanaryRollout; what an earlier tour left half done is undone."""
    kubectl.apply(app.namespace_object())
    _remove_rollout(kubectl, app)
    attempt("deployment of the first version", lambda: _apply_unheld(kubectl, app))
    kubectl(
        "rollout",
        "status",
        f"--namespace={app.namespace}",
        f"deployment/{app.name}",
        f"--timeout={_READY_SECONDS:.0f}s",
        seconds=_READY_SECONDS + 10,
    )
    kubectl.apply(app.service())
    attempt("the CanaryRollout", lambda: kubectl.apply(plan.canary_rollout(app)))
    kubectl.wait("condition=Ready", f"{sample.ROLLOUTS}/{app.name}", app.namespace, seconds=_READY_SECONDS)


def _remove_rollout(kubectl: Kubectl, app: sample.App) -> None:
    """Delete the CanaryRollout, which gives traffic back to stable; the whole namespace where that does not work."""
    try:
        kubectl.delete(sample.ROLLOUTS, app.name, app.namespace, seconds=_GONE_SECONDS)
    except KubectlError:
        remove_namespace(kubectl, app.namespace)
        kubectl.apply(app.namespace_object())


def _apply_unheld(kubectl: Kubectl, app: sample.App) -> None:
    """Without a CanaryRollout nothing holds a template, but a hold from before may still be on."""
    kubectl.apply(app.deployment(FIRST))
    found = kubectl.get("deployment", app.name, app.namespace)
    if found is not None and found["spec"].get("paused"):
        release = json.dumps({"spec": {"paused": None}})
        kubectl("patch", f"--namespace={app.namespace}", f"deployment/{app.name}", "--type=merge", f"--patch={release}")


def attempt(what: str, action: Callable[[], None], seconds: float = _TRIES_SECONDS) -> None:
    """Try until it works: API server and operator take a moment to take note of new or deleted objects."""
    end = time.monotonic() + seconds
    while True:
        try:
            action()
        except KubectlError as error:
            if time.monotonic() >= end:
                raise TourError(f"{what} failed for {seconds:.0f} s: {error}") from error
            time.sleep(_POLL_SECONDS)
        else:
            return


def gateway_service(kubectl: Kubectl) -> tuple[str, str]:
    """Namespace and name of the Service of the Gateway `gateway-system/public`."""
    found = json.loads(kubectl("get", "services", "--all-namespaces", f"--selector={GATEWAY_LABELS}", "--output=json"))
    if not found["items"]:
        raise TourError(
            "no Service belongs to the Gateway gateway-system/public: install Envoy Gateway and this "
            "Gateway, as tests/cluster/manifests/gateway.yaml does"
        )
    meta = found["items"][0]["metadata"]
    return meta["namespace"], meta["name"]


def remove_namespace(kubectl: Kubectl, namespace: str) -> None:
    """Remove the application and all of its; where no operator runs, the plugin takes the finalizer off."""
    try:
        kubectl.delete("namespace", namespace, namespace, seconds=_GONE_SECONDS)
    except KubectlError:
        plugin = (sys.executable, "-m", "chaffinch_operator.cli", "cleanup", "--all", "--yes", "--force")
        kubectl.plugin(plugin, f"--namespace={namespace}", seconds=_GONE_SECONDS)
        kubectl.delete("namespace", namespace, namespace, seconds=_GONE_SECONDS)


def remove_operator(kubectl: Kubectl, overlay: Path = OVERLAY) -> None:
    """Uninstall the operator and the CRDs, unless CanaryRollouts of others are left; TourError then."""
    if kubectl.get("customresourcedefinition", sample.ROLLOUTS, "default") is not None:
        keys = "jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {end}"
        others = kubectl("get", sample.ROLLOUTS, "--all-namespaces", f"--output={keys}").split()
        if others:
            raise TourError(f"the operator stays: there are other CanaryRollouts ({', '.join(others[:3])})")
    kubectl(
        "delete",
        "--ignore-not-found",
        f"--kustomize={overlay}",
        "--wait=true",
        f"--timeout={_GONE_SECONDS:.0f}s",
        seconds=_GONE_SECONDS + 10,
    )
